"""Python that has PyIceberg and pyarrow loaded already: loading them takes a second of processor time, and the tests start Python
hundreds of times.

    server = WarmPython.start(python)      a process that loads them once
    server.program                         the path of a program that is called as `python` is

The program (`warm-python`) hands its arguments, directory, environment and standard streams to the server, which forks a process that has
everything loaded, and ends as that process does. Whoever kills the program kills that process, a moment later and whatever the signal
was. What a fork can't do as well as a new Python (`-m`, options, another PYTHONPATH) is left to a new one.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# What the tests' scripts load. One that is not there is left to the script that asks for it. Not DuckDB: it starts threads when it is
# loaded, which no fork has, and is loaded in a tenth of a second.
LOADED = ("pyarrow.compute", "pyarrow.parquet", "pyiceberg.catalog.sql", "pyiceberg.catalog.rest", "pyiceberg.io.pyarrow", "confluent_kafka.admin")
SOCKET_VARIABLE = "PULSELAKE_TEST_WARM_PYTHON"
COLD_PYTHON_VARIABLE = "PULSELAKE_TEST_COLD_PYTHON"
# The longest request: an environment and arguments, which systems bound by some megabytes.
MOST_REQUEST_BYTES = 8 << 20


class WarmPython:
    """The server's process and where it is reached. To be ended by `stop`, or used in a `with`."""

    def __init__(self, process: subprocess.Popen, directory: tempfile.TemporaryDirectory, python: str):
        self._process = process
        self._directory = directory
        self.program = str(Path(__file__).with_name("warm-python"))
        # The variables by which the program finds its server.
        self.environment = {SOCKET_VARIABLE: os.path.join(directory.name, "socket"), COLD_PYTHON_VARIABLE: python}

    @classmethod
    def start(cls, python: str) -> "WarmPython":
        """Starts the server on the interpreter `python`, and waits until it answers. Raises OSError where it ends instead."""
        directory = tempfile.TemporaryDirectory(prefix="pulselake-python-")
        place = os.path.join(directory.name, "socket")
        process = subprocess.Popen([python, __file__, place], stdin=subprocess.PIPE)
        while not os.path.exists(place):
            if process.poll() is not None:
                directory.cleanup()
                raise OSError(f"the warm Python has ended with {process.returncode} before it answered")
            time.sleep(0.02)
        return cls(process, directory, python)

    def stop(self) -> None:
        """Ends the server; what it has forked goes on to its own end."""
        self._process.stdin.close()
        self._process.wait()
        self._directory.cleanup()

    def __enter__(self) -> "WarmPython":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(place: str) -> None:
    """Answers until standard input ends: so it never outlives whoever started it."""
    for name in LOADED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"warm python: {name} is not loaded: {error}", file=sys.stderr)
    # What is loaded stays: no fork has to look through it.
    gc.collect()
    gc.freeze()
    # Children are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place + ".new")
    listener.listen(64)
    os.rename(place + ".new", place)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            watch(connection)
        connection.close()


def watch(connection: socket.socket) -> None:
    """Runs what the connection asks for in a process of its own, and answers with how that ended; without anybody left to answer, kills it.
    Never returns."""
    request, streams = received(connection)
    ended, is_running = os.pipe()
    worker = os.fork()
    if worker == 0:
        connection.close()
        os.close(ended)
        os._exit(exit_code_of(lambda: run(request, streams)))
    os.close(is_running)
    for stream in streams:
        os.close(stream)
    ready, _, _ = select.select([connection, ended], [], [])
    if connection in ready:
        os.kill(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    try:
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    except OSError:
        pass  # The one who asked is gone.
    os._exit(0)


def exit_code_of(script: Callable[[], None]) -> int:
    """Runs a script to its end and what it has registered for it: not the interpreter's own end, which would look through all that is loaded."""
    try:
        script()
        code = 0
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120  # As Python does when nobody reads any more.
    return code & 0xFF


def received(connection: socket.socket) -> tuple[dict, list[int]]:
    """The request and the three standard streams that came with it."""
    data, streams, _, _ = socket.recv_fds(connection, 65_536, 3)
    length, _, data = data.partition(b"\n")
    while len(data) < int(length) <= MOST_REQUEST_BYTES:
        more = connection.recv(65_536)
        if not more:
            os._exit(1)  # The one who asked was killed.
        data += more
    return json.loads(data), streams


def run(request: dict, streams: list[int]) -> None:
    """Becomes the Python that was asked for, as far as its script can tell. Raises what the script raises."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    first, *rest = request["arguments"]
    if first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.argv, sys.path[0] = [first, *rest], os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
