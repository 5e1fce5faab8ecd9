// The small rules of the pages: quadrants, changes of actions, coverage, staleness, pauses, cohorts, back-pressure.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changesOf,
  isOpen,
  reasonsInWords,
  refusalInWords,
  timeLeft,
  withChanged,
} from "../../crates/api/assets/js/lib/actions.js";
import { pauseMs } from "../../crates/api/assets/js/lib/backoff.js";
import { cohortsOf, grainFor } from "../../crates/api/assets/js/lib/cohorts.js";
import { coverageInWords } from "../../crates/api/assets/js/lib/coverage.js";
import { withPressure } from "../../crates/api/assets/js/lib/pressure.js";
import { quadrantOf, velocityEnd } from "../../crates/api/assets/js/lib/quadrant.js";
import { connectionState, STALE_AFTER_MS } from "../../crates/api/assets/js/lib/stale.js";

const DAY_MS = 86_400_000;

test("a point on a threshold is above it", () => {
  const thresholds = { velocity_p90: 0.2, completion: 0.55 };
  const cases = { supernova: [0.2, 0.55], clickbait: [0.2, 0.549], steady: [0.199, 0.55], quiet: [0, 0] };
  for (const [expected, [velocity, completion]] of Object.entries(cases)) {
    assert.equal(quadrantOf(velocity, completion, thresholds), expected);
  }
});

test("the velocity axis shows the threshold and every video", () => {
  for (const [velocities, threshold] of [
    [[], null],
    [[0.01], 0.2],
    [[0.9, 0.1], 0.2],
    [[7], null],
  ]) {
    const end = velocityEnd(velocities, threshold);
    assert.ok(velocities.every((one) => one < end) && (threshold ?? 0) < end && end > 0);
  }
});

test("an action offers the changes that the engine would accept", () => {
  const verbs = (state) => changesOf({ state }).map((change) => change.verb);
  assert.deepEqual(verbs("PENDING"), ["ack", "hold"]);
  assert.deepEqual(verbs("ACKED"), ["done", "hold"]);
  for (const state of ["DONE", "EXPIRED", "HOLD", "SOMETHING_NEW"]) {
    assert.deepEqual(verbs(state), []);
    assert.equal(isOpen({ state }), false);
  }
  assert.deepEqual(changesOf(null), []);
});

test("what is left of an action's time", () => {
  assert.deepEqual(
    [900_000, 119_000, 0, -5].map((left) => timeLeft(1e9 + left, 1e9)),
    ["15 min left", "119 s left", "time is over", "time is over"],
  );
  assert.equal(timeLeft(null, 0), "");
});

test("reasons are said in words, unknown ones as they are", () => {
  assert.equal(reasonsInWords(["HIGH_SKIP", "BRAND_NEW"]), "many skip, BRAND_NEW");
  assert.equal(reasonsInWords(null), "");
});

test("a changed action takes its place, and the newest decision is first", () => {
  const actions = [
    { action_id: "b", decided_at: "2", state: "PENDING" },
    { action_id: "a", decided_at: "1", state: "PENDING" },
  ];
  const changed = withChanged(actions, { action_id: "a", decided_at: "1", state: "ACKED" });
  assert.deepEqual(
    changed.map((action) => `${action.action_id} ${action.state}`),
    ["b PENDING", "a ACKED"],
  );
  assert.deepEqual(
    withChanged(changed, { action_id: "c", decided_at: "3" }).map((action) => action.action_id),
    ["c", "b", "a"],
  );
});

test("each refusal says what to do or what has happened", () => {
  const said = (status, more = {}) => refusalInWords({ status, code: "", message: "told", ...more });
  assert.match(said(401), /token/);
  assert.match(said(403), /told/);
  assert.match(said(409, { state: "DONE" }), /DONE/);
  assert.match(said(410), /expired/);
  assert.match(said(503), /told/);
  assert.match(said(0), /try again/);
});

test("an incomplete board says when decisions begin", () => {
  const minute = Date.UTC(2026, 1, 7, 7, 30);
  assert.equal(coverageInWords({ complete: true, covered_minutes: 30 }, minute), "");
  assert.equal(coverageInWords(null, minute), "");
  assert.match(
    coverageInWords({ complete: false, covered_minutes: 12 }, minute),
    /covers 12 of 30 minutes.* 07:48 UTC/,
  );
  assert.match(coverageInWords({ complete: false, covered_minutes: 30 }, minute), /not in every partition/);
  assert.match(coverageInWords({ complete: false, covered_minutes: 0 }, null), /0 of 30.*first events/);
});

test("peers that do not answer are named", () => {
  const coverage = { complete: false, covered_minutes: 30, missing_peers: ["http://10.0.0.7:9464"] };
  assert.match(coverageInWords(coverage, Date.UTC(2026, 1, 7)), /10\.0\.0\.7:9464/);
});

test("numbers are stale when nothing has come for a while, whatever the channel", () => {
  const state = (channel, age) =>
    connectionState({ channel, lastDataMs: age === null ? null : 0, nowMs: age ?? 0 }).state;
  assert.equal(state("connecting", null), "waiting");
  assert.equal(state("offline", null), "stale");
  assert.equal(state("live", STALE_AFTER_MS - 1), "live");
  assert.equal(state("live", STALE_AFTER_MS), "stale");
  assert.equal(state("polling", 500), "polling");
  assert.equal(state("offline", 500), "polling", "one question without an answer is not yet stale data");
});

test("pauses double up to their bound and differ by chance", () => {
  assert.deepEqual(
    [1, 2, 3, 6, 50].map((failures) => pauseMs(failures, 0)),
    [1_000, 2_000, 4_000, 30_000, 30_000],
  );
  assert.equal(pauseMs(2, 1), 1_500);
});

test("cohorts: the share that came back, and nothing for the future", () => {
  const grain = grainFor(0, 10 * DAY_MS);
  assert.equal(grain.unit, "day");
  const row = (cohort, period, creators) => ({ cohort: cohort * DAY_MS, period: period * DAY_MS, creators });
  const cohorts = cohortsOf([row(0, 0, 10), row(0, 2, 5), row(1, 1, 4), row(2, 2, 1)], grain, 4);
  assert.deepEqual(cohorts, [
    { start: 0, size: 10, shares: [1, 0, 0.5, null] },
    { start: DAY_MS, size: 4, shares: [1, 0, null, null] },
    { start: 2 * DAY_MS, size: 1, shares: [1, null, null, null] },
  ]);
});

test("the grain of cohorts follows the span", () => {
  assert.deepEqual(
    [DAY_MS, 3 * DAY_MS, 14 * DAY_MS, 15 * DAY_MS].map((span) => grainFor(0, span).unit),
    ["hour", "day", "day", "week"],
  );
});

test("back-pressure is a share of the time since the look before", () => {
  const actor = (index, backpressure_s) => ({ actor: "Writer", index, backpressure_s });
  const shares = (now, before, elapsed) => withPressure(now, before, elapsed).map((one) => one.pressure);
  assert.deepEqual(shares([actor("0", 12), actor("1", 3)], [actor("0", 10)], 4), [0.5, null]);
  assert.deepEqual(shares([actor("0", 1)], [actor("0", 10)], 4), [null], "the engine was started again");
  assert.deepEqual(shares([actor("0", 12)], [actor("0", 10)], 0), [null]);
  assert.deepEqual(shares([actor("0", 30)], [actor("0", 10)], 4), [1]);
  assert.deepEqual(shares([actor("0", 30)], null, 4), [null]);
});
