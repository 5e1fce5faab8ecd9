/** The Diagnosis: what the tables say about the last day, and about the days before once the batch has run. */

import { byId } from "../dom.js";
import { dateMinute, millisOf } from "../lib/format.js";
import { startPage } from "../shell/page.js";
import { ask } from "./ask.js";
import { loadCohorts } from "./cohorts_panel.js";
import { loadDaily } from "./daily_panel.js";
import { loadHeatmap } from "./heatmap_panel.js";
import { panel } from "./panel.js";
import { NEWEST_WINDOW, TABLES } from "./queries.js";

const DAY_MS = 86_400_000;

startPage({ sources: { health: () => "health" }, onEvent: () => {} });
load();

async function load() {
  const lead = byId("window");
  let since = null;
  let hasBatch = false;
  try {
    const tables = await ask(TABLES);
    hasBatch = tables.some((table) => table.table_schema === "gold" && table.table_name === "batch_video_daily");
    const [row] = await ask(NEWEST_WINDOW);
    const newest = millisOf(row?.newest);
    since = newest === null ? null : new Date(newest - DAY_MS).toISOString();
    const batch = hasBatch
      ? "The batch tables are there."
      : "The batch tables (T+1) are not there yet: what can be had without them is shown.";
    lead.textContent =
      newest === null
        ? "The real-time table has no closed window yet: come back in a minute."
        : `24 hours up to ${dateMinute(newest)} UTC. ${batch}`;
  } catch (error) {
    lead.classList.add("notice", "bad");
    lead.textContent = `The tables can't be asked: ${error.message}`;
    return;
  }
  if (since === null) return;
  // One after the other: the query process serves people, and its memory is bounded.
  await panel("heatmap", () => loadHeatmap(since));
  await panel("cohorts", loadCohorts);
  await panel("daily", () => loadDaily(hasBatch, since));
}
