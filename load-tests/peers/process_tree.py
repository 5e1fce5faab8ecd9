"""A program with all that it starts: its CPU time, its peak of resident memory, and the marks that it prints.

CPU time of ended processes is taken from `wait4`, so nothing is missing. Descendants that outlive their parent become
children of this process (Linux' "child subreaper"), so their time is not lost either. While they run, times are read
from /proc (resolution 10 ms).
"""

import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "PEER "
"""A line on standard output that begins so is a mark: a JSON object follows, with the mark's name in `mark`."""

SAMPLE_S = 0.05
SCAN_S = 0.5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Usage:
    """What a tree had used at a moment."""

    time_s: float
    """By the monotonic clock."""
    cpu_s: float
    """User and system, from its start on."""
    peak_resident_bytes: int
    """The sum of each process's own peak."""
    machine_cpu_s: float
    """Of everything on the machine, since it was started."""
    beside_cpu_s: float
    """Of the process beside it, since that was started."""


@dataclass(frozen=True)
class Mark:
    """What a program said, and what it had used when it said so."""

    facts: dict
    usage: Usage


def cpu_of_stat(stat: str) -> float:
    """CPU seconds, those of children that it has waited for included, from the text of /proc/PID/stat."""
    fields = stat.rsplit(")", 1)[1].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S


def session_of_stat(stat: str) -> int:
    """The session id in the text of /proc/PID/stat."""
    return int(stat.rsplit(")", 1)[1].split()[3])


def read_stat(pid: int) -> str | None:
    """The text of /proc/PID/stat, if the process is there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None


def peak_resident_bytes(pid: int) -> int:
    """`VmHWM`; 0 when the process has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def machine_cpu_s() -> float:
    """CPU seconds of all processes of the machine since it was started, idle and stolen time left out."""
    user, nice, system, _idle, _wait, interrupts, soft_interrupts = Path("/proc/stat").read_text().split()[1:8]
    return sum(int(ticks) for ticks in (user, nice, system, interrupts, soft_interrupts)) / TICKS_PER_S


class ProcessTree:
    """A program in a session of its own. Use it in a `with`: whatever happens, all of it ends with the block."""

    def __init__(
        self, command: list[str], log: Path, environment: dict[str, str] | None = None, beside: int | None = None
    ) -> None:
        """Starts `command`; what it prints goes to `log`, its marks are kept too.

        `beside` is a process whose CPU time is noted with the tree's own.
        """
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.log = log
        self.exit_code: int | None = None
        self.marks: list[Mark] = []
        self._beside = beside
        self._peaks: dict[int, int] = {}
        self._ended_cpu_s = 0.0
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._log_file = open(log, "wb")
        self.started = self._usage_of_others(0.0, 0)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        )
        self._session = self._process.pid
        self._members = {self._session}
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._sample)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "ProcessTree":
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGKILL)
        self.wait(30)
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._process.stdout.close()
        self._log_file.close()

    def usage(self) -> Usage:
        """What the tree has used so far."""
        with self._lock:
            self._look_at_members()
            live = [read_stat(pid) for pid in self._members]
            cpu_s = self._ended_cpu_s + sum(cpu_of_stat(stat) for stat in live if stat)
            return self._usage_of_others(cpu_s, sum(self._peaks.values()))

    def _usage_of_others(self, cpu_s: float, peak_bytes: int) -> Usage:
        beside = read_stat(self._beside) if self._beside else None
        return Usage(time.monotonic(), cpu_s, peak_bytes, machine_cpu_s(), cpu_of_stat(beside) if beside else 0.0)

    def is_running(self) -> bool:
        """Whether the program itself still runs."""
        with self._lock:
            if self.exit_code is None:
                self._reap([self._session])
            return self.exit_code is None

    def wait(self, timeout_s: float) -> bool:
        """Waits until the program and all that it started have ended; false when the time was too short."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            # The whole of /proc is looked through only when the program itself has ended.
            if not self.is_running() and not self._reap_rest():
                return True
            time.sleep(0.01)
        return False

    def wait_for_mark(self, name: str, timeout_s: float) -> Mark:
        """The first mark of that name.

        Raises:
            RuntimeError: when the program ends without it, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                found = next((mark for mark in self.marks if mark.facts["mark"] == name), None)
                if found:
                    return found
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no {name!r} within {timeout_s:.0f} s: {self.end_of_log()}")
                if not self.is_running():
                    raise RuntimeError(f"ended with exit code {self.exit_code} before {name!r}: {self.end_of_log()}")
                self._news.wait(0.1)

    def stop(self, timeout_s: float) -> bool:
        """Asks the program to end, and the rest of its session after it; false when it had to be killed."""
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        ended = self.exit_code is not None
        self._signal(signal.SIGKILL)
        return self.wait(30) and ended

    def end_of_log(self, lines: int = 15) -> str:
        """The last lines that it printed, and where the rest is."""
        self._log_file.flush()
        last = self.log.read_text(errors="replace").strip().splitlines()[-lines:]
        return "\n".join([f"the end of {self.log} is", *last])

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._find_members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _find_members(self) -> set[int]:
        """The processes of the session that are there now, those that have ended and wait to be reaped included."""
        found = set()
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            stat = read_stat(int(entry.name))
            if stat and session_of_stat(stat) == self._session:
                found.add(int(entry.name))
        return found

    def _look_at_members(self) -> None:
        for pid in self._members:
            self._peaks[pid] = max(self._peaks.get(pid, 0), peak_resident_bytes(pid))

    def _reap_rest(self) -> set[int]:
        """Reaps what it can; the members that are left."""
        with self._lock:
            self._members |= self._find_members()
            self._reap(self._members)
            return self._find_members()

    def _reap(self, pids: Iterable[int]) -> None:
        """Takes the times of those that have ended and are children of this process."""
        with self._lock:
            for pid in list(pids):
                try:
                    reaped, status, used = os.wait4(pid, os.WNOHANG)
                except ChildProcessError:
                    # Another member's child: its parent waits for it, or leaves it to this process.
                    if read_stat(pid) is None:
                        self._members.discard(pid)
                    continue
                if reaped == 0:
                    continue
                self._members.discard(pid)
                self._ended_cpu_s += used.ru_utime + used.ru_stime
                if pid == self._session:
                    self.exit_code = os.waitstatus_to_exitcode(status)
                    self._process.returncode = self.exit_code

    def _sample(self) -> None:
        next_scan = 0.0
        while not self._stopping.wait(SAMPLE_S):
            with self._lock:
                if time.monotonic() >= next_scan:
                    self._members |= self._find_members()
                    next_scan = time.monotonic() + SCAN_S
                self._look_at_members()

    def _read(self) -> None:
        for line in self._process.stdout:
            text = line.decode(errors="replace")
            with self._news:
                self._log_file.write(line)
                if text.startswith(MARK):
                    self.marks.append(Mark(json.loads(text[len(MARK) :]), self.usage()))
                    self._news.notify_all()
