/** The videos of a day: from the batch table once it exists, and from the real-time table until then. */

import { liveTable } from "../chart/live_table.js";
import { h } from "../dom.js";
import { count, fixed, percent, UNKNOWN } from "../lib/format.js";
import { ask } from "./ask.js";
import { BATCH_DAILY, realTimeDaily } from "./queries.js";

const BATCH_COLUMNS = [
  { name: "Video", text: (row) => row.video_id },
  { name: "Category that day", text: (row) => row.category ?? UNKNOWN },
  { name: "Watch time, hours", isNumber: true, text: (row) => fixed(row.watch_hours, 1) },
  { name: "Completion", isNumber: true, text: (row) => percent(row.completion_rate) },
  { name: "Viewers", isNumber: true, text: (row) => count(row.unique_viewers) },
  { name: "Back the next day", isNumber: true, text: (row) => percent(row.retention_d1) },
];

const REAL_TIME_COLUMNS = [
  { name: "Video", text: (row) => row.video_id },
  { name: "Category now", text: (row) => row.category ?? UNKNOWN },
  { name: "Watch time, hours", isNumber: true, text: (row) => fixed(row.watch_hours, 1) },
  {
    name: "Completion",
    isNumber: true,
    text: (row) => percent(row.play_start > 0 ? row.play_finish / row.play_start : null),
  },
  { name: "Impressions", isNumber: true, text: (row) => count(row.impressions) },
];

/** @param {boolean} hasBatch whether gold.batch_video_daily exists @param {string} since RFC 3339, for the real-time table */
export async function loadDaily(hasBatch, since) {
  if (hasBatch) {
    const rows = await ask(BATCH_DAILY);
    const note =
      rows.length > 0 ? `${rows[0].date}, from gold.batch_video_daily` : "gold.batch_video_daily has no day yet";
    return { content: table(BATCH_COLUMNS, rows, "No day has been computed yet."), note, sql: BATCH_DAILY };
  }
  const sql = realTimeDaily(since);
  const rows = await ask(sql);
  const missing = h(
    "p",
    { class: "notice" },
    "The batch table gold.batch_video_daily is not there yet: viewers and their return the next day are unknown. Below are the last 24 hours of the real-time table, 50 videos with the most watch time.",
  );
  const content = h(
    "div",
    { class: "stack" },
    missing,
    table(REAL_TIME_COLUMNS, rows, "No video in the last 24 hours."),
  );
  return { content, note: "Last 24 h, from gold.rt_video_stats_1min", sql };
}

function table(columns, rows, whenEmpty) {
  const made = liveTable({ caption: "Videos of the day", columns, whenEmpty });
  made.show(rows);
  return made.element;
}
