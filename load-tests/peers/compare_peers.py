"""Runs the engines one after the other at the same work, and prints what each of them took.

Started by run.sh, beside a Kafka broker.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import duckdb

import engines
import figures
import lake
import table
import topic
from engines import ENGINES, Engine, Job
from figures import Drain
from freshness import Watch, bronze_latencies, gold_latencies
from options import SMALL_PART, parser
from process_tree import ProcessTree, Usage
from truth import Truth, parquet

START_S = 180
"""How long an engine may take to start."""
DRAIN_S = 3600
"""How long a drain may take."""
SETTLE_S = 180
"""How long the last commits may take after the last event of a live run."""


def say(text: str) -> None:
    """What is under way, on standard error."""
    print(f"peers: {text}", file=sys.stderr, flush=True)


class Comparison:
    """One comparison: what all engines share."""

    def __init__(self, chosen: argparse.Namespace, work: Path) -> None:
        self.chosen = chosen
        self.work = work
        self.brokers = os.environ["PULSELAKE_TEST_KAFKA"]
        self.broker_pid = int(Path(os.environ["PULSELAKE_TEST_KAFKA_DIR"], "kafka.pid").read_text())
        self.cores = len(os.sched_getaffinity(0))
        self.results = {name: self._empty_result(ENGINES[name]) for name in chosen.only}

    def _empty_result(self, engine: Engine) -> dict:
        return {"version": engines.version(engine, self.chosen.engine), "differences": []}

    def job(self, name: str, topic_name: str, live: bool = False, runs: int = 1) -> Job:
        """What an engine is to do with a topic, in a fresh directory."""
        out = self.work / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        chosen = self.chosen
        return Job(
            self.brokers,
            topic_name,
            out,
            live,
            runs,
            chosen.interval_s,
            self.cores,
            chosen.heap,
            chosen.engine.resolve(),
        )

    def start(self, engine: Engine, job: Job) -> ProcessTree:
        """Starts an engine."""
        words, environment = engines.command(engine, job)
        return ProcessTree(words, self.work / f"{engine.name}.log", environment, self.broker_pid)

    def fill(self, name: str, events: int, rate: int) -> Truth:
        """Makes a topic with so many events, and recounts it."""
        say(f"filling {name} with {events:,} events")
        topic.create(self.brokers, name, self.chosen.partitions)
        words = topic.generator_command(self.chosen.engine, self.brokers, name, events, rate, self.chosen.seed)
        topic.fill([*words, "--start", topic.START])
        return self.recount(name)

    def recount(self, name: str) -> Truth:
        """The truth about a topic."""
        truth = Truth(self.brokers, name, self.work / f"{name}.duckdb")
        say(f"{name} holds {truth.records:,} records of {truth.events:,} events")
        return truth

    def check(self, name: str, truth: Truth, home: Path) -> dict:
        """Compares an engine's tables with the truth; returns how many files they have."""
        locations = lake.metadata_locations(home)
        for sentence in truth.differences(locations):
            say(f"{name}: {sentence}")
            if sentence not in self.results[name]["differences"]:
                self.results[name]["differences"].append(sentence)
        return {
            table: table_files(location) for table, location in locations.items() if table in (lake.BRONZE, lake.GOLD)
        }

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Does an engine's work; a failure is its result, and the others go on."""
        if "error" in self.results[name]:
            return
        try:
            work()
        # Whatever it is: hours of the other engines' work must not be lost with it.
        except Exception as error:
            self.results[name]["error"] = f"{type(error).__name__}: {error}"
            say(f"{name} failed: {self.results[name]['error']}")

    def drain(self) -> str:
        """All engines through a small and a large topic; returns what was measured, as a title."""
        sizes = {"peers-small": self.chosen.events // SMALL_PART, "peers-large": self.chosen.events}
        rate = topic.stream_rate(sizes["peers-small"])
        truths = {name: self.fill(name, events, rate) for name, events in sizes.items()}
        drains: dict[str, dict[str, list[Drain]]] = {name: {size: [] for size in sizes} for name in self.results}
        for _ in range(self.chosen.runs):
            for name in self.results:
                for size, truth in truths.items():
                    self.attempt(name, lambda: drains[name][size].append(self.drain_once(ENGINES[name], size, truth)))
        for name, result in self.results.items():
            if "error" not in result:
                result["figures"] = figures.drain_figures(drains[name]["peers-small"], drains[name]["peers-large"])
        small, large = sizes.values()
        return (
            f"A full topic into bronze and gold, on {self.cores} cores with the broker: {large:,} events; "
            f"per million, and events/s, by the slope from {small:,}; runs of each: {self.chosen.runs}."
        )

    def drain_once(self, engine: Engine, topic_name: str, truth: Truth) -> Drain:
        """One process drains one topic; twice, if it warms up and the topic is the large one."""
        runs = 2 if engine.warms_up and topic_name == "peers-large" else 1
        job = self.job(engine.name, topic_name, runs=runs)
        with self.start(engine, job) as tree:
            if not tree.wait(DRAIN_S):
                raise RuntimeError(f"not done after {DRAIN_S} s: {tree.end_of_log()}")
            if tree.exit_code != 0:
                raise RuntimeError(f"ended with exit code {tree.exit_code}: {tree.end_of_log()}")
            marks = {mark.facts["mark"]: mark.usage for mark in tree.marks}
            # An engine without marks drains once and ends.
            end = marks.get("end 1", tree.usage())
            taken = difference(end, tree.started)
            warm = difference(marks["end 2"], marks["begin 2"]) if "end 2" in marks else None
        files = [self.check(engine.name, truth, job.home(run)) for run in range(1, runs + 1)]
        say(
            f"{engine.title}: {topic_name} in {taken.time_s:.1f} s, {taken.cpu_s:.1f} CPU s"
            + (f"; again in {warm.time_s:.1f} s, {warm.cpu_s:.1f} CPU s" if warm else "")
        )
        if not self.chosen.keep:
            shutil.rmtree(job.out)
        return Drain(
            events=truth.records,
            seconds=taken.time_s,
            cpu_s=taken.cpu_s,
            peak_resident_bytes=end.peak_resident_bytes,
            broker_cpu_s=taken.beside_cpu_s,
            other_cpu_s=taken.machine_cpu_s - taken.cpu_s - taken.beside_cpu_s,
            warm_seconds=warm.time_s if warm else None,
            warm_cpu_s=warm.cpu_s if warm else None,
            files=files[0],
        )

    def live(self) -> str:
        """All engines beside a running generator; returns what was measured, as a title."""
        for name in self.results:
            self.attempt(name, lambda: self.live_once(ENGINES[name]))
        chosen = self.chosen
        return (
            f"{chosen.live:,} events/s for {chosen.duration_s} s on {self.cores} cores with the broker, "
            f"the first {chosen.warm_up_s} s not measured; bronze commits every {chosen.interval_s} s, "
            f"watermark {engines.WATERMARK_S} s."
        )

    def live_once(self, engine: Engine) -> None:
        """One engine follows a topic of its own."""
        chosen, name = self.chosen, f"peers-live-{engine.name}"
        topic.create(self.brokers, name, chosen.partitions)
        job = self.job(engine.name, name, live=True)
        count = chosen.live * chosen.duration_s
        with Watch(job.home()) as watch, self.start(engine, job) as tree:
            if engine.warms_up:
                tree.wait_for_mark("ready", START_S)
            wait_until(lambda: len(watch.locations) == 2, START_S, tree, "tables")
            ready = tree.usage()
            say(f"{engine.title}: ready; {count:,} events follow")
            words = topic.generator_command(chosen.engine, self.brokers, name, count, chosen.live, chosen.seed)
            with ProcessTree([*words, "--paced"], self.work / "generator.log") as generator:
                wait_until(lambda: not generator.is_running(), chosen.warm_up_s, tree, None)
                from_ms, begin = time.time_ns() // 1_000_000, tree.usage()
                wait_until(lambda: not generator.is_running(), chosen.duration_s + 60, tree, "end of the generator")
                until_ms, end = time.time_ns() // 1_000_000, tree.usage()
                if generator.exit_code != 0:
                    raise RuntimeError(
                        f"the generator ended with exit code {generator.exit_code}: {generator.end_of_log()}"
                    )
            wait_until(lambda: watch.total_rows(lake.BRONZE) >= count, SETTLE_S, tree, f"{count:,} rows in bronze")
            # Before the last windows are there, the recount would take the cores from the engine.
            closed_ms = (until_ms - (engines.WATERMARK_S + 5) * 1000) // 60_000 * 60_000
            wait_until(lambda: newest_window_end_ms(watch) >= closed_ms, SETTLE_S, tree, "newest window in gold")
            truth = self.recount(name)
            deadline = time.monotonic() + SETTLE_S
            while truth.differences(watch.locations) and time.monotonic() < deadline and tree.is_running():
                time.sleep(2)
            last = tree.usage()
            if not tree.stop(60):
                say(f"{engine.title} did not end within 60 s of being asked to")
        taken = difference(end, begin)
        measured = truth.records_between(from_ms, until_ms)
        locations = watch.locations
        latencies = {
            "bronze": bronze_latencies(
                truth, lake.data_files(locations[lake.BRONZE]), watch.visible_ms(lake.BRONZE), from_ms
            ),
            "gold": gold_latencies(truth, lake.data_files(locations[lake.GOLD]), watch.visible_ms(lake.GOLD), from_ms),
        }
        if not all(latencies.values()):
            raise RuntimeError("nothing of the measured time is in the tables")
        self.results[engine.name]["figures"] = {
            **{table: asdict(found) for table, found in latencies.items()},
            "cpu_share_of_a_core": round(taken.cpu_s / taken.time_s, 3),
            "cpu_s_per_million": round(taken.cpu_s / measured * 1e6, 1),
            "start_cpu_s": round(ready.cpu_s, 2),
            "start_s": round(ready.time_s - tree.started.time_s, 1),
            "peak_resident_mib": figures.mebibytes(last.peak_resident_bytes),
            "broker_cpu_s": round(taken.beside_cpu_s, 1),
            "other_cpu_s": round(taken.machine_cpu_s - taken.cpu_s - taken.beside_cpu_s, 1),
            "measured_s": round(taken.time_s, 1),
            "measured_events": measured,
            "files": self.check(engine.name, truth, job.home()),
        }
        topic.delete(self.brokers, name)
        if not chosen.keep:
            shutil.rmtree(job.out)


def table_files(location: str) -> dict:
    """How a table lies on the disk."""
    files = lake.data_files(location)
    return {
        "data_files": len(files),
        "rows": sum(file.rows for file in files),
        "mib": round(sum(file.size_bytes for file in files) / 2**20, 1),
        "commits": lake.commits(location),
    }


def difference(later: Usage, earlier: Usage) -> Usage:
    """What was used in between; the peak is that of the later moment."""
    return Usage(
        later.time_s - earlier.time_s,
        later.cpu_s - earlier.cpu_s,
        later.peak_resident_bytes,
        later.machine_cpu_s - earlier.machine_cpu_s,
        later.beside_cpu_s - earlier.beside_cpu_s,
    )


def wait_until(holds: Callable[[], bool], timeout_s: float, engine: ProcessTree, what: str | None) -> None:
    """Waits for a condition while the engine runs.

    Raises:
        RuntimeError: when the engine ends meanwhile; and, if `what` is awaited, when the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while not holds():
        if not engine.is_running():
            raise RuntimeError(f"ended with exit code {engine.exit_code} in the middle: {engine.end_of_log()}")
        if time.monotonic() > deadline:
            if what is None:
                return
            raise RuntimeError(f"no {what} within {timeout_s:.0f} s: {engine.end_of_log()}")
        time.sleep(0.1)


def newest_window_end_ms(watch: Watch) -> int:
    """The end of the newest window in gold; 0 while there is none."""
    location = watch.locations.get(lake.GOLD)
    files = lake.data_files(location) if location else []
    if not files:
        return 0
    return duckdb.sql(f"SELECT epoch_ms(max(window_end)) FROM {parquet(files)}").fetchone()[0]


def machine() -> dict:
    """What it ran on."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in processors if line.startswith("model name")), None)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()
    return {
        "processor": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": figures.mebibytes(memory_bytes),
        "system": platform.platform(),
        "java": java[0] if java else None,
    }


def stop_at_once(number: int, _frame: object) -> None:
    """Ends the program by its own way out, so that the engines end with it."""
    sys.exit(128 + number)


def main() -> None:
    signal.signal(signal.SIGTERM, stop_at_once)
    chosen = parser().parse_args()
    work = Path(tempfile.mkdtemp(prefix="pulselake-peers-", dir=chosen.work_dir)).resolve()
    load_before = os.getloadavg()
    try:
        comparison = Comparison(chosen, work)
        title = comparison.live() if chosen.live else comparison.drain()
    finally:
        if chosen.keep:
            say(f"tables and logs are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(chosen).items()}
    outcome = {
        "form": "live" if chosen.live else "drain",
        "title": f"{title} Load average before: {load_before[0]:.1f}.",
        "machine": machine(),
        "load_before": load_before,
        "load_after": os.getloadavg(),
        "options": settings,
        "engines": comparison.results,
    }
    markdown, text = table.markdown(outcome), json.dumps(outcome, indent=2)
    if chosen.report:
        chosen.report.mkdir(parents=True, exist_ok=True)
        (chosen.report / "peers.json").write_text(text + "\n")
        (chosen.report / "peers.md").write_text(markdown)
    print(markdown, file=sys.stderr)
    print(text)
    if any(result["differences"] or "error" in result for result in comparison.results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
