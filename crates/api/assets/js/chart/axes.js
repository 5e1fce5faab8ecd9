/** Axes, grid lines and threshold lines of the charts with two axes. */

import { s } from "../dom.js";
import { linear, ticks, timeTicks } from "../lib/scale.js";
import { clockMinute } from "../lib/format.js";

/** Half of the height of a letter: centres a text on its line. */
const TEXT_MIDDLE = 4;

/**
 * Where a chart's inner area lies, and its scales.
 * @param {{width: number, height: number}} size
 * @param {{top: number, right: number, bottom: number, left: number}} margin
 * @param {[number, number]} xs domain
 * @param {[number, number]} ys domain
 */
export function plot({ width, height }, margin, xs, ys) {
  const area = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
  return { ...area, xs, ys, x: linear(xs, [area.left, area.right]), y: linear(ys, [area.bottom, area.top]) };
}

/**
 * Horizontal grid lines with their numbers.
 * @param {ReturnType<typeof plot>} at
 * @param {(value: number) => string} format
 */
export function yAxis(at, format, wanted = 4, unit = 1) {
  return s(
    "g",
    { class: "axis" },
    ...inside(ticks(...at.ys, wanted, unit), at.ys).flatMap((value) => [
      s("line", { class: "grid", x1: at.left, x2: at.right, y1: at.y(value), y2: at.y(value) }),
      s("text", { x: at.left - 8, y: at.y(value) + TEXT_MIDDLE, "text-anchor": "end" }, format(value)),
    ]),
  );
}

/**
 * Numbers below the area.
 * @param {ReturnType<typeof plot>} at
 * @param {(value: number) => string} format
 */
export function xAxis(at, format, wanted = 5) {
  return below(at, inside(ticks(...at.xs, wanted), at.xs), format);
}

/** Times below the area, UTC. @param {ReturnType<typeof plot>} at with milliseconds since the epoch */
export function timeAxis(at) {
  const wanted = Math.max(2, Math.floor((at.right - at.left) / 75));
  return below(at, timeTicks(...at.xs, wanted), clockMinute);
}

/**
 * A horizontal line that means something, with its name above its right end.
 * @param {ReturnType<typeof plot>} at
 * @param {number} value
 * @param {string} label
 * @param {string} tone class of its colour
 */
export function threshold(at, value, label, tone) {
  const y = at.y(value);
  return s(
    "g",
    { class: `threshold ${tone}` },
    s("line", { x1: at.left, x2: at.right, y1: y, y2: y }),
    s("text", { x: at.right, y: y - 5, "text-anchor": "end" }, label),
  );
}

function below(at, values, format) {
  return s(
    "g",
    { class: "axis" },
    s("line", { class: "base", x1: at.left, x2: at.right, y1: at.bottom, y2: at.bottom }),
    ...values.flatMap((value) => [
      s("line", { class: "base", x1: at.x(value), x2: at.x(value), y1: at.bottom, y2: at.bottom + 4 }),
      s("text", { x: at.x(value), y: at.bottom + 17, "text-anchor": anchor(at, at.x(value)) }, format(value)),
    ]),
  );
}

/** A text at the right edge ends there instead of being cut. */
function anchor(at, x) {
  return x > at.right - 12 ? "end" : "middle";
}

function inside(values, [low, high]) {
  const slack = (high - low) * 1e-9;
  return values.filter((value) => value >= low - slack && value <= high + slack);
}
