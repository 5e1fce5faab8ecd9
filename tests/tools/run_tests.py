"""Runs the workspace's test programs several at a time.

    run_tests.py [--lanes N] [CARGO-OPTION…]          (such as --benches --examples: compiled too, not run)

`cargo test` runs one test program after the other, and most of ours spend their time waiting: for a broker, a commit, a process that was
killed. Here N programs (2, or PULSELAKE_TEST_LANES) run side by side, each in its package's directory as cargo does it, its output in one
piece when it ends. One lane takes the slowest of the last run first, the others the quickest, until they meet: the slow ones keep many
processes busy, and two of them on one small machine would only run into each other's time limits. Doc tests are not among them. The exit code is 0 only when every program's is.

Where the tests have a Python (PULSELAKE_TEST_PYTHON), they are given one that is warm (warm_python.py); what it uses is nobody's CPU time below.

Programs share nothing but the machine and the services that the environment names: their topics, buckets and databases have names of
their own, and what stops a broker starts one of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from warm_python import WarmPython

PYTHON_VARIABLE = "PULSELAKE_TEST_PYTHON"
# What no run has measured yet is taken for quick: it fills the gaps at the end.
UNKNOWN_S = 0.0
# Kinds of targets that are compiled with the tests where that is wanted (`--benches --examples`), and are none.
NO_TESTS = {"bench", "example"}
# How much of a failed program is said once more at the end, for a log that was cut in the middle: the lines from each panic on, or the
# last ones of a program without any; of each line its beginning, for an engine's log stands in some.
PANIC_LINES = 5
LAST_LINES = 20
LINE_CHARACTERS = 400


@dataclass(frozen=True)
class TestProgram:
    """One executable of `cargo test`: `name` as people know it, `directory` is its package's."""

    name: str
    executable: str
    directory: str


@dataclass(frozen=True)
class Outcome:
    """What became of a program. `cpu_s` is its own with that of all that it waited for; `output` is its standard output and error in
    the order of writing."""

    program: TestProgram
    exit_code: int
    duration_s: float
    cpu_s: float
    output: str


def test_programs(messages: str) -> list[TestProgram]:
    """The test programs in the JSON lines that `cargo test --no-run --message-format json` prints."""
    programs = []
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact" or not message["profile"]["test"] or not message.get("executable"):
            continue
        if not NO_TESTS.isdisjoint(message["target"]["kind"]):
            continue
        directory = Path(message["manifest_path"]).parent
        source = Path(message["target"]["src_path"]).relative_to(directory)
        programs.append(TestProgram(f"{package_name(message['package_id'])} {source}", message["executable"], str(directory)))
    return programs


def package_name(package_id: str) -> str:
    """The name in a package id: `path+file:///…/crates/window#pulselake-window@0.1.0`, or `…/actors#0.1.0`."""
    place, _, fragment = package_id.partition("#")
    name, has_name, _ = fragment.partition("@")
    return name if has_name else place.rsplit("/", 1)[-1]


def in_order(programs: list[TestProgram], durations_s: dict[str, float]) -> list[TestProgram]:
    """The slowest first, so that no long one begins when all others have ended."""
    return sorted(programs, key=lambda program: (-durations_s.get(program.name, UNKNOWN_S), program.name))


class Waiting:
    """The programs that wait for a lane, the slowest first. Lanes may ask at the same time."""

    def __init__(self, programs: list[TestProgram]):
        self._programs = deque(programs)

    def next_for(self, lane: int) -> TestProgram | None:
        """What lane number `lane` is to run now: the first lane works from the slow end, the others from the quick one."""
        try:
            return self._programs.popleft() if lane == 0 else self._programs.pop()
        except IndexError:
            return None


