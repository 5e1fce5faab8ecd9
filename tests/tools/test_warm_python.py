"""Tests of warm_python.py, on the Python that runs them."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from warm_python import WarmPython

DEADLINE_S = 60


class WarmPythonTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = WarmPython.start(sys.executable)
        cls.environment = {**os.environ, **cls.server.environment}
        cls.addClassCleanup(cls.server.stop)

    def ask(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.server.program, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, env=options.pop("env", self.environment), **options
        )

    def test_a_script_has_its_arguments_its_directory_and_its_streams(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "beside.py").write_text("WORD = 'beside'\n")
            script = Path(directory, "script.py")
            script.write_text("import os, sys, beside\nprint(sys.argv[1:], os.getcwd(), beside.WORD, sys.stdin.read(), os.environ['ODD'])\nprint('bad', file=sys.stderr)\n")
            done = self.ask(str(script), "a", "b c", cwd="/", input="read", env={**self.environment, "ODD": "ä\n"})
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("['a', 'b c'] / beside read ä\n\n", "bad\n", 0))

    def test_what_is_loaded_is_loaded(self):
        done = self.ask("-c", "import sys; print('pyiceberg.catalog.sql' in sys.modules, 'pyarrow' in sys.modules, sys.argv)", "x")
        self.assertEqual(done.stdout, "True True ['-c', 'x']\n")

    def test_it_ends_as_the_script_does(self):
        self.assertEqual(self.ask("-c", "raise SystemExit(7)").returncode, 7)
        self.assertEqual(self.ask("-c", "import sys; sys.exit('words')").stderr, "words\n")
        failed = self.ask("-c", "1 / 0")
        self.assertEqual(failed.returncode, 1)
        self.assertIn("ZeroDivisionError", failed.stderr)
        self.assertEqual(self.ask("-c", "import os; os.kill(os.getpid(), 9)").returncode, 128 + signal.SIGKILL)

    def test_libraries_work_after_a_fork(self):
        script = "import duckdb, pyarrow as pa, pyarrow.compute as pc\nt = pa.table({'a': list(range(100000))})\nprint(pc.sum(t['a']), duckdb.sql('SELECT sum(a) FROM t').fetchone()[0])"
        self.assertEqual(self.ask("-c", script).stdout, "4999950000 4999950000\n")

    def test_whoever_kills_the_program_kills_the_script(self):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory, "pid")
            script = f"import os, time\nopen({str(place)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
            program = subprocess.Popen([self.server.program, "-c", script], env=self.environment)
            self.await_(lambda: place.exists() and place.read_text())
            pid = int(place.read_text())
            program.kill()
            program.wait()
            self.await_(lambda: not is_there(pid))

    def test_what_a_fork_cannot_do_is_left_to_a_new_python(self):
        self.assertIn("usage:", self.ask("-m", "json.tool", "--help").stdout)
        self.assertEqual(self.ask("-c", "import sys; print('pyarrow' in sys.modules)", env={**self.environment, "PYTHONPATH": "/"}).stdout, "False\n")
        self.assertEqual(self.ask("-c", "import sys; print(sys.executable)", env={**os.environ, "PULSELAKE_TEST_COLD_PYTHON": sys.executable}).stdout, f"{sys.executable}\n")

    def await_(self, is_so):
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    unittest.main()
