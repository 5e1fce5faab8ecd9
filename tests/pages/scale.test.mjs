import assert from "node:assert/strict";
import { test } from "node:test";

import { area, byteUnit, linear, secondUnit, ticks, timeTicks } from "../../crates/api/assets/js/lib/scale.js";

const MINUTE_MS = 60_000;

test("a linear scale meets its ends, and keeps what lies outside at them", () => {
  const scale = linear([10, 20], [100, 0]);
  assert.deepEqual([10, 15, 20, 25, 5].map(scale), [100, 50, 0, 0, 100]);
  assert.equal(linear([3, 3], [0, 50])(3), 0, "a domain without width divides nothing by zero");
});

test("the area of a circle grows with the value, not its radius", () => {
  const radius = area(400, [0, 20]);
  assert.deepEqual([0, 100, 400, -1].map(radius), [0, 10, 20, 0]);
});

test("ticks are round, cover the range, and are about as many as wanted", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0, 0.47, 5), [0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  assert.deepEqual(ticks(0.2, 0.5, 4), [0.2, 0.3, 0.4, 0.5]);
  assert.deepEqual(ticks(0, 180, 4, 60), [0, 60, 120, 180], "seconds that are read as minutes");
  assert.deepEqual(ticks(5, 5), [5]);
  for (let high = 1; high < 1e6; high *= 1.37) {
    for (const unit of [1, 60, 1_024]) {
      const all = ticks(0, high, 4, unit);
      assert.ok(all[0] === 0 && all.at(-1) >= high * (1 - 1e-9), `${high}: ${all}`);
      assert.ok(all.length >= 2 && all.length <= 6, `${high}: ${all}`);
    }
  }
});

test("units of ticks follow the size", () => {
  assert.deepEqual([90, 180, 9_000].map(secondUnit), [1, 60, 3_600]);
  assert.deepEqual([0, 500, 3_000, 5e6].map(byteUnit), [1, 1, 1_024, 1_048_576]);
});

test("ticks of time stand on whole minutes and are never too many", () => {
  const from = Date.UTC(2026, 1, 7, 10, 2, 30);
  assert.deepEqual(
    timeTicks(from, from + 29 * MINUTE_MS, 6),
    [5, 10, 15, 20, 25, 30].map((minute) => Date.UTC(2026, 1, 7, 10, minute)),
  );
  for (let minutes = 1; minutes < 100_000; minutes *= 1.7) {
    const all = timeTicks(from, from + minutes * MINUTE_MS, 6);
    assert.ok(all.length <= 7, `${minutes} min: ${all.length} ticks`);
    assert.ok(
      all.every((at) => at % MINUTE_MS === 0 && at >= from && at <= from + minutes * MINUTE_MS),
      `${minutes} min`,
    );
  }
});
