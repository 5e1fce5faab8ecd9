#!/usr/bin/env python3
"""Fills a topic with generated events, drains it with the engine, and prints what that cost as one JSON object.

Run by run.sh, which starts the broker (PULSELAKE_TEST_KAFKA). The engine is target/release/pulselake, or $PULSELAKE."""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGINE = os.environ.get("PULSELAKE", str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "pulselake"))
PARTITIONS = 12


def fill(brokers: str, topic: str, events: int) -> None:
    """Creates the topic and produces `events` records with 10,000 of them per second of event time."""
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    command = [ENGINE, "generate", "--brokers", brokers, "--topic", topic, "--count", str(events), "--rate", "10000"]
    # A fixed start: every run drains the same bytes.
    subprocess.run([*command, "--start", "2026-02-07T10:00:00Z", "--invalid-ratio", "0"], check=True)


def drain(brokers: str, topic: str, settings: list[str], data_dir: str) -> dict:
    """One run to the end of the topic into fresh tables."""
    command = [ENGINE, "run", "--brokers", brokers, "--topic", topic, "--group", f"bench-{os.path.basename(data_dir)}"]
    command += ["--data-dir", data_dir, "--until-caught-up", "--metrics-bind", ""]
    for setting in settings:
        command += ["--set", setting]
    load_before = os.getloadavg()[0]
    started = os.times().elapsed
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        log = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"the engine ended with {process.returncode}:\n{log[-2000:]}")
    records = int(re.search(r"(\d+) records", log[log.rindex("caught up"):]).group(1))
    seconds = os.times().elapsed - started
    cpu = usage.ru_utime + usage.ru_stime
    subprocess.run([ENGINE, "audit", "--data-dir", data_dir], check=True, stdout=subprocess.DEVNULL)
    files = sum(int(count) for count in re.findall(r'event="commit_done".*? files=(\d+)', log))
    return {
        "records": records,
        "cpu_s_per_million": round(cpu / records * 1e6, 3),
        "events_per_s": round(records / seconds),
        "peak_resident_mb": round(usage.ru_maxrss / 1024),
        "commits": log.count('event="commit_done"'),
        "files": files,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    brokers = os.environ["PULSELAKE_TEST_KAFKA"]
    fill(brokers, "bench", options.events)
    runs = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="pulselake-bench.") as data_dir:
            runs.append(drain(brokers, "bench", options.set, data_dir))
    median = statistics.median(run["cpu_s_per_million"] for run in runs)
    print(json.dumps({"median_cpu_s_per_million": median, "settings": options.set, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
