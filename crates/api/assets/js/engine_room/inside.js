/** The tables of the Engine Room: partitions, actors, tables with their commits, streams and restarts. */

import { liveTable } from "../chart/live_table.js";
import { byId, h } from "../dom.js";
import { bytes, clockSecond, compact, count, duration, millisOf, percent, UNKNOWN } from "../lib/format.js";
import { bar } from "./bar.js";

/** Waiting for more than this share of the time is worth a colour. */
const HEAVY_PRESSURE = 0.3;

/** @returns {{show: (health: object, nowMs: number) => void}} `nowMs` by the engine's clock, since the epoch */
export function partitionTable() {
  const table = placed("partitions", {
    caption: "Partitions of the events",
    columns: [
      { name: "Partition", text: (one) => String(one.partition) },
      { name: "Lag", isNumber: true, text: (one) => count(one.lag_records) },
      { name: "As a bar", isUnseen: true, class: "bar-cell", node: (one) => bar((one.lag_records ?? 0) / one.mostLag) },
      { name: "Watermark (UTC)", isNumber: true, text: (one) => clockSecond(millisOf(one.watermark)) },
      { name: "Behind", isNumber: true, text: (one) => since(one.watermark, one.nowMs) },
      { name: "Fetching", text: (one) => (one.paused ? "held back" : "goes on") },
    ],
    whenEmpty: "No partition is assigned yet.",
  });
  return {
    show(health, nowMs) {
      const mostLag = Math.max(1, ...health.partitions.map((one) => one.lag_records ?? 0));
      table.show(health.partitions.map((one) => ({ ...one, mostLag, nowMs })));
    },
  };
}

/** @returns {{show: (actors: object[]) => void}} actors with their pressure */
export function actorTable() {
  const table = placed("actors", {
    caption: "Mailboxes and back-pressure of the actors",
    columns: [
      { name: "Actor", text: (one) => `${one.actor} ${one.index}` },
      { name: "Mailbox", isNumber: true, text: mailbox },
      {
        name: "As a bar",
        isUnseen: true,
        class: "bar-cell",
        node: (one) => bar((one.mailbox_depth ?? 0) / (one.mailbox_capacity || one.deepest)),
      },
      { name: "Waits for room", isNumber: true, node: (one) => pressure(one.pressure) },
      { name: "In all", isNumber: true, text: (one) => duration(one.backpressure_s) },
    ],
    whenEmpty: "No actor has reported yet.",
  });
  return {
    show(actors) {
      const deepest = Math.max(1, ...actors.map((one) => one.mailbox_depth ?? 0));
      const byName = (left, right) => left.actor.localeCompare(right.actor) || Number(left.index) - Number(right.index);
      table.show([...actors].sort(byName).map((one) => ({ ...one, deepest })));
    },
  };
}

/** @returns {{show: (health: object, engine: object, nowMs: number) => void}} */
export function tableTable() {
  const table = placed("tables", {
    caption: "Tables, their files and commits",
    columns: [
      { name: "Table", text: (one) => one.table },
      { name: "Rows", isNumber: true, text: (one) => compact(one.rows) },
      { name: "Files", isNumber: true, text: (one) => count(one.files) },
      { name: "Average", isNumber: true, text: (one) => bytes(one.average_file_bytes) },
      { name: "Commits", isNumber: true, text: (one) => count(one.commits) },
      {
        name: "P50 / P95",
        isNumber: true,
        text: (one) => `${duration(one.commit?.p50_s)} / ${duration(one.commit?.p95_s)}`,
      },
      { name: "Last, ago", isNumber: true, text: (one) => since(one.last_commit, one.nowMs) },
      { name: "Compactions", isNumber: true, text: (one) => count(one.compaction?.runs ?? 0) },
    ],
    whenEmpty: "No table has a commit yet.",
  });
  const byTable = (list) => new Map((list ?? []).map((one) => [one.table, one]));
  return {
    show(health, engine, nowMs) {
      const [commits, compactions] = [byTable(engine.commits), byTable(engine.compaction)];
      table.show(
        health.tables.map((one) => ({
          ...one,
          nowMs,
          commit: commits.get(one.table),
          compaction: compactions.get(one.table),
        })),
      );
    },
  };
}

/** @returns {{show: (health: object, engine: object) => void}} */
export function streamTables() {
  const streams = placed("streams", {
    caption: "Streams",
    columns: [
      { name: "Stream", text: (one) => one.name },
      {
        name: "Phase",
        node: (one) => h("span", { class: one.phase === "running" ? "tone-good" : "tone-warn" }, one.phase),
      },
    ],
    whenEmpty: "No stream has begun yet.",
  });
  const restarts = placed("restarts", {
    caption: "Restarts",
    columns: [
      { name: "Shard", text: (one) => String(one.shard) },
      { name: "When (UTC)", text: (one) => clockSecond(millisOf(one.at)) },
      { name: "After", text: (one) => one.reason ?? UNKNOWN },
    ],
    whenEmpty: "No shard had to be started again.",
  });
  return {
    show(health, engine) {
      streams.show(health.streams);
      restarts.show(engine.restarts?.last ?? []);
      const remaining = engine.restarts?.remaining;
      const isKnown = remaining !== null && remaining !== undefined;
      byId("restart-budget").textContent = isKnown
        ? `${count(remaining)} restarts are left before the service gives up.`
        : "";
    },
  };
}

function placed(id, what) {
  const table = liveTable(what);
  byId(id).append(table.element);
  return table;
}

function mailbox(one) {
  return one.mailbox_capacity
    ? `${count(one.mailbox_depth)} of ${count(one.mailbox_capacity)}`
    : count(one.mailbox_depth);
}

function pressure(share) {
  return h("span", { class: share > HEAVY_PRESSURE ? "tone-warn" : null }, percent(share, 0));
}

function since(text, nowMs) {
  const at = millisOf(text);
  return at === null ? UNKNOWN : duration((nowMs - at) / 1_000);
}
