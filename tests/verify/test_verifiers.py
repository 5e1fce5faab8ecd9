"""The verifiers must pass on tables that are right, and fail on each that is wrong in one place.

Run by `make test`. The tests against Kafka need PULSELAKE_TEST_KAFKA (with-kafka.sh sets it) and are skipped without it.
"""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

import recount
import topic_recount
import verify_totals
from event_time import EPOCH, time_us
from naive import watch_time
from sample_lake import SampleLake

PRODUCE = Path(__file__).resolve().parent.parent / "tools" / "produce.py"
KINDS = ["impression", "play_start", "like", "share", "play_finish", "skip"]
START = datetime(2026, 2, 7, 9, 59, 30, tzinfo=timezone.utc)


def sample_events() -> list[tuple[dict, str]]:
    """Sixty events of three videos over five minutes, with their bodies."""
    events = []
    for number in range(60):
        event = {
            "event_id": f"e{number}",
            "event_timestamp": START + timedelta(seconds=5 * number, milliseconds=number),
            "video_id": f"v{number % 3}",
            "user_id": f"u{number % 7}",
            "event_type": KINDS[number % 6],
        }
        events.append((event, '{"watch_time_ms":%d, "device_os":"iOS"}' % (number * 10)))
    return events


def sample_lake() -> SampleLake:
    """A right lake: the sample events, one rejected record, gold derived from them."""
    lake = SampleLake()
    for number, (event, body) in enumerate(sample_events()):
        lake.accept("content_events", number % 3, number // 3, event, body)
    lake.reject("content_events", 0, 20, b"\xff", "NOT_UTF8")
    lake.derive_gold()
    return lake


def sample_totals(lake: SampleLake) -> dict[str, object]:
    """What a program that is not the verifier counts in the sample."""
    events = sample_events()
    return {
        "events": 60,
        **{kind: 10 for kind in KINDS},
        "videos": 3,
        "users": 7,
        "video_minutes": len(lake.gold),
        "watch_time_sum_ms": sum(range(60)) * 10,
        "first": "2026-02-07T09:59:30.000Z",
        "last": events[-1][0]["event_timestamp"].isoformat(),
    }


def run(main: Callable[[], None], *arguments: object) -> tuple[int, dict]:
    """Runs a verifier as its command line would; its exit code and its JSON report."""
    output = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["verifier", *map(str, arguments), "--json"]),
        contextlib.redirect_stdout(output),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return code, json.loads(output.getvalue())


