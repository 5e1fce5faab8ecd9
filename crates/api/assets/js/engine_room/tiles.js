/** The four numbers on top of the Engine Room, and the sentence about an engine that is not well. */

import { byId, setText } from "../dom.js";
import { bytes, compact, count, duration, isNumber } from "../lib/format.js";

const FRESHNESS_TONES = { fresh: "good", degraded: "warn", stale: "bad" };

/** @param {object} health as the API gives it */
export function showHealthTiles(health) {
  const { freshness, partitions } = health;
  const known = isNumber(freshness?.gold_p95_s);
  tile(
    "freshness",
    duration(freshness?.gold_p95_s),
    known ? (FRESHNESS_TONES[freshness.state] ?? "none") : "none",
    `promise: under ${duration(freshness?.target_s ?? 180)}; state ${freshness?.state ?? "unknown"}`,
  );
  const lag = partitions.reduce((sum, partition) => sum + (partition.lag_records ?? 0), 0);
  const paused = partitions.filter((partition) => partition.paused).length;
  tile(
    "lag",
    compact(lag),
    "none",
    `records behind, in ${count(partitions.length)} partitions${paused > 0 ? `; ${paused} held back` : ""}`,
  );
  const restarts = typeof health.restarts === "number" ? health.restarts : health.restarts?.total;
  tile(
    "restarts",
    count(restarts),
    restarts > 0 ? "warn" : "none",
    restarts > 0 ? "of shards, since the start" : "none since the start",
  );
  const notice = byId("health");
  notice.hidden = health.ok;
  if (!health.ok) setText(notice, `The engine is not well: ${health.reason ?? health.state ?? "it does not say why"}.`);
}

/** @param {object} engine as the API gives it */
export function showRateTile(engine) {
  const rate = engine.rate ?? {};
  const uptime = isNumber(engine.uptime_s) ? `; up for ${duration(engine.uptime_s)}` : "";
  tile("rate", `${compact(rate.records_per_s)}/s`, "none", `${bytes(rate.bytes_per_s)}/s${uptime}`);
}

function tile(id, value, tone, note) {
  byId(`${id}-tile`).dataset.tone = tone;
  setText(byId(`${id}-value`), value);
  setText(byId(`${id}-note`), note);
}
