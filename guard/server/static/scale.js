/** Numbers beside an axis: round marks, and labels of them that are exact and differ from one another. */

const DIGITS = 4; // more behind the point do not fit
const LARGE = 1e5;

/** Units as [from which value, what one of it is, how it is written], largest first. */
export const NUMBER = [[1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"], [0, 1, ""]];
export const SHARE = [[0, 0.01, " %"]];
export const TIME = [[1, 1, " s"], [1e-3, 1e-3, " ms"], [0, 1e-6, " µs"]];

/** Round numbers from 0 to at least `top`; `whole` ones where a part of one is nothing. */
export function ticks(top, { wanted = 4, whole = false } = {}) {
  if (!(top > 1e-300 && top < 1e300)) return [0, 1];
  const raw = top / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const steps = [1, 2, 2.5, 5, 10].map((times) => times * power);
  const step = steps.find((each) => each >= raw && (!whole || Number.isInteger(each))) ?? 1;
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, place) => place * step);
}

/** What stands beside these marks: all in one unit, with the digits that tell them apart. */
export function labels(marks, units) {
  const top = marks.at(-1);
  const [, size, unit] = unitOf(top, units);
  const digits = places(marks[1] / size);
  const write = digits === null || top / size >= LARGE ? powers : plain(digits, digits);
  return marks.map((mark) => (mark ? `${write(mark / size)}${unit}` : "0"));
}

/** One value to three digits, a count below ten thousand to its last. */
export function written(value, units) {
  if (!value) return value === 0 ? "0" : "–";
  const exact = Number.isInteger(value) && value < 1e4 && units === NUMBER;
  const round = exact ? value : Number(value.toPrecision(3));
  const [, size, unit] = unitOf(round, units);
  const told = round / size;
  return `${told < 10 ** -DIGITS || told >= LARGE ? powers(told) : plain(0, 2 + DIGITS)(told)}${unit}`;
}

function unitOf(value, units) {
  return units.find(([from]) => value >= from * (1 - 1e-9)) ?? units.at(-1);
}

/** How many digits behind the point write multiples of this step exactly, or null where too many do. */
function places(step) {
  for (let digits = 0; digits <= DIGITS; digits += 1) {
    const whole = step * 10 ** digits;
    if (Math.round(whole) >= 1 && Math.abs(whole - Math.round(whole)) < 1e-6 * whole) return digits;
  }
  return null;
}

function plain(least, most) {
  const format = new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: most });
  return (value) => format.format(value);
}

function powers(value) {
  return Number(value.toPrecision(3)).toExponential().replace("+", "");
}
