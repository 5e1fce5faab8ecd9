/** Numbers, shares, sizes, durations and times as people read them. Pure; `null` and `undefined` become an en dash. */

/** What stands where a value is unknown. */
export const UNKNOWN = "–";

/** Between a number and its unit: they stay on one line. */
const GAP = "\u00a0";

const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {unknown} value */
export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * A whole number with thousands separated by commas.
 * @param {number|null|undefined} value
 */
export function count(value) {
  return isNumber(value) ? Math.round(value).toLocaleString("en-GB") : UNKNOWN;
}

/**
 * A short form of a large number: 950, 12.3 k, 4.56 M.
 * @param {number|null|undefined} value
 */
export function compact(value) {
  if (!isNumber(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size < 1_000) return trimmed(value, size < 10 ? 1 : 0);
  if (size < 999_500) return `${significant(value / 1_000)}${GAP}k`;
  if (size < 999_500_000) return `${significant(value / 1_000_000)}${GAP}M`;
  return `${significant(value / 1_000_000_000)}${GAP}G`;
}

/**
 * A share as a percentage: 0.4213 → "42.1 %".
 * @param {number|null|undefined} share 0 to 1
 * @param {number} digits after the point
 */
export function percent(share, digits = 1) {
  return isNumber(share) ? `${(share * 100).toFixed(digits)}${GAP}%` : UNKNOWN;
}

/**
 * A number with a fixed number of digits after the point.
 * @param {number|null|undefined} value
 */
export function fixed(value, digits = 2) {
  return isNumber(value) ? value.toFixed(digits) : UNKNOWN;
}

/**
 * Bytes in binary units: 1536 → "1.5 KiB".
 * @param {number|null|undefined} value
 */
export function bytes(value) {
  if (!isNumber(value)) return UNKNOWN;
  let [size, unit] = [value, 0];
  while (Math.abs(size) >= 1023.5 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(size)}${GAP}B` : `${significant(size)}${GAP}${BYTE_UNITS[unit]}`;
}

/**
 * A duration in one or two units: 42 s, 12 min, 3 h 05 min, 4 d 2 h.
 * @param {number|null|undefined} seconds
 */
export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  const whole = Math.max(0, seconds);
  if (whole < 0.0005) return `0${GAP}s`;
  if (whole < 0.9995) return `${Math.round(whole * 1_000)}${GAP}ms`;
  if (whole < 10) return `${trimmed(whole, 1)}${GAP}s`;
  if (whole < 90) return `${Math.round(whole)}${GAP}s`;
  const minutes = Math.floor(whole / MINUTE_S);
  if (whole < HOUR_S) return `${minutes}${GAP}min`;
  if (whole < DAY_S) {
    return `${Math.floor(whole / HOUR_S)}${GAP}h ${String(minutes % 60).padStart(2, "0")}${GAP}min`;
  }
  return `${Math.floor(whole / DAY_S)}${GAP}d ${Math.floor((whole % DAY_S) / HOUR_S)}${GAP}h`;
}

/**
 * Milliseconds since the epoch of an RFC 3339 text; `null` when there is none or it is not one.
 * @param {string|null|undefined} text
 */
export function millisOf(text) {
  if (!text) return null;
  const millis = Date.parse(text);
  return Number.isNaN(millis) ? null : millis;
}

/** 07:32 of a moment, in UTC. @param {number|null} millis since the epoch */
export function clockMinute(millis) {
  return isNumber(millis) ? new Date(millis).toISOString().slice(11, 16) : UNKNOWN;
}

/** 07:32:05 of a moment, in UTC. @param {number|null} millis since the epoch */
export function clockSecond(millis) {
  return isNumber(millis) ? new Date(millis).toISOString().slice(11, 19) : UNKNOWN;
}

/** 2026-02-07 07:32 of a moment, in UTC. @param {number|null} millis since the epoch */
export function dateMinute(millis) {
  return isNumber(millis) ? new Date(millis).toISOString().slice(0, 16).replace("T", " ") : UNKNOWN;
}

/** Three significant digits, without zeros at the end of a fraction. */
function significant(value) {
  const size = Math.abs(value);
  return trimmed(value, size < 10 ? 2 : size < 100 ? 1 : 0);
}

function trimmed(value, digits) {
  return String(Number(value.toFixed(digits)));
}
