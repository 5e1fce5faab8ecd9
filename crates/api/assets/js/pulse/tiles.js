/** The four numbers on top: doomscroll rate, cold start, fresh supply, decisions. */

import { drawGauge } from "../chart/gauge.js";
import { byId, setAttribute, setText } from "../dom.js";
import { clockMinute, compact, count, millisOf, percent } from "../lib/format.js";
import { MARKS, toneOfRate } from "./doomscroll.js";

const COLD_START_TONES = { green: "good", amber: "warn", red: "bad" };
const FRESHNESS_TONES = { fresh: "good", degraded: "warn", stale: "bad" };
const FRESHNESS_MEANS = {
  fresh: "data is fresh: every decision is made",
  degraded: "data is late: only REVIEW is made",
  stale: "data is too old: no decision is made",
};
/** Right end of the gauge: twice the target. */
const GAUGE_END = 0.4;

/** @param {object} pulse as the API gives it */
export function showPulseTiles(pulse) {
  const { doomscroll, cold_start: coldStart, fresh_supply: supply } = pulse;
  tile(
    "doomscroll",
    percent(doomscroll.rate),
    toneOfRate(doomscroll.state),
    `warn above ${percent(MARKS.warn, 0)}, alert above ${percent(MARKS.alert, 0)}`,
  );

  const target = coldStart.target ?? 0.2;
  const red = coldStart.red ?? 0.1;
  const share = coldStart.videos > 0 ? coldStart.share : null;
  tile(
    "cold-start",
    percent(share),
    share === null ? "none" : COLD_START_TONES[coldStart.state],
    share === null
      ? "no video is younger than 1 h"
      : `of ${count(coldStart.videos)} videos younger than 1 h move; target ${percent(target, 0)}`,
  );
  const zones = [
    { until: red, tone: "bad" },
    { until: target, tone: "warn" },
    { until: GAUGE_END, tone: "good" },
  ];
  const label = `Cold start ${percent(share)}: red below ${percent(red, 0)}, target ${percent(target, 0)}`;
  drawGauge(byId("cold-start-gauge"), { value: share, end: GAUGE_END, zones, label });

  const ratio = supply.active > 0 ? supply.ratio : null;
  tile(
    "fresh-supply",
    percent(ratio),
    "none",
    supply.active > 0
      ? `${compact(supply.fresh)} of ${compact(supply.active)} active videos are younger than 1 h`
      : "no video is active",
  );
  setAttribute(byId("fresh-supply-meter"), "width", ((ratio ?? 0) * 100).toFixed(1));
}

/** @param {object} decisions as the API gives them @param {object[]} actions the newest known */
export function showDecisionTile(decisions, actions) {
  const word = decisions.freshness ?? "unknown";
  const open = actions.filter((action) => action.state === "PENDING").length;
  const decided = decisions.last_decided_minute;
  const newest = decided ? `last minute decided ${clockMinute(millisOf(decided))} UTC` : "no minute decided yet";
  tile("decisions", count(open), FRESHNESS_TONES[word] ?? "none", `pending; ${newest}`);
  const badge = byId("decisions-freshness");
  setText(badge, word);
  badge.dataset.tone = FRESHNESS_TONES[word] ?? "none";
  badge.dataset.tip = FRESHNESS_MEANS[word] ?? "";
  setText(byId("rule-version"), decisions.rule_version ? `by ${decisions.rule_version}` : "");
  const error = byId("rules-error");
  error.hidden = !decisions.rules_error;
  if (decisions.rules_error)
    setText(error, `The rules file is refused, the rules before it stay in force: ${decisions.rules_error}`);
}

function tile(id, value, tone, note) {
  const element = byId(`${id}-tile`);
  element.dataset.tone = tone;
  setText(byId(`${id}-value`), value);
  setText(byId(`${id}-note`), note);
}
