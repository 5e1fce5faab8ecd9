/** Scales: from values to pixels, and where the ticks of an axis stand. Pure. */

const STEPS = [1, 2, 2.5, 5, 10];
/** Steps of an axis of time, milliseconds. */
const TIME_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440].map((minutes) => minutes * 60_000);

/**
 * A linear scale. Values outside of the domain are drawn at its ends.
 * @param {[number, number]} domain
 * @param {[number, number]} range pixels
 * @returns {(value: number) => number}
 */
export function linear([low, high], [start, end]) {
  const span = high - low || 1;
  return (value) => start + ((Math.min(Math.max(value, low), high) - low) / span) * (end - start);
}

/**
 * A radius whose circle's area grows with the value.
 * @param {number} largest value that has the largest radius
 * @param {[number, number]} range smallest and largest radius, pixels
 * @returns {(value: number) => number}
 */
export function area(largest, [smallest, widest]) {
  return (value) => smallest + (widest - smallest) * Math.sqrt(Math.max(0, value) / Math.max(largest, 1));
}

/**
 * Round numbers from at most `low` to at least `high`, about `wanted` steps apart.
 * @param {number} unit what a round number is a round multiple of: 60 for seconds that are read as minutes
 * @returns {number[]}
 */
export function ticks(low, high, wanted = 5, unit = 1) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, wanted) / unit;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = STEPS.find((one) => one * power >= rough - 1e-12) ?? 10;
  const step = factor * power * unit;
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, index) => rounded((first + index) * step));
}

/** Unit of ticks for seconds that reach up to `high`. */
export function secondUnit(high) {
  return high < 120 ? 1 : high < 7_200 ? 60 : 3_600;
}

/** Unit of ticks for bytes that reach up to `high`. */
export function byteUnit(high) {
  return 1_024 ** Math.max(0, Math.floor(Math.log(Math.max(1, high)) / Math.log(1_024)));
}

/**
 * Whole minutes, hours or days between two moments, at most `wanted` of them.
 * @param {number} from milliseconds
 * @param {number} until milliseconds
 * @returns {number[]}
 */
export function timeTicks(from, until, wanted = 6) {
  const span = until - from;
  if (!(span > 0)) return [from];
  const widest = TIME_STEPS_MS.at(-1) * Math.ceil(span / TIME_STEPS_MS.at(-1) / wanted);
  const step = TIME_STEPS_MS.find((candidate) => span / candidate <= wanted) ?? widest;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((until - first) / step) + 1 }, (_, index) => first + index * step);
}

function rounded(value) {
  return Number(value.toPrecision(12));
}
