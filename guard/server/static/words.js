/** How numbers, times and texts are written. Offsets from guard count code points, not UTF-16 units. */

const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const CLOCK = new Intl.DateTimeFormat(undefined, { ...MINUTE, second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { ...MINUTE, day: "numeric", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const COUNT = new Intl.NumberFormat("en");

/** Characters `start` to `end` of a text, counted as guard counts them. */
export function slice(text, start, end) {
  return [...text].slice(start, end).join("");
}

/** How many characters a text has, counted as guard counts them. */
export function size(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** Unix seconds in few characters: the clock for today, else day and time. */
export function when(at) {
  const date = new Date(at * 1000);
  return (date.toDateString() === new Date().toDateString() ? CLOCK : DAY).format(date);
}

/** Unix seconds in full. */
export function whole(at) {
  return WHOLE.format(new Date(at * 1000));
}

/** A count with its thousands set apart. */
export function count(value) {
  return COUNT.format(value);
}

/** Seconds, in the unit that suits them. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 0.9995) return `${value.toFixed(value < 9.95 ? 1 : 0)} s`;
  const [size, unit] = value > 0 && value < 0.0009995 ? [1e-6, "µs"] : [1e-3, "ms"];
  const told = value / size;
  return `${Number(told.toPrecision(told < 10 ? 2 : 3))} ${unit}`;
}

/** A share of one as per cent. */
export function percent(value, digits = 1) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : `${(value * 100).toFixed(digits)} %`;
}

/** A score of 0 to 1. */
export function score(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

/** `1 token`, `2 tokens`. */
export function many(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** What is stored as a channel, as people call it. */
export function channel(name) {
  return { reasoning: "reasoning", content: "answer", tool_calls: "tool call" }[name] ?? name;
}

/** The text of a chat message, whatever shape its content has. */
export function spoken(message) {
  const content = message?.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => part?.text ?? `[${part?.type ?? "part"}]`).join("\n");
}
