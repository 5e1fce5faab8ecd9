/** The charts over the last hour: freshness, rate, files and their size. */

import { lineChart } from "../chart/lines.js";
import { byId, fill, h } from "../dom.js";
import { bytes, clockSecond, compact, duration, millisOf } from "../lib/format.js";
import { byteUnit, secondUnit } from "../lib/scale.js";

const TARGET_S = 180;
/** The table that is shown first: its small files are many. */
const FIRST_TABLE = "gold.rt_video_stats_1min";
const EMPTY = "The history begins with the engine: the first samples come within half a minute.";

/** @returns {{show: (engine: object) => void}} */
export function historyCharts() {
  const freshness = lineChart(byId("freshness-chart"), {
    title: "Event to gold, P95 in seconds",
    format: duration,
    unitOf: secondUnit,
    formatTime: clockSecond,
    thresholds: [{ value: TARGET_S, label: "promise 3 min", tone: "bad" }],
    empty: EMPTY,
  });
  const rate = lineChart(byId("rate-chart"), {
    title: "Records per second",
    format: compact,
    formatTime: clockSecond,
    empty: EMPTY,
  });
  const files = lineChart(byId("files-chart"), {
    title: "Live files",
    format: compact,
    formatTime: clockSecond,
    isStepped: true,
    empty: EMPTY,
  });
  const sizes = lineChart(byId("size-chart"), {
    title: "Average file size",
    format: bytes,
    unitOf: byteUnit,
    formatTime: clockSecond,
    isStepped: true,
    empty: EMPTY,
  });
  const select = byId("files-table");
  let last = null;
  select.addEventListener("change", () => last && showFiles(last));

  function showFiles(engine) {
    const tables = engine.tables ?? [];
    offer(
      select,
      tables.map((table) => table.table),
    );
    const history = tables.find((table) => table.table === select.value)?.history ?? [];
    files.show([line("Files", history, "files")]);
    sizes.show([line("Average size", history, "average_file_bytes")]);
  }

  return {
    show(engine) {
      last = engine;
      freshness.show([line("P95", engine.freshness?.history ?? [], "gold_p95_s")]);
      rate.show([line("Records/s", engine.rate?.history ?? [], "records_per_s")]);
      showFiles(engine);
    },
  };
}

function line(name, history, field) {
  return { name, tone: "main", points: history.map((sample) => ({ at: millisOf(sample.at), value: sample[field] })) };
}

function offer(select, names) {
  const offered = [...select.options].map((option) => option.value);
  if (offered.join() === names.join()) return;
  const chosen = select.value || FIRST_TABLE;
  fill(select, ...names.map((name) => h("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : (names[0] ?? "");
}
