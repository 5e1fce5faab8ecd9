/** Retention of creators: of those whose first upload was in one period, how many uploaded again later. */

import { heatmap } from "../chart/heatmap.js";
import { h } from "../dom.js";
import { cohortsOf, grainFor } from "../lib/cohorts.js";
import { count, dateMinute, millisOf, percent } from "../lib/format.js";
import { ask } from "./ask.js";
import { UPLOAD_SPAN, uploadCohorts } from "./queries.js";

/** Loads the panel's content. */
export async function loadCohorts() {
  const [span] = await ask(UPLOAD_SPAN);
  const [first, last] = [millisOf(span?.first_upload), millisOf(span?.last_upload)];
  const note = "Share of creators who upload again, by the period of their first upload; from dims.dim_videos";
  if (first === null || last === null) return { content: nothing(), note, sql: UPLOAD_SPAN };
  const grain = grainFor(first, last);
  const sql = uploadCohorts(grain.unit);
  const rows = await ask(sql);
  const cohorts = cohortsOf(
    rows.map((row) => ({ cohort: millisOf(row.cohort), period: millisOf(row.period), creators: row.creators })),
    grain,
  );
  return { content: drawn(cohorts, grain), note, sql };
}

function nothing() {
  return h(
    "p",
    { class: "empty" },
    "No video with a creator and an upload time is known yet. They come from the changes of videos (CDC).",
  );
}

function drawn(cohorts, grain) {
  const periods = Math.max(1, ...cohorts.map((cohort) => cohort.shares.filter((share) => share !== null).length));
  const name = (start) => (grain.unit === "hour" ? `${dateMinute(start)} UTC` : dateMinute(start).slice(0, 10));
  const table = heatmap({
    caption: `Share of creators who uploaded again, by ${grain.unit} since the first upload`,
    corner: `First upload (${grain.unit})`,
    columns: ["Creators", ...Array.from({ length: periods - 1 }, (_, later) => `+${later + 1} ${grain.unit}`)],
    rows: cohorts.map((cohort) => ({
      name: name(cohort.start),
      cells: cohort.shares.slice(0, periods).map((share, later) => cellOf(cohort, share, later, grain.unit)),
    })),
    domain: [0, 0.7],
    format: (value) => percent(value, 0),
  });
  const plain =
    cohorts.length === 1
      ? h(
          "p",
          { class: "hint" },
          `All of these creators began in the same ${grain.unit}: cohorts to compare with come with time.`,
        )
      : null;
  const scroll = h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table of cohorts" }, table);
  return h("div", {}, scroll, plain);
}

function cellOf(cohort, share, later, unit) {
  if (share === null) return null;
  if (later === 0) return { value: 1, text: count(cohort.size), note: `${count(cohort.size)} creators began here` };
  return {
    value: share,
    note: `${count(share * cohort.size)} of ${count(cohort.size)} creators uploaded again ${later} ${unit}${later > 1 ? "s" : ""} later`,
  };
}