class VerifierCase(unittest.TestCase):
    """Gives each test a fresh directory."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def assert_differs(self, result: tuple[int, dict], fragment: str) -> None:
        code, report = result
        self.assertEqual(code, 1, report)
        self.assertTrue(any(fragment in text for text in report["differences"]), report["differences"])

    def assert_agrees(self, result: tuple[int, dict]) -> None:
        code, report = result
        self.assertEqual((code, report["differences"]), (0, []))


class VerifyTotals(VerifierCase):
    def totals_of(self, lake: SampleLake, *options: object) -> tuple[int, dict]:
        data_dir = self.directory / uuid.uuid4().hex
        lake.write(data_dir)
        totals = self.directory / "totals.json"
        totals.write_text(json.dumps(sample_totals(sample_lake())))
        return run(verify_totals.main, "--data-dir", data_dir, "--totals", totals, "--quarantined", 1, *options)

    def test_right_tables_agree(self) -> None:
        self.assert_agrees(self.totals_of(sample_lake()))

    def test_an_empty_quarantine_agrees(self) -> None:
        lake = sample_lake()
        lake.quarantine.clear()
        self.assert_agrees(self.totals_of(lake, "--quarantined", 0))

    def test_a_doubled_bronze_row_is_found_by_both_readers(self) -> None:
        lake = sample_lake()
        lake.bronze.append(lake.bronze[7])
        result = self.totals_of(lake)
        self.assert_differs(result, "PyIceberg: bronze rows is 61, expected 60")
        self.assert_differs(result, "DuckDB: bronze rows is 61, expected 60")

    def test_a_missing_bronze_row_is_found(self) -> None:
        lake = sample_lake()
        del lake.bronze[7]
        self.assert_differs(self.totals_of(lake), "bronze distinct event_ids is 59, expected 60")

    def test_a_doubled_gold_row_is_found(self) -> None:
        lake = sample_lake()
        lake.gold.append(lake.gold[0])
        self.assert_differs(self.totals_of(lake), "distinct (video_id, window_start, source_partition, revision)")

    def test_a_missing_gold_row_is_found(self) -> None:
        lake = sample_lake()
        del lake.gold[0]
        self.assert_differs(self.totals_of(lake), "gold video-minutes is")

    def test_a_wrong_gold_sum_is_found(self) -> None:
        lake = sample_lake()
        lake.gold[0]["likes"] += 1
        self.assert_differs(self.totals_of(lake), "gold likes is 11, expected 10")

    def test_a_missing_quarantine_row_is_found(self) -> None:
        lake = sample_lake()
        lake.quarantine.clear()
        self.assert_differs(self.totals_of(lake), "quarantine rows is 0, expected 1")

    def test_a_record_in_both_tables_is_found(self) -> None:
        lake = sample_lake()
        lake.quarantine[0]["source_offset"] = 3
        self.assert_differs(self.totals_of(lake), "positions in bronze and in quarantine is 1, expected 0")

    def test_readers_that_see_different_tables_are_found(self) -> None:
        lake = sample_lake()
        right, wrong = self.directory / "right", self.directory / "wrong"
        lake.write(right)
        lake.gold[0]["shares"] += 5
        lake.write(wrong)
        other = verify_totals.load_hot_tables(wrong)
        totals = self.directory / "totals.json"
        totals.write_text(json.dumps(sample_totals(lake)))
        read_with_duckdb = verify_totals.read_with_duckdb
        with mock.patch.object(verify_totals, "read_with_duckdb", lambda _: read_with_duckdb(other)):
            result = run(verify_totals.main, "--data-dir", right, "--totals", totals, "--quarantined", 1)
        self.assert_differs(result, "gold shares: PyIceberg reads 10, DuckDB reads 15")

    def test_a_directory_without_tables_is_refused(self) -> None:
        with self.assertRaisesRegex(SystemExit, "catalog.db does not exist"):
            verify_totals.load_hot_tables(self.directory)


class RecountBronze(VerifierCase):
    def recount_of(self, lake: SampleLake, *options: object) -> tuple[int, dict]:
        data_dir = self.directory / uuid.uuid4().hex
        lake.write(data_dir)
        return run(recount.main, "--data-dir", data_dir, *options)

    def test_right_tables_agree(self) -> None:
        code, report = self.recount_of(sample_lake(), "--duplicates", 0)
        self.assertEqual((code, report["differences"]), (0, []))
        self.assertEqual(report["facts"]["bronze rows"], 60)

    def test_a_repeated_event_counts_once(self) -> None:
        lake = sample_lake()
        lake.bronze.append({**lake.bronze[7], "source_offset": 999})
        self.assert_agrees(self.recount_of(lake, "--duplicates", 1))
        self.assert_differs(self.recount_of(lake, "--duplicates", 0), "bronze holds 1 rows that repeat an event_id")

    def test_a_gold_count_too_many_is_found(self) -> None:
        lake = sample_lake()
        lake.gold[0]["likes"] += 1
        self.assert_differs(self.recount_of(lake), "like of v0 in the minute")

    def test_a_wrong_watch_time_is_found(self) -> None:
        lake = sample_lake()
        lake.gold[3]["watch_time_sum_ms"] -= 10
        self.assert_differs(self.recount_of(lake), "watch_time_ms of")

    def test_corrections_add_up(self) -> None:
        lake = sample_lake()
        row = next(row for row in lake.gold if row["likes"])
        row["likes"] -= 1
        correction = {**row, "revision": 4, "watch_time_sum_ms": 0, "likes": 1}
        correction |= {"impressions": 0, "play_start": 0, "play_finish": 0, "shares": 0, "skips": 0}
        self.assert_differs(self.recount_of(lake), "like of")
        lake.gold.append(correction)
        self.assert_agrees(self.recount_of(lake))

    def test_dropped_events_must_be_as_many_as_said(self) -> None:
        lake = sample_lake()
        row = next(row for row in lake.gold if row["shares"])
        row["shares"] -= 1
        self.assert_agrees(self.recount_of(lake, "--dropped", 1))
        self.assert_differs(
            self.recount_of(lake, "--dropped", 2), "2 events were expected to be absent from gold, 1 are"
        )
        row["likes"] += 1
        self.assert_differs(self.recount_of(lake, "--dropped", 1), "like of")

    def test_the_truth_file_is_compared(self) -> None:
        truth = self.directory / "truth.ndjson"
        events = [
            {**event, "event_timestamp": event["event_timestamp"].isoformat(), "payload": json.loads(body)}
            for event, body in sample_events()
        ]
        truth.write_text("".join(json.dumps(event) + "\n" for event in events))
        self.assert_agrees(self.recount_of(sample_lake(), "--truth", truth))
        lake = SampleLake(bronze=sample_lake().bronze[1:])
        lake.derive_gold()
        self.assert_differs(self.recount_of(lake, "--truth", truth), "by truth.ndjson, 0 by bronze")


class Naive(unittest.TestCase):
    def test_watch_times(self) -> None:
        cases = {
            '{"watch_time_ms":5400}': 5400,
            '{"watch_time_ms":5400.0}': 5400,
            '{"watch_time_ms":5400.5}': 0,
            '{"watch_time_ms":-1}': 0,
            '{"watch_time_ms":"5"}': 0,
            '{"watch_time_ms":true}': 0,
            '{"watch_time_ms":null}': 0,
            '{"watch_time_ms":604800001}': 0,
            '{"watch_time_ms":NaN}': 0,
            '{"watch_time_ms":1e400}': 0,
            "{}": 0,
            "[]": 0,
            "no json": 0,
        }
        self.assertEqual({body: watch_time(body) for body in cases}, cases)

    def test_times(self) -> None:
        cases = {
            "1970-01-01T00:00:01.500Z": 1_500_000,
            "1970-01-01t02:00:00+02:00": 0,
            "1970-01-01 00:00:00.1234567891z": 123_456,
            "2016-12-31T23:59:60Z": 1_483_228_800_000_000,
            1_500: 1_500_000,
        }
        self.assertEqual({text: time_us(text) for text in cases}, cases)
        for text in ("1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", True, 1.5, None):
            with self.subTest(text), self.assertRaises(ValueError):
                time_us(text)


@unittest.skipUnless(os.environ.get("PULSELAKE_TEST_KAFKA"), "needs a broker: run under with-kafka.sh")
class TopicRecount(VerifierCase):
    """Produces through produce.py and builds the lake from what the broker then holds."""

    def setUp(self) -> None:
        super().setUp()
        self.brokers = os.environ["PULSELAKE_TEST_KAFKA"]
        self.topic = f"verifiers-{uuid.uuid4().hex}"
        events = self.directory / "events.ndjson"
        lines = [
            json.dumps({**event, "event_timestamp": event["event_timestamp"].isoformat()})[:-1]
            + f', "payload":{body}}}\n'
            for event, body in sample_events()
        ]
        events.write_text("".join(lines))
        hostile = self.directory / "hostile.json"
        hostile.write_text(json.dumps(HOSTILE))
        command = [sys.executable, PRODUCE, "--brokers", self.brokers, "--topic", self.topic, "--file", events]
        command += ["--create-topic", "--partitions", "3", "--hostile", hostile, "--transaction-size", "25"]
        produced = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.assertEqual((produced["records"], produced["hostile"]), (62, 2))
        self.lake = self.lake_from_topic()

    def lake_from_topic(self) -> SampleLake:
        lake = SampleLake()
        bodies = {event["event_id"]: (event, body) for event, body in sample_events()}
        for message in topic_recount.read_topic(self.brokers, self.topic):
            place = (self.topic, message.partition(), message.offset())
            if message.headers():
                code = {b"not_utf8": "NOT_UTF8", b"cut_off": "MALFORMED_JSON"}[message.key()]
                lake.reject(*place, message.value(), code)
                continue
            event, body = bodies[json.loads(message.value())["event_id"]]
            self.assertEqual(message.key().decode(), event["video_id"])
            self.assertEqual(message.timestamp()[1], (event["event_timestamp"] - EPOCH) // timedelta(milliseconds=1))
            lake.accept(*place, event, body)
        lake.derive_gold()
        return lake

    def verdict(self, lake: SampleLake) -> tuple[int, dict]:
        data_dir = self.directory / uuid.uuid4().hex
        lake.write(data_dir)
        return run(topic_recount.main, "--brokers", self.brokers, "--topic", self.topic, "--data-dir", data_dir)

    def changed(self, change: Callable[[SampleLake], object]) -> tuple[int, dict]:
        lake = copy.deepcopy(self.lake)
        change(lake)
        return self.verdict(lake)

    def test_every_kind_of_difference(self) -> None:
        code, report = self.verdict(self.lake)
        self.assertEqual((code, report["differences"]), (0, []))
        self.assertEqual(report["facts"]["topic records"], 62)

        cases: list[tuple[str, Callable[[SampleLake], object]]] = [
            ("is in neither bronze nor quarantine", lambda lake: lake.bronze.pop()),
            ("bronze holds the record", lambda lake: lake.bronze.append(lake.bronze[0])),
            ("is in neither bronze nor quarantine", lambda lake: lake.quarantine.pop()),
            ("which the topic does not", lambda lake: lake.bronze.append({**lake.bronze[0], "source_offset": 999})),
            (
                "expected MALFORMED_JSON, got WRONG_TYPE",
                lambda lake: lake.quarantine[cut_off(lake)].update(error_code="WRONG_TYPE"),
            ),
            ("bytes that are not the record's", lambda lake: lake.quarantine[0].update(raw_value=b"other")),
            ("not, byte for byte", lambda lake: lake.bronze[0].update(payload_json="{}")),
            ("in bronze", lambda lake: lake.bronze[0].update(user_id="somebody else")),
            ("by the topic,", lambda lake: lake.gold[0].update(skips=99)),
        ]
        for fragment, change in cases:
            with self.subTest(fragment):
                self.assert_differs(self.changed(change), fragment)


HOSTILE = [
    {"name": "not_utf8", "value_base64": "/w==", "timestamp_ms": 1770458400123, "expect": "NOT_UTF8"},
    {
        "name": "cut_off",
        "repeat": [{"text": '{"event_id":', "times": 2}],
        "timestamp_ms": 1770458400123,
        "expect": "MALFORMED_JSON",
    },
]


def cut_off(lake: SampleLake) -> int:
    """Where the record that ends too early is in quarantine."""
    return next(i for i, row in enumerate(lake.quarantine) if row["error_code"] == "MALFORMED_JSON")


if __name__ == "__main__":
    unittest.main()
