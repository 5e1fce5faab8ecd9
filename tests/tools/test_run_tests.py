"""Tests of run_tests.py that need no cargo."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

from run_tests import LAST_LINES, LINE_CHARACTERS, TestProgram, Waiting, in_order, known_durations_s, last_words, package_name, run_program, test_programs


def artifact(package_id: str, manifest: str, source: str, executable: str | None, is_test: bool = True, kind: str = "test") -> str:
    return json.dumps({
        "reason": "compiler-artifact",
        "package_id": package_id,
        "manifest_path": manifest,
        "target": {"src_path": source, "kind": [kind]},
        "profile": {"test": is_test},
        "executable": executable,
    })


class RunTests(unittest.TestCase):
    def test_test_programs_are_found_among_the_messages(self):
        window = "path+file:///lake/crates/window#pulselake-window@0.1.0"
        messages = "\n".join([
            artifact(window, "/lake/crates/window/Cargo.toml", "/lake/crates/window/tests/windows/main.rs", "/t/windows-1"),
            artifact(window, "/lake/crates/window/Cargo.toml", "/lake/crates/window/src/lib.rs", None),
            artifact("path+file:///lake#pulselake@0.1.0", "/lake/Cargo.toml", "/lake/src/main.rs", "/t/pulselake", is_test=False),
            artifact(window, "/lake/crates/window/Cargo.toml", "/lake/crates/window/benches/windows.rs", "/t/bench-1", kind="bench"),
            json.dumps({"reason": "build-finished", "success": True}),
        ])
        self.assertEqual(test_programs(messages), [TestProgram("pulselake-window tests/windows/main.rs", "/t/windows-1", "/lake/crates/window")])

    def test_a_package_is_called_by_its_name(self):
        self.assertEqual(package_name("path+file:///lake/load-tests#pulselake-load@0.1.0"), "pulselake-load")
        self.assertEqual(package_name("path+file:///lake/actors#0.1.0"), "actors")

    def test_the_slowest_begin_first_and_unknown_ones_last(self):
        programs = [TestProgram(name, "", "") for name in ("b", "quick", "a", "slow")]
        ordered = in_order(programs, {"slow": 90.0, "quick": 5.0})
        self.assertEqual([program.name for program in ordered], ["slow", "quick", "a", "b"])

    def test_the_first_lane_works_from_the_slow_end_and_the_others_from_the_quick_one(self):
        slow, medium, quick, quickest = programs = [TestProgram(name, "", "") for name in ("slow", "medium", "quick", "quickest")]
        waiting = Waiting(programs)
        taken = [waiting.next_for(lane) for lane in (0, 1, 2, 0, 1)]
        self.assertEqual(taken, [slow, quickest, quick, medium, None])

    def test_what_a_failed_program_says_of_its_failures_is_kept_short(self):
        chatter = [f"line {number}" for number in range(500)]
        panic = ["thread 'a' panicked at tests/a.rs:7:5:", "x" * 5_000, "of b"]
        said = last_words("\n".join(["test a ... FAILED", "test b ... ok", *chatter, *panic, *chatter]))
        self.assertEqual(said.splitlines(), ["test a ... FAILED", panic[0], "x" * LINE_CHARACTERS, "of b", "line 0", "line 1"])
        self.assertEqual(last_words("\n".join(chatter)).splitlines(), chatter[-LAST_LINES:])
        self.assertEqual(last_words("killed"), "killed")

    def test_durations_that_cannot_be_read_are_no_durations(self):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory, "durations.json")
            self.assertEqual(known_durations_s(place), {})
            place.write_text("{")
            self.assertEqual(known_durations_s(place), {})
            place.write_text('{"a": 7}')
            self.assertEqual(known_durations_s(place), {"a": 7})

    def test_a_program_runs_in_its_directory_and_its_exit_code_and_words_are_kept(self):
        with tempfile.TemporaryDirectory() as directory:
            program = Path(directory, "program")
            program.write_text(f"#!{sys.executable}\nimport os, sys\nprint(os.getcwd(), *sys.argv[1:])\nprint('no', file=sys.stderr)\nsys.exit(3)\n")
            program.chmod(0o755)
            outcome = run_program(TestProgram("p", str(program), directory))
        self.assertEqual(outcome.exit_code, 3)
        self.assertEqual(sorted(outcome.output.splitlines()), sorted([f"{Path(directory).resolve()} --include-ignored", "no"]))


if __name__ == "__main__":
    unittest.main()
