"""Runs the workspace's test programs several at a time.

    run_tests.py [--lanes N] [CARGO-OPTION…]          (such as --benches --examples: compiled too, not run)

`cargo test` runs one test program after the other, and most of ours spend their time waiting: for a broker, a commit, a process that was
killed. Here N programs (2, or PULSELAKE_TEST_LANES) run side by side, the slowest of the last run first; each in its package's directory as cargo does it, its
output in one piece when it ends. Doc tests are not among them. The exit code is 0 only when every program's is.

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
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

# What no run has measured yet is taken for quick: it fills the gaps at the end.
UNKNOWN_S = 0.0
# Kinds of targets that are compiled with the tests where that is wanted (`--benches --examples`), and are none.
NO_TESTS = {"bench", "example"}
# Lines of a failed program that are said once more at the end: a log that was cut in the middle still has them.
LAST_WORDS = 60


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
    """What a failed program says of its failures, shortened: from the list of failures on, or its end where there is none."""
    lines = output.splitlines()
    start = lines.index("failures:") if "failures:" in lines else max(0, len(lines) - LAST_WORDS)
    return "\n".join(lines[start:start + LAST_WORDS])


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
    outcomes = []
    with ThreadPoolExecutor(arguments.lanes) as lanes:
        for finished in as_completed([lanes.submit(run_program, program) for program in programs]):
            outcome = finished.result()
            outcomes.append(outcome)
            print(f"     Running {outcome.program.name}\n{outcome.output}", flush=True)
            state = "ok" if outcome.exit_code == 0 else f"FAILED (exit code {outcome.exit_code})"
            print(f"[{len(outcomes)}/{len(programs)}] {outcome.program.name}: {state}, {outcome.duration_s:.0f} s, {outcome.cpu_s:.0f} CPU s", file=sys.stderr, flush=True)
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
