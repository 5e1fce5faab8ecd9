import assert from "node:assert/strict";
import { test } from "node:test";

import {
  bytes,
  clockMinute,
  clockSecond,
  compact,
  count,
  dateMinute,
  duration,
  fixed,
  millisOf,
  percent,
} from "../../crates/api/assets/js/lib/format.js";

const EACH = [
  [count, [0, "0"], [1_234_567, "1,234,567"], [null, "–"], [NaN, "–"]],
  [
    compact,
    [0, "0"],
    [7.04, "7"],
    [950, "950"],
    [999.4, "999"],
    [1_000, "1 k"],
    [12_345, "12.3 k"],
    [999_499, "999 k"],
    [999_500, "1 M"],
    [4_560_000, "4.56 M"],
    [7.2e9, "7.2 G"],
    [-1_500, "-1.5 k"],
    [undefined, "–"],
  ],
  [percent, [0.4213, "42.1 %"], [0, "0.0 %"], [1, "100.0 %"], [null, "–"]],
  [fixed, [0.1874, "0.19"], [null, "–"]],
  [
    bytes,
    [0, "0 B"],
    [1_023, "1023 B"],
    [1_536, "1.5 KiB"],
    [1_048_576, "1 MiB"],
    [134_217_728, "128 MiB"],
    [2 ** 40, "1 TiB"],
    [null, "–"],
  ],
  [
    duration,
    [0, "0 s"],
    [0.21, "210 ms"],
    [9.94, "9.9 s"],
    [42.4, "42 s"],
    [89.4, "89 s"],
    [90, "1 min"],
    [3_599, "59 min"],
    [11_100, "3 h 05 min"],
    [352_800, "4 d 2 h"],
    [-5, "0 s"],
    [null, "–"],
  ],
];

for (const [format, ...cases] of EACH) {
  test(`${format.name} says a number as people read it`, () => {
    for (const [value, expected] of cases) assert.equal(format(value), expected.replaceAll(/ (?=[a-zA-Z%])/g, "\u00a0"), `${format.name}(${value})`);
  });
}

test("times are UTC, and what is no time is unknown", () => {
  const millis = millisOf("2026-02-07T10:03:04.500Z");
  assert.equal(millis, Date.UTC(2026, 1, 7, 10, 3, 4, 500));
  assert.equal(millisOf("2026-02-07T12:03:04.5+02:00"), millis);
  assert.deepEqual(
    [clockMinute(millis), clockSecond(millis), dateMinute(millis)],
    ["10:03", "10:03:04", "2026-02-07 10:03"],
  );
  assert.deepEqual([millisOf(null), millisOf(""), millisOf("soon")], [null, null, null]);
  assert.deepEqual([clockMinute(null), dateMinute(null)], ["–", "–"]);
});
