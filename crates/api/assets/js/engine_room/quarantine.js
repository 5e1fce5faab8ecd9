/** What was rejected: how much by code, and the newest records as they came. */

import { liveTable } from "../chart/live_table.js";
import { byId, h, setText } from "../dom.js";
import { clockSecond, count, millisOf } from "../lib/format.js";
import { bar } from "./bar.js";

/** @returns {{show: (codes: {code: string, records: number}[]) => void}} */
export function codeTable() {
  const table = liveTable({
    caption: "Rejected records by code",
    columns: [
      { name: "Code", text: (one) => one.code },
      { name: "Records", isNumber: true, text: (one) => count(one.records) },
      { name: "As a bar", isUnseen: true, class: "bar-cell", node: (one) => bar(one.records / one.most) },
    ],
    whenEmpty: "Nothing was rejected since the start.",
  });
  byId("quarantine-codes").append(table.element);
  return {
    show(codes) {
      const most = Math.max(1, ...codes.map((one) => one.records));
      const all = codes.reduce((sum, one) => sum + one.records, 0);
      const rows = codes.filter((one) => one.records > 0).sort((left, right) => right.records - left.records);
      setText(byId("quarantine-note"), `${count(all)} records since the start`);
      table.show(rows.map((one) => ({ ...one, most })));
    },
  };
}

/** @returns {{show: (records: object[]) => void}} newest first */
export function sampleTable() {
  const table = liveTable({
    caption: "Newest rejected records",
    columns: [
      { name: "Ingested (UTC)", text: (one) => clockSecond(millisOf(one.ingested_at)) },
      { name: "Code", text: (one) => one.code },
      { name: "Where", text: (one) => `${one.topic}-${one.partition} @ ${count(one.offset)}` },
      { name: "Why", text: (one) => one.reason ?? "" },
      { name: "The record's first bytes", node: (one) => h("pre", { class: "raw" }, one.value ?? "") },
    ],
    whenEmpty: "No record has been rejected.",
  });
  byId("quarantine-samples").append(table.element);
  return table;
}
