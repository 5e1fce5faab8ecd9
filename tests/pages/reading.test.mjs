// What comes from outside: event streams in any pieces, tokens in addresses, answers of SQL.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as queries from "../../crates/api/assets/js/diagnosis/queries.js";
import { BIN_NAMES, binOf } from "../../crates/api/assets/js/lib/duration_bins.js";
import { eventStreamParser } from "../../crates/api/assets/js/lib/event_stream.js";
import { quoted, rowsOf } from "../../crates/api/assets/js/lib/sql_rows.js";
import { takeToken } from "../../crates/api/assets/js/lib/token_in_hash.js";

const STREAM =
  ': alive\n\nevent: pulse\ndata: {"a":1}\n\nevent:trending\r\ndata:{"b":\r\ndata: 2}\r\n\r\nid: 7\rdata: plain\r\r\nevent: empty\n\ndata: é😀\n\n';
const EVENTS = [
  { event: "pulse", data: '{"a":1}' },
  { event: "trending", data: '{"b":\n2}' },
  { event: "message", data: "plain" },
  { event: "message", data: "é😀" },
];

test("an event stream means the same in whatever pieces it comes", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parse = eventStreamParser();
    const found = [];
    for (let from = 0; from < STREAM.length; from += size) found.push(...parse(STREAM.slice(from, from + size)));
    assert.deepEqual(found, EVENTS, `pieces of ${size}`);
  }
});

test("an event that is not finished is not given", () => {
  const parse = eventStreamParser();
  assert.deepEqual(parse("event: pulse\ndata: 1\n"), []);
  assert.deepEqual(parse("\n"), [{ event: "pulse", data: "1" }]);
});

test("a stream without an end of line is given up", () => {
  const parse = eventStreamParser();
  assert.throws(() => {
    for (let turn = 0; turn < 20; turn += 1) parse("x".repeat(1_000_000));
  }, /more than/);
});

test("the token leaves the address, the rest of it stays", () => {
  assert.deepEqual(takeToken("#token=s3cret"), { token: "s3cret", rest: "" });
  assert.deepEqual(takeToken("#a=1&token=s%2B1&b"), { token: "s+1", rest: "#a=1&b" });
  assert.deepEqual(takeToken("#token=50%"), { token: "50%", rest: "" });
  assert.deepEqual(takeToken("#token="), { token: null, rest: "" });
  assert.deepEqual(takeToken("#main"), { token: null, rest: "#main" });
  assert.deepEqual(takeToken(""), { token: null, rest: "" });
});

test("rows of SQL become objects", () => {
  const answer = {
    columns: [{ name: "a" }, { name: "b" }],
    rows: [
      [1, "x"],
      [null, "y"],
    ],
  };
  assert.deepEqual(rowsOf(answer), [
    { a: 1, b: "x" },
    { a: null, b: "y" },
  ]);
  assert.equal(quoted("it's"), "'it''s'");
});

test("bins have as many names as the expression has outcomes", () => {
  const expression = binOf("duration_ms");
  assert.equal(expression.match(/THEN/g).length + 1, BIN_NAMES.length);
  assert.match(expression, /ELSE 5 END$/);
});

test("what goes into a query is quoted", () => {
  const evil = "2026-02-07' OR 'a'='a";
  for (const query of [queries.completionByBin(evil), queries.realTimeDaily(evil)]) {
    assert.ok(query.includes("'2026-02-07'' OR ''a''=''a'"), query);
  }
});
