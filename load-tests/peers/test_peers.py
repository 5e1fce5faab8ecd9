"""Tests of what needs no broker and no engine: `python -m unittest` here, with the Python of the test tools."""

import sys
import tempfile
import time
import unittest
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

import figures
import freshness
import lake
import table
import topic
import truth as truths
from figures import Drain
from options import ENGINES, missing_parts, parser
from process_tree import ProcessTree

MINUTE_US = truths.MINUTE_US
FIRST_US = 1_770_458_400_000_000
"""2026-02-07T10:00:00Z."""


def drain(events: int, seconds: float, cpu_s: float, **more: object) -> Drain:
    return Drain(events, seconds, cpu_s, 512 * 2**20, 0.0, 0.0, **more)


class Figures(unittest.TestCase):
    def test_the_slope_leaves_the_start_out(self) -> None:
        # 20 s of CPU to start and 5 a million; 10 s of time and 4 a million.
        found = figures.drain_figures([drain(1_000_000, 14, 25)], [drain(5_000_000, 30, 45)])
        self.assertEqual((found["cpu_s_per_million"], found["start_cpu_s"]), (5.0, 20.0))
        self.assertEqual((found["events_per_s"], found["start_s"]), (250_000, 10.0))
        self.assertEqual(
            (found["cpu_s_per_million_start_included"], found["events_per_s_start_included"]), (9.0, 166_667)
        )
        self.assertNotIn("warm_cpu_s_per_million", found)

    def test_medians_of_several_runs_count(self) -> None:
        large = [drain(2_000_000, 10, cpu_s) for cpu_s in (900.0, 12.0, 11.0)]
        found = figures.drain_figures([drain(1_000_000, 5, 10)] * 3, large)
        self.assertEqual(found["cpu_s_per_million"], 2.0)

    def test_a_warm_drain_stands_beside_the_slope(self) -> None:
        found = figures.drain_figures([drain(1, 1, 1)], [drain(2_000_000, 40, 50, warm_seconds=20, warm_cpu_s=24)])
        self.assertEqual((found["warm_cpu_s_per_million"], found["warm_events_per_s"]), (12.0, 100_000))

    def test_no_rate_where_the_larger_topic_was_quicker(self) -> None:
        self.assertIsNone(figures.drain_figures([drain(1_000, 5, 1)], [drain(5_000, 4, 2)])["events_per_s"])


class Options(unittest.TestCase):
    def test_engines_come_in_their_order(self) -> None:
        self.assertEqual(parser().parse_args(["--only", "flink, pulselake"]).only, ["pulselake", "flink"])
        self.assertEqual(parser().parse_args([]).only, list(ENGINES))

    def test_an_unknown_engine_is_named(self) -> None:
        said = StringIO()
        with self.assertRaises(SystemExit), redirect_stderr(said):
            parser().parse_args(["--only", "pulselake,storm"])
        self.assertIn("'storm' is none of pulselake, spark, flink", said.getvalue())

    def test_a_program_that_is_not_built_is_named(self) -> None:
        missing = missing_parts(parser().parse_args(["--only", "pulselake", "--engine", "/nowhere/pulselake"]))
        self.assertEqual(len(missing), 1)
        self.assertIn("/nowhere/pulselake is not there", missing[0])

    def test_a_live_run_must_leave_a_whole_minute_to_measure(self) -> None:
        words = ["--only", "pulselake", "--engine", sys.executable, "--live", "100", "--duration-s"]
        self.assertIn("make it at least 135", missing_parts(parser().parse_args([*words, "134"]))[0])
        self.assertEqual(missing_parts(parser().parse_args([*words, "135"])), [])


class Table(unittest.TestCase):
    def test_engines_stand_side_by_side_and_failures_below(self) -> None:
        files = {name: {"data_files": 3, "mib": 1.5, "commits": 2} for name in (lake.BRONZE, lake.GOLD)}
        found = figures.drain_figures([drain(1_000_000, 14, 25)], [drain(5_000_000, 30, 45, files=files)])
        engines = {
            "pulselake": {"version": "pulselake 1", "differences": ["bronze: rows: 1 in place of 2"], "figures": found},
            "spark": {"version": "Spark 4", "differences": [], "error": "no Java"},
        }
        text = table.markdown({"form": "drain", "title": "Title.", "engines": engines})
        self.assertIn("| CPU s per million events | 5.0 | – |\n", text)
        self.assertIn("| bronze: data files | 3 | – |\n", text)
        self.assertIn("| tables equal the topic's recount | no: 1 differences | failed |\n", text)
        self.assertIn("\n- pulselake: bronze: rows: 1 in place of 2\n- spark: no Java\n", text)


class Topic(unittest.TestCase):
    def test_small_topics_last_two_minutes_of_event_time(self) -> None:
        self.assertEqual(topic.stream_rate(1_000_000), 3_333)
        self.assertEqual(topic.stream_rate(20_000), 166)


