/** One video of the trending table. */

import { h, setText, unseen } from "../dom.js";
import { compact, duration, fixed, percent, UNKNOWN } from "../lib/format.js";
import { QUADRANTS } from "../lib/quadrant.js";
import { actionControls } from "./action_controls.js";

/** Columns between the video and its decision: name, class, text of a video. */
export const MEASURES = [
  { name: "Category", short: "Category", text: (video) => video.category ?? UNKNOWN },
  { name: "Region", short: "Region", text: (video) => video.region ?? UNKNOWN },
  { name: "Velocity", short: "Velocity", isNumber: true, text: (video) => fixed(video.velocity_30m, 3) },
  { name: "Completion", short: "Compl.", isNumber: true, text: (video) => percent(video.completion_rate_30m) },
  { name: "Skip rate", short: "Skips", isNumber: true, text: (video) => percent(video.skip_rate_30m) },
  { name: "Impressions", short: "Impr.", isNumber: true, text: (video) => compact(video.impressions_30m) },
  { name: "Age", short: "Age", isNumber: true, text: (video) => duration(video.age_s) },
  { name: "Surprise", short: "Surprise", isNumber: true, text: (video) => signed(video.surprise_z) },
];

/**
 * @param {object} options
 * @param {(videoId: string) => void} options.onPick
 * @param {(action: object) => void} options.onChanged
 * @param {() => number} options.now milliseconds since the epoch, of the engine's time
 */
export function trendingRow({ onPick, onChanged, now }) {
  const rank = h("td", { class: "num rank", role: "cell" });
  const dot = h("span", { class: "dot" });
  const quadrant = unseen("");
  const name = h("button", { type: "button", class: "link" });
  const banned = h("span", { class: "badge", "data-type": "banned", hidden: true }, "banned");
  const cells = MEASURES.map((one) =>
    h("td", { role: "cell", class: one.isNumber ? "num" : "", "data-label": one.short }),
  );
  const controls = actionControls(onChanged);
  const decision = h("td", { role: "cell", class: "decision" }, controls.element);
  const element = h(
    "tr",
    { role: "row" },
    rank,
    h("th", { scope: "row", role: "rowheader", class: "video" }, dot, name, quadrant, banned),
    ...cells,
    decision,
  );
  let current = null;
  name.addEventListener("click", () => onPick(current.video_id));

  function show(video) {
    current = video;
    element.dataset.video = video.video_id;
    setText(rank, String(video.rank ?? ""));
    dot.className = `dot ${video.quadrant}`;
    dot.dataset.tip = QUADRANTS[video.quadrant]?.label ?? "";
    setText(quadrant, ` (${QUADRANTS[video.quadrant]?.label ?? "unknown"})`);
    setText(name, video.video_id);
    banned.hidden = video.status !== "banned";
    MEASURES.forEach((one, place) => setText(cells[place], one.text(video)));
    controls.show(video.action, now());
  }

  return { element, show };
}

function signed(value) {
  const text = fixed(value, 1);
  return value > 0 ? `+${text}` : text.replace("-", "−");
}
