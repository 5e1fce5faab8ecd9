/** A video's last half hour: facts, metrics, and its minutes as two charts. */

import { get } from "../api.js";
import { legend } from "../chart/legend.js";
import { lineChart } from "../chart/lines.js";
import { fill, h } from "../dom.js";
import { compact, count, dateMinute, duration, fixed, millisOf, percent, UNKNOWN } from "../lib/format.js";
import { QUADRANTS } from "../lib/quadrant.js";

const REFRESH_MS = 2_000;
const PARAMETER = "video";
const VIEWS = [
  { field: "impressions", name: "Impressions", tone: "main" },
  { field: "play_start", name: "Plays started", tone: "steady" },
  { field: "play_finish", name: "Plays finished", tone: "supernova" },
  { field: "skips", name: "Skips", tone: "clickbait" },
];
const REACTIONS = [
  { field: "likes", name: "Likes", tone: "supernova" },
  { field: "shares", name: "Shares", tone: "steady" },
];

/** The video that the address asks for, so that a detail can be sent to somebody. @returns {string|null} */
export function videoInAddress() {
  return new URLSearchParams(location.search).get(PARAMETER);
}

/** Opens the detail of a video; it follows the video until it is closed. @param {string} videoId */
export function openVideo(videoId) {
  putInAddress(videoId);
  const facts = h("dl", { class: "facts" });
  const message = h("p", { class: "empty" }, "Loading …");
  const views = h("figure", {}, h("figcaption", {}, "Views per minute"), legend(VIEWS));
  const reactions = h("figure", {}, h("figcaption", {}, "Reactions per minute"), legend(REACTIONS));
  const charts = h("div", { class: "pair", hidden: true }, views, reactions);
  const close = h(
    "button",
    { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() },
    "×",
  );
  const dialog = h(
    "dialog",
    { class: "dialog wide", "aria-labelledby": "video-title" },
    h("div", { class: "dialog-head" }, h("h2", { id: "video-title" }, videoId), close),
    facts,
    message,
    charts,
  );
  document.body.append(dialog);
  dialog.showModal();
  const viewChart = minuteChart(views, "Views by minute");
  const reactionChart = minuteChart(reactions, "Reactions by minute");

  async function refresh() {
    try {
      const video = await get(`videos/${encodeURIComponent(videoId)}`);
      message.hidden = true;
      charts.hidden = false;
      showFacts(facts, video);
      viewChart.show(seriesOf(VIEWS, video.minutes));
      reactionChart.show(seriesOf(REACTIONS, video.minutes));
    } catch (error) {
      message.hidden = false;
      message.textContent =
        error.status === 404
          ? "Neither the board nor the last 24 hours of the tables know this video."
          : `No answer: ${error.message}.`;
    }
  }

  const timer = setInterval(refresh, REFRESH_MS);
  dialog.addEventListener("close", () => {
    clearInterval(timer);
    putInAddress(null);
    dialog.remove();
  });
  // A click beside the dialog closes it: such a click's target is the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  refresh();
}

function putInAddress(videoId) {
  const search = videoId === null ? "" : `?${new URLSearchParams({ [PARAMETER]: videoId })}`;
  history.replaceState(history.state, "", location.pathname + search + location.hash);
}

function minuteChart(host, title) {
  return lineChart(host, { title, format: compact, height: 190, empty: "No event in these minutes." });
}

function seriesOf(fields, minutes) {
  return fields.map(({ field, name, tone }) => ({
    name,
    tone,
    points: minutes.map((minute) => ({ at: millisOf(minute.minute), value: minute[field] })),
  }));
}

function showFacts(list, video) {
  const pairs = [
    ["Quadrant", QUADRANTS[video.quadrant]?.label ?? UNKNOWN],
    ["Velocity", `${fixed(video.velocity_30m, 3)} (shrunken ${fixed(video.velocity_shrunk, 3)})`],
    ["Completion", percent(video.completion_rate_30m)],
    ["Skip rate", percent(video.skip_rate_30m)],
    ["Impressions", count(video.impressions_30m)],
    ["Surprise", `${fixed(video.surprise_z, 1)} σ`],
    ["Category", video.category ?? UNKNOWN],
    ["Region", video.region ?? UNKNOWN],
    ["Status", video.status ?? UNKNOWN],
    [
      "Uploaded",
      video.upload_time ? `${dateMinute(millisOf(video.upload_time))} UTC, ${duration(video.age_s)} ago` : UNKNOWN,
    ],
    ["Decision", video.action ? `${video.action.decision_type}, ${video.action.state.toLowerCase()}` : "none"],
    ["Source", video.source === "gold" ? "the gold table (not on the board)" : "the live board"],
  ];
  fill(list, ...pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