class Lake(unittest.TestCase):
    def test_locations_of_every_engine_become_paths(self) -> None:
        for location in ("file:///a/b c", "file:/a/b%20c", "/a/b c"):
            self.assertEqual(lake.local_path(location), "/a/b c")

    def test_a_directory_without_a_catalog_has_no_tables(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(lake.metadata_locations(Path(directory)), {})


class Processes(unittest.TestCase):
    def run_tree(self, script: str) -> tuple[ProcessTree, tempfile.TemporaryDirectory]:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return ProcessTree([sys.executable, "-c", script], Path(directory.name, "log")), directory

    def test_an_orphan_counts_too(self) -> None:
        # The parent ends at once; its child burns 0.3 s of CPU afterwards and nobody but the tree waits for it.
        burn = "import time\nwhile time.process_time() < 0.3: pass"
        tree, _ = self.run_tree(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])")
        with tree:
            self.assertTrue(tree.wait(60))
            self.assertEqual(tree.exit_code, 0)
            self.assertGreaterEqual(tree.usage().cpu_s, 0.3)

    def test_the_peak_of_memory_stays_known_after_the_end(self) -> None:
        tree, _ = self.run_tree("import time; block = b'x' * 200_000_000; del block; time.sleep(0.5)")
        with tree:
            self.assertTrue(tree.wait(60))
            self.assertGreater(tree.usage().peak_resident_bytes, 190_000_000)

    def test_marks_carry_what_was_used_by_then(self) -> None:
        tree, _ = self.run_tree(
            "print('chatter'); print('PEER {\"mark\": \"ready\"}', flush=True); import time; time.sleep(60)"
        )
        with tree:
            mark = tree.wait_for_mark("ready", 60)
            self.assertEqual(mark.facts, {"mark": "ready"})
            self.assertGreaterEqual(mark.usage.time_s, tree.started.time_s)
            self.assertTrue(tree.is_running())
            self.assertTrue(tree.stop(30))
        self.assertLess(tree.exit_code, 0)

    def test_a_program_that_ends_before_its_mark_shows_its_log(self) -> None:
        tree, _ = self.run_tree("import sys; sys.exit('no such jar')")
        with tree, self.assertRaisesRegex(RuntimeError, "(?s)exit code 1 before 'ready'.*no such jar"):
            tree.wait_for_mark("ready", 60)

    def test_nothing_outlives_the_block(self) -> None:
        tree, _ = self.run_tree(
            "import subprocess, sys; subprocess.Popen(['sleep', '600']); subprocess.run(['sleep', '600'])"
        )
        with tree:
            deadline = time.monotonic() + 60
            while len(tree._find_members()) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(len(tree._find_members()), 3)
        self.assertEqual(tree._find_members(), set())


class TruthOfRows(truths.Truth):
    """A truth about events that are given, in place of a topic's."""

    def __init__(self, events: list[tuple]) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(truths.EVENTS_TABLE)
        self.connection.executemany(f"INSERT INTO events VALUES ({', '.join('?' * 9)})", events)
        self._count()
        self._summarise()


