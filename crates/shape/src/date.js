// A Date without arguments is the moment that was handed in. Evaluated before code that speaks of Date at all.
((now) => {
  const RealDate = Date;
  globalThis.Date = class Date extends RealDate {
    constructor(...given) {
      given.length ? super(...given) : super(now);
    }
    static now() {
      return now;
    }
  };
})
