/** Completion by length and category: which kind of video is watched to its end. */

import { heatmap } from "../chart/heatmap.js";
import { h } from "../dom.js";
import { BIN_NAMES } from "../lib/duration_bins.js";
import { count, percent } from "../lib/format.js";
import { ask } from "./ask.js";
import { completionByBin } from "./queries.js";

/** Cells of fewer plays than this say little and stay empty. */
const FEWEST_PLAYS = 20;

/** @param {string} since RFC 3339 */
export async function loadHeatmap(since) {
  const sql = completionByBin(since);
  const rows = await ask(sql);
  const note = "Plays finished / started, last 24 h of gold.rt_video_stats_1min with dims.dim_videos";
  return { content: rows.length > 0 ? drawn(rows) : nothing(), note, sql };
}

function nothing() {
  return h(
    "p",
    { class: "empty" },
    "No play of a known video in the last 24 hours. Dimension rows come from the changes of videos (CDC).",
  );
}

function drawn(rows) {
  const categories = [...new Set(rows.map((row) => row.category))].sort();
  const cells = new Map(rows.map((row) => [`${row.category} ${row.duration_bin}`, row]));
  const rates = rows.filter((row) => row.play_start >= FEWEST_PLAYS).map((row) => row.play_finish / row.play_start);
  const table = heatmap({
    caption: "Completion rate by length of the video and category",
    corner: "Category",
    columns: BIN_NAMES,
    rows: categories.map((category) => ({
      name: category,
      cells: BIN_NAMES.map((_, bin) => cellOf(cells.get(`${category} ${bin}`))),
    })),
    domain: [Math.min(...rates, 1), Math.max(...rates, 0)],
    format: (value) => percent(value, 0),
  });
  const scroll = h(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": "Heatmap of completion" },
    table,
  );
  return h("div", {}, scroll, h("p", { class: "hint" }, `Cells with fewer than ${FEWEST_PLAYS} plays are left empty.`));
}

function cellOf(row) {
  if (!row || row.play_start < FEWEST_PLAYS) return null;
  return {
    value: row.play_finish / row.play_start,
    note: `${count(row.play_finish)} of ${count(row.play_start)} plays were finished`,
  };
}
