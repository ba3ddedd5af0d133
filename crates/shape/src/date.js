// A Date without arguments is the moment that was handed in. Evaluated before code that speaks of Date at all.
((now) => {
  const Real = Date;
  // The real one is not within reach afterwards: its prototype names this one.
  globalThis.Date = function Date(...given) {
    if (!new.target) return new Real(now).toString();
    const made = given.length ? new Real(...given) : new Real(now);
    return Object.setPrototypeOf(made, new.target.prototype);
  };
  Date.prototype = Real.prototype;
  Date.prototype.constructor = Date;
  Object.assign(Date, { now: () => now, parse: Real.parse, UTC: Real.UTC });
})