def run_program(program: TestProgram) -> Outcome:
    """Runs one to its end."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            [program.executable, "--include-ignored"],
            cwd=program.directory,
            env={**os.environ, "CARGO_MANIFEST_DIR": program.directory},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # Not `wait`: only this tells what it has used.
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    return Outcome(program, running.returncode, time.monotonic() - started, usage.ru_utime + usage.ru_stime, said)


def last_words(output: str) -> str:
    """What a failed program says of its failures, shortened: its panics and the tests that failed, or its end where there are none."""
    lines = output.splitlines()
    said = {at + behind for at, line in enumerate(lines) if "panicked at " in line for behind in range(PANIC_LINES)}
    said |= {at for at, line in enumerate(lines) if line.startswith("test ") and line.endswith("FAILED")}
    if not said:
        said = set(range(len(lines) - LAST_LINES, len(lines)))
    return "\n".join(line[:LINE_CHARACTERS] for at, line in enumerate(lines) if at in said)


def known_durations_s(place: Path) -> dict[str, float]:
    """What the last run measured; nothing where there was none, or its file can't be read."""
    try:
        return json.loads(place.read_text())
    except (OSError, ValueError):
        return {}


def build(cargo_options: list[str]) -> str:
    """Compiles the test programs, and gives cargo's messages."""
    command = [os.environ.get("CARGO", "cargo"), "test", *cargo_options, "--lib", "--bins", "--tests", "--no-run"]
    done = subprocess.run([*command, "--message-format", "json"], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout.decode()


@contextmanager
def warm_python() -> Iterator[None]:
    """Gives the programs a warm Python in the place of theirs."""
    python = os.environ.get(PYTHON_VARIABLE)
    if python is None:
        yield
        return
    with WarmPython.start(python) as server:
        os.environ |= {**server.environment, PYTHON_VARIABLE: server.program}
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description="run the workspace's test programs several at a time")
    parser.add_argument("--lanes", type=int, default=int(os.environ.get("PULSELAKE_TEST_LANES", "2")))
    parser.add_argument("--durations", type=Path, default=Path(__file__).with_name("test_durations.json"))
    parser.add_argument("--remember", action="store_true", help="write what this run measured into the file of durations")
    arguments, cargo_options = parser.parse_known_args()
    if arguments.lanes < 1:
        parser.error(f"--lanes (PULSELAKE_TEST_LANES) is {arguments.lanes}: at least 1 is needed")
    durations_s = known_durations_s(arguments.durations)
    programs = in_order(test_programs(build(cargo_options)), durations_s)
    if not programs:
        sys.exit("run_tests.py: cargo named no test program")
    started = time.monotonic()
    waiting = Waiting(programs)
    outcomes: list[Outcome] = []
    one_speaks = Lock()

    def work(lane: int) -> None:
        while (program := waiting.next_for(lane)) is not None:
            outcome = run_program(program)
            with one_speaks:
                outcomes.append(outcome)
                print(f"     Running {program.name}\n{outcome.output}", flush=True)
                state = "ok" if outcome.exit_code == 0 else f"FAILED (exit code {outcome.exit_code})"
                print(
                    f"[{len(outcomes)}/{len(programs)}, {time.monotonic() - started:.0f} s] {program.name}: {state}, "
                    f"{outcome.duration_s:.0f} s, {outcome.cpu_s:.0f} CPU s",
                    file=sys.stderr,
                    flush=True,
                )

    with warm_python(), ThreadPoolExecutor(arguments.lanes) as lanes:
        for finished in [lanes.submit(work, lane) for lane in range(arguments.lanes)]:
            finished.result()
    if arguments.remember:
        measured = {outcome.program.name: round(outcome.duration_s) for outcome in outcomes if outcome.duration_s >= 5}
        arguments.durations.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    failed = [outcome.program.name for outcome in outcomes if outcome.exit_code != 0]
    for outcome in outcomes:
        if outcome.exit_code != 0:
            print(f"\n{outcome.program.name} failed:\n{last_words(outcome.output)}", file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(sorted(failed))}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
