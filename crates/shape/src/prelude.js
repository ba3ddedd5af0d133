// Evaluated before a transformation's own code: it takes away every clock and chance but those that are handed in, and
// keeps the functions that it needs itself. Its value is the function that runs the handler. Short, for each call reads it.
((now, state) => {
  const { parse, stringify } = JSON;
  const RealDate = Date;
  globalThis.Date = class Date extends RealDate {
    constructor(...given) {
      given.length ? super(...given) : super(now);
    }
    static now() {
      return now;
    }
  };
  // mulberry32: the same event gives the same numbers on every try.
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const wrong = (what) => {
    throw new TypeError(what);
  };
  return (text, handler) => {
    if (typeof handler !== "function") wrong("there is no function `handler`");
    const webhook = parse(text);
    const before = stringify(webhook.payload);
    const after = handler(webhook);
    if (after === null || typeof after !== "object") wrong("`handler` must return the webhook");
    if (typeof after.then === "function") wrong("`handler` must not be async: there is nothing to wait for");
    if (after.cancel === true) return '{"cancel":true}';
    const payload = stringify(after.payload);
    if (payload === undefined) wrong("`payload` cannot be written as JSON");
    const { method, url, headers } = after;
    return stringify({ method, url, headers, payload: payload === before ? null : payload });
  };
})