def event(
    offset: int, event_id: str, video_id: str, event_type: str, at_s: float, watch_time_ms: int = 0, partition: int = 0
) -> tuple:
    event_us = FIRST_US + int(at_s * 1_000_000)
    return (partition, offset, event_us // 1000, event_id, video_id, "u_1", event_type, event_us, watch_time_ms)


class Truths(unittest.TestCase):
    EVENTS = [
        event(0, "a", "v_1", "impression", 1),
        event(1, "b", "v_1", "like", 2, 700),
        event(2, "b", "v_1", "like", 2, 700),
        event(3, "c", "v_2", "impression", 61),
        event(4, "d", "v_2", "impression", 135),
    ]
    # Closed are windows that end by 125 s: those of both videos in the first two minutes.
    GOLD = [("v_1", 0, 1, 1, 700), ("v_2", 1, 1, 0, 0), ("v_2", 2, 1, 0, 0)]

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def write(self, name: str, columns: dict, snapshot_id: int = 1) -> lake.DataFile:
        path = Path(self.directory.name, name)
        pq.write_table(pa.table(columns), path)
        return lake.DataFile(str(path), snapshot_id, len(next(iter(columns.values()))), path.stat().st_size)

    def gold_file(self, rows: list[tuple]) -> lake.DataFile:
        zeros = pa.array([0] * len(rows), pa.int64())
        columns = {column: zeros for column in truths.COLUMNS}
        columns["video_id"] = [row[0] for row in rows]
        starts = [FIRST_US + row[1] * MINUTE_US for row in rows]
        columns["window_start"] = pa.array(starts, pa.timestamp("us", "UTC"))
        for column, at in (("impressions", 2), ("likes", 3), ("watch_time_sum_ms", 4)):
            columns[column] = [row[at] for row in rows]
        return self.write("gold.parquet", columns)

    def bronze_file(self, events: list[tuple]) -> lake.DataFile:
        names = ("source_partition", "source_offset", None, "event_id", "video_id", "user_id", "event_type")
        columns = {name: [row[at] for row in events] for at, name in enumerate(names) if name}
        columns["event_timestamp"] = pa.array([row[7] for row in events], pa.timestamp("us", "UTC"))
        columns["payload_json"] = [f'{{"watch_time_ms":{row[8]}}}' for row in events]
        return self.write("bronze.parquet", columns)

    def gold_differences(self, rows: list[tuple]) -> list[str]:
        return TruthOfRows(self.EVENTS)._gold_differences([self.gold_file(rows)])

    def bronze_differences(self, events: list[tuple]) -> list[str]:
        return TruthOfRows(self.EVENTS)._bronze_differences([self.bronze_file(events)])

    def test_repeated_events_count_once_in_gold(self) -> None:
        truth = TruthOfRows(self.EVENTS)
        self.assertEqual((truth.records, truth.events, truth.closed_windows()), (5, 4, 2))
        self.assertEqual(self.gold_differences(self.GOLD), [])

    def test_a_window_that_need_not_have_closed_may_be_absent_but_not_wrong(self) -> None:
        self.assertEqual(self.gold_differences(self.GOLD[:2]), [])
        wrong = [*self.GOLD[:2], ("v_2", 2, 9, 0, 0)]
        self.assertEqual(len(self.gold_differences(wrong)), 1)

    def test_a_window_that_is_missing_is_named(self) -> None:
        (sentence,) = self.gold_differences(self.GOLD[1:])
        self.assertEqual(sentence, f"gold: v_1 in the minute {FIRST_US // 1_000_000}: is missing")

    def test_a_video_that_never_was_is_named(self) -> None:
        (sentence,) = self.gold_differences([*self.GOLD, ("v_3", 0, 1, 0, 0)])
        self.assertIn("v_3", sentence)
        self.assertIn("should not be there", sentence)

    def test_a_doubled_event_in_gold_is_named(self) -> None:
        (sentence,) = self.gold_differences([("v_1", 0, 1, 2, 1400), *self.GOLD[1:]])
        self.assertIn("likes 2 in place of 1, watch_time_sum_ms 1400 in place of 700", sentence)

    def test_bronze_keeps_repeated_events(self) -> None:
        self.assertEqual(self.bronze_differences(self.EVENTS), [])

    def test_a_record_that_bronze_lacks_is_noticed(self) -> None:
        self.assertIn("bronze: rows: 4 in place of 5", self.bronze_differences(self.EVENTS[:-1]))

    def test_a_record_in_place_of_another_is_noticed(self) -> None:
        swapped = [*self.EVENTS[:-1], event(4, "e", "v_2", "impression", 135)]
        (sentence,) = self.bronze_differences(swapped)
        self.assertIn("fingerprint", sentence)

    def test_another_body_is_noticed(self) -> None:
        other = [*self.EVENTS[:-1], event(4, "d", "v_2", "impression", 135, 1)]
        (sentence,) = self.bronze_differences(other)
        self.assertIn("watch_time_ms in the bodies", sentence)

    def test_a_record_that_is_no_event_ends_it(self) -> None:
        with self.assertRaisesRegex(SystemExit, "0-5 .* no valid event"):
            TruthOfRows([*self.EVENTS, event(5, "f", "v_1", "superlike", 3)])

    def test_events_wait_from_their_record_time_until_their_snapshot_was_seen(self) -> None:
        truth = TruthOfRows(self.EVENTS)
        seen_ms = FIRST_US // 1000 + 140_000
        found = freshness.bronze_latencies(
            truth, [self.bronze_file(self.EVENTS)], {1: seen_ms}, FIRST_US // 1000 + 60_000
        )
        self.assertEqual(found, freshness.Latencies(2, 5.0, 79.0, 79.0, 79.0))

    def test_windows_wait_from_their_end(self) -> None:
        truth = TruthOfRows(self.EVENTS)
        files, seen_ms = [self.gold_file(self.GOLD)], {1: FIRST_US // 1000 + 140_000}
        # The first window ends at 60 s, so it counts from before that; the third need not have closed.
        found = freshness.gold_latencies(truth, files, seen_ms, FIRST_US // 1000 + 59_999)
        self.assertEqual(found, freshness.Latencies(2, 20.0, 80.0, 80.0, 80.0))
        found = freshness.gold_latencies(truth, files, seen_ms, FIRST_US // 1000 + 60_000)
        self.assertEqual(found, freshness.Latencies(1, 20.0, 20.0, 20.0, 20.0))


if __name__ == "__main__":
    unittest.main()
