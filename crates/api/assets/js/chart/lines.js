/** Lines over time, with thresholds; one chart, several series, gaps where a value is unknown. */

import { s } from "../dom.js";
import { ticks } from "../lib/scale.js";
import { clockMinute } from "../lib/format.js";
import { chart } from "./figure.js";
import { plot, threshold, timeAxis, yAxis } from "./axes.js";

/**
 * @typedef {{name: string, tone: string, points: {at: number, value: number|null}[]}} Series `at`: milliseconds since the epoch
 * @typedef {{value: number, label: string, tone: string}} Threshold
 *
 * @param {HTMLElement} host
 * @param {object} options
 * @param {string} options.title of what, for the description
 * @param {(value: number) => string} options.format of the values
 * @param {number} [options.height]
 * @param {Threshold[]} [options.thresholds]
 * @param {number} [options.least] the axis reaches at least up to here
 * @param {number} [options.floor] the axis begins here if every value is above, else at 0
 * @param {(high: number) => number} [options.unitOf] what ticks are multiples of, as in `ticks`
 * @param {boolean} [options.isStepped] a value holds until the next one
 * @param {string} [options.empty] what to say without points
 * @param {(at: number) => string} [options.formatTime]
 * @returns {{show: (series: Series[]) => void}}
 */
export function lineChart(host, options) {
  const {
    title,
    format,
    height = 200,
    thresholds = [],
    least = 0,
    floor = 0,
    unitOf = () => 1,
    isStepped = false,
    formatTime = clockMinute,
  } = options;
  const empty = options.empty ?? "No data yet.";

  function draw(series, size) {
    const values = known(series).map((point) => point.value);
    const highest = Math.max(least, ...values, ...thresholds.map((line) => line.value)) || 1;
    const bottom = values.every((value) => value >= floor) ? floor : 0;
    const unit = unitOf(highest);
    const top = ticks(bottom, highest, 4, unit).at(-1);
    const times = known(series).map((point) => point.at);
    const widest = Math.max(...ticks(bottom, top, 4, unit).map((value) => format(value).length));
    const margin = { top: 14, right: 12, bottom: 26, left: 14 + widest * 7 };
    const at = plot(size, margin, [Math.min(...times), Math.max(...times)], [bottom, top]);
    return [
      yAxis(at, format, 4, unit),
      timeAxis(at),
      ...thresholds.map((line) => threshold(at, line.value, line.label, line.tone)),
      ...series.flatMap((one) => [
        s("path", { class: `line ${one.tone}`, d: path(one.points, at, isStepped) }),
        lastPoint(one, at),
      ]),
    ];
  }

  function describe(series) {
    const parts = series.map((one) => {
      const last = one.points.filter(isKnown).at(-1);
      return last ? `${one.name}: ${format(last.value)} at ${formatTime(last.at)} UTC` : `${one.name}: unknown`;
    });
    const marks = thresholds.map((line) => line.label);
    return [`${title}.`, `${parts.join("; ")}.`, marks.length > 0 ? `Marks: ${marks.join(", ")}.` : ""]
      .join(" ")
      .trim();
  }

  function tabulate(series) {
    const times = [...new Set(series.flatMap((one) => one.points.map((point) => point.at)))].sort(
      (left, right) => right - left,
    );
    const bySeries = series.map((one) => new Map(one.points.map((point) => [point.at, point.value])));
    const rows = times.map((time) => [formatTime(time), ...bySeries.map((values) => text(values.get(time), format))]);
    return { head: ["Time (UTC)", ...series.map((one) => one.name)], rows };
  }

  const whenEmpty = (series) => (known(series).length === 0 ? empty : "");
  return chart(host, { height, draw, describe, tabulate, whenEmpty });
}

function isKnown(point) {
  return point.value !== null && point.value !== undefined;
}

function known(series) {
  return series.flatMap((one) => one.points.filter(isKnown));
}

function text(value, format) {
  return value === null || value === undefined ? "–" : format(value);
}

/** The path of a series; an unknown value ends one stroke, the next known one begins another. */
function path(points, at, isStepped) {
  let isDown = false;
  const strokes = points.map((point) => {
    if (!isKnown(point)) {
      isDown = false;
      return "";
    }
    const [x, y] = [at.x(point.at).toFixed(1), at.y(point.value).toFixed(1)];
    const stroke = !isDown ? `M${x} ${y}` : isStepped ? `H${x}V${y}` : `L${x} ${y}`;
    isDown = true;
    return stroke;
  });
  return strokes.join("");
}

function lastPoint(one, at) {
  const last = one.points.filter(isKnown).at(-1);
  return last ? s("circle", { class: `dot ${one.tone}`, cx: at.x(last.at), cy: at.y(last.value), r: 3.5 }) : null;
}
