/** Velocity × completion: a circle per video, its area the views, its colour the quadrant; thresholds and quadrants drawn. */

import { s } from "../dom.js";
import { compact, fixed, percent } from "../lib/format.js";
import { QUADRANTS, velocityEnd } from "../lib/quadrant.js";
import { area } from "../lib/scale.js";
import { chart } from "./figure.js";
import { plot, xAxis, yAxis } from "./axes.js";

const MARGIN = { top: 20, right: 14, bottom: 42, left: 50 };
const RADII = [3.5, 22];
/** Below this width, pixels, there is room for less. */
const NARROW = 500;
const NARROW_RADII = [3, 14];
/** Circles that are named in the chart. */
const NAMED = 4;

/**
 * @param {HTMLElement} host
 * @param {{height?: number, onPick: (videoId: string) => void}} options
 * @returns {{show: (data: {videos: object[], thresholds: {velocity_p90: number|null, completion: number}}) => void}}
 */
export function scatterChart(host, { height = 400, onPick }) {
  const whenEmpty = ({ videos }) => (videos.length === 0 ? "No video has been seen in the last 30 minutes." : "");
  return chart(host, { height, draw: (data, size) => draw(data, size, onPick), describe, tabulate, whenEmpty });
}

function draw({ videos, thresholds }, size, onPick) {
  const isFast = thresholds.velocity_p90;
  const end = velocityEnd(
    videos.map((video) => video.velocity_30m),
    isFast,
  );
  const at = plot(size, MARGIN, [0, 1], [0, end]);
  const largest = Math.max(...videos.map((video) => video.impressions_30m));
  const isNarrow = size.width < NARROW;
  const radius = area(largest, isNarrow ? NARROW_RADII : RADII);
  const bySize = [...videos].sort((left, right) => right.impressions_30m - left.impressions_30m);
  return [
    quadrantAreas(at, thresholds),
    yAxis(at, (value) => fixed(value), 5),
    xAxis(at, (value) => percent(value, 0), isNarrow ? 2 : 5),
    axisName(at, size),
    ...marks(at, thresholds),
    s("g", { class: "bubbles" }, ...bySize.map((video) => bubble(video, at, radius, onPick))),
    s("g", { class: "names", "aria-hidden": "true" }, ...names(videos, at, radius)),
  ];
}

function bubble(video, at, radius, onPick) {
  const words = `${video.video_id}: velocity ${fixed(video.velocity_30m, 3)}, completion ${percent(video.completion_rate_30m)}, ${compact(video.impressions_30m)} views`;
  return s("circle", {
    class: `bubble ${video.quadrant}`,
    cx: at.x(video.completion_rate_30m).toFixed(1),
    cy: at.y(video.velocity_30m).toFixed(1),
    r: radius(video.impressions_30m).toFixed(1),
    "data-tip": words,
    onclick: () => onPick(video.video_id),
  });
}

/** Names beside the fastest circles; one that would lie on another is left out. */
function names(videos, at, radius) {
  const taken = [];
  const fastest = [...videos].sort((left, right) => right.velocity_30m - left.velocity_30m).slice(0, NAMED * 2);
  const texts = [];
  for (const video of fastest) {
    const distance = radius(video.impressions_30m) + 5;
    const x = at.x(video.completion_rate_30m);
    const y = at.y(video.velocity_30m) + 4;
    const wide = video.video_id.length * 7;
    const isLeft = x + distance + wide > at.right;
    const from = isLeft ? x - distance - wide : x + distance;
    const isFree = taken.every((other) => Math.abs(other.y - y) > 13 || other.from > from + wide || other.until < from);
    if (!isFree || texts.length === NAMED) continue;
    taken.push({ from, until: from + wide, y });
    texts.push(
      s(
        "text",
        { x: isLeft ? x - distance : x + distance, y, "text-anchor": isLeft ? "end" : "start" },
        video.video_id,
      ),
    );
  }
  return texts;
}

function quadrantAreas(at, thresholds) {
  const splitX = at.x(thresholds.completion);
  const splitY = at.y(thresholds.velocity_p90 ?? at.ys[1]);
  const label = (name, x, y, anchor) =>
    s("text", { class: `quadrant-name ${name}`, x, y, "text-anchor": anchor }, QUADRANTS[name].label);
  const shade = (name, x, width) =>
    s("rect", { class: `quadrant ${name}`, x, y: at.top, width, height: Math.max(0, splitY - at.top) });
  return s(
    "g",
    { "aria-hidden": "true" },
    shade("clickbait", at.left, splitX - at.left),
    shade("supernova", splitX, at.right - splitX),
    label("clickbait", at.left + 10, at.top + 20, "start"),
    label("supernova", at.right - 10, at.top + 20, "end"),
    label("quiet", at.left + 10, at.bottom - 10, "start"),
    label("steady", at.right - 10, at.bottom - 10, "end"),
  );
}

function marks(at, { velocity_p90: velocity, completion }) {
  const x = at.x(completion);
  const gate = s(
    "g",
    { class: "threshold" },
    s("line", { x1: x, x2: x, y1: at.top, y2: at.bottom }),
    s("text", { x, y: at.top - 6, "text-anchor": "middle" }, `gate ${percent(completion, 0)}`),
  );
  if (velocity === null || velocity === undefined) return [gate];
  const y = at.y(velocity);
  const line = s(
    "g",
    { class: "threshold" },
    s("line", { x1: at.left, x2: at.right, y1: y, y2: y }),
    s("text", { x: at.left + 10, y: y - 5 }, `p90 ${fixed(velocity, 3)}`),
  );
  return [gate, line];
}

function axisName(at, size) {
  return s(
    "g",
    { class: "axis" },
    s("text", { x: (at.left + at.right) / 2, y: size.height - 6, "text-anchor": "middle" }, "completion rate, 30 min"),
    s(
      "text",
      { transform: `translate(12 ${(at.top + at.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
      "velocity, 30 min",
    ),
  );
}

function describe({ videos, thresholds }) {
  const inQuadrant = (name) => videos.filter((video) => video.quadrant === name).length;
  const parts = Object.entries(QUADRANTS).map(([name, { label }]) => `${label} ${inQuadrant(name)}`);
  return `Velocity against completion of ${videos.length} videos. ${parts.join(", ")}. Velocity mark ${fixed(thresholds.velocity_p90, 3)}, completion mark ${percent(thresholds.completion, 0)}.`;
}

function tabulate({ videos }) {
  const rows = videos.map((video) => [
    video.video_id,
    fixed(video.velocity_30m, 3),
    percent(video.completion_rate_30m),
    compact(video.impressions_30m),
    QUADRANTS[video.quadrant]?.label ?? video.quadrant,
  ]);
  return { head: ["Video", "Velocity", "Completion", "Views", "Quadrant"], rows };
}
