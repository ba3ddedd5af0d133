// Evaluated before a transformation's own code: it takes away every clock and chance but those that are handed in, and
// keeps the functions that it needs itself. Its value is the function that runs the handler.
((now, seed) => {
  const { parse, stringify } = JSON;
  const RealDate = Date;
  const nowFixed = () => now;
  // A Date without arguments is the moment that was handed in.
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, as) => Reflect.construct(target, given.length === 0 ? [now] : given, as),
    apply: () => new RealDate(now).toString(),
    get: (target, name, as) => (name === "now" ? nowFixed : Reflect.get(target, name, as)),
  });
  RealDate.prototype.constructor = globalThis.Date;
  // mulberry32: the same event gives the same numbers on every try.
  let state = seed | 0;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return (text, handler) => {
    if (typeof handler !== "function") throw new TypeError("there is no function `handler`");
    const webhook = parse(text);
    const before = stringify(webhook.payload);
    const after = handler(webhook);
    if (after !== null && typeof after === "object" && typeof after.then === "function") {
      throw new TypeError("`handler` must not be async: there is nothing to wait for");
    }
    if (after === null || typeof after !== "object") throw new TypeError("`handler` must return the webhook");
    if (after.cancel === true) return stringify({ cancel: true });
    const payload = stringify(after.payload);
    if (payload === undefined) throw new TypeError("`payload` cannot be written as JSON");
    const { method, url, headers } = after;
    return stringify({ method, url, headers, payload: payload === before ? null : payload });
  };
})
