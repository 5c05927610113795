# SPDX-License-Identifier: Apache-2.0
"""What a benchmark takes of the machine and gives back: hugepages, cores, processes that sleep while others are measured."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

HUGEPAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
PAGE_MB = 2
PR_SET_PDEATHSIG = 1
LOAD_CORE = 0
WORKER_CORE = 1
ALL_CORES = os.sched_getaffinity(0)


class Failure(RuntimeError):
    """A run that gives no figure, in one sentence."""


def wait_for(check, what, timeout=15.0, interval=0.01):
    """Calls `check` until it returns something true, and returns that. Failure naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout:.0f} s: {what}")
        time.sleep(interval)


class Hugepages:
    """Sees to it that `mb` megabytes of 2 MB pages are free inside the block; the number before it is restored after."""

    def __init__(self, mb, folder=HUGEPAGES):
        self._wanted = (mb + PAGE_MB - 1) // PAGE_MB
        self._folder = pathlib.Path(folder)
        self._before = self._set = None

    def _read(self, name):
        return int((self._folder / name).read_text(encoding="ascii"))

    def __enter__(self):
        try:
            free, total = self._read("free_hugepages"), self._read("nr_hugepages")
            if free >= self._wanted:
                return self
            self._before, self._set = total, total + self._wanted - free
            (self._folder / "nr_hugepages").write_text(str(self._set), encoding="ascii")
            free = self._read("free_hugepages")
        except OSError as error:
            raise Failure(f"hugepages: {error}") from None
        if free < self._wanted:
            self.__exit__(None, None, None)
            raise Failure(f"hugepages: {self._wanted} free pages of 2 MB are needed, the machine gives {free}")
        return self

    def __exit__(self, kind, value, trace):
        if self._before is not None and self._read("nr_hugepages") <= self._set:  # Else somebody else set it meanwhile.
            (self._folder / "nr_hugepages").write_text(str(self._before), encoding="ascii")
        self._before = None


def leave_worker_core():
    """This process, its threads and the tools that it runs stay off the worker's core from here on."""
    os.sched_setaffinity(0, {LOAD_CORE})


def _begin_program():
    os.setsid()
    os.sched_setaffinity(0, ALL_CORES)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fields_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None


class Program:
    """One process and what it starts. Its log is a file; it ends with this process at the latest."""

    def __init__(self, command, log, environment=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name = os.path.basename(command[0])
        self.log = pathlib.Path(log)
        try:
            with self.log.open("ab") as file:
                self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout or file, stderr=file,
                                                env=environment, preexec_fn=_begin_program, bufsize=0)
        except OSError as error:
            raise Failure(f"{self.name}: {error}") from None

    def check(self):
        """Failure if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise Failure(f"{self.name} ended with code {code}: {self.last_line()}")

    def last_line(self):
        try:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        return lines[-1].strip() if lines else "it logged nothing"

    def pids(self):
        """Itself and what it started (its session), but no zombies."""
        session = self.process.pid
        found = []
        for entry in os.listdir("/proc"):
            fields = _fields_of(entry) if entry.isdigit() else None
            if fields and fields[0] != "Z" and int(fields[3]) == session:
                found.append(int(entry))
        return found

    def signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pause(self):
        """SIGSTOP to all of it; returns when every thread stands."""
        self.signal(signal.SIGSTOP)
        wait_for(lambda: all((_fields_of(pid) or "Z")[0] in "TtZX" for pid in self.pids()), f"{self.name} stopped", 5)

    def resume(self):
        self.signal(signal.SIGCONT)

    def _threads(self):
        """(folder in /proc, name) of each."""
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    yield task, (task / "comm").read_text(encoding="ascii").strip()
                except OSError:
                    pass  # Ended meanwhile.

    def thread(self, prefixes):
        """Folder in /proc of the thread whose name begins so; None if there is none."""
        return next((task for task, name in self._threads() if name.startswith(tuple(prefixes))), None)

    def confine(self, prefixes, core=LOAD_CORE):
        """Every thread whose name begins with none of `prefixes` (its workers pin themselves) goes to `core`."""
        for task, name in self._threads():
            if not name.startswith(tuple(prefixes)):
                try:
                    os.sched_setaffinity(int(task.name), {core})
                except OSError:
                    pass

    def stop(self, timeout=15):
        """End of input where it has one, else SIGTERM; in the end SIGKILL, to all of it."""
        self.resume()
        if self.process.stdin:
            self.process.stdin.close()
        else:
            self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        self.signal(signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not self.pids(), f"{self.name} and what it started have ended")
        if self.process.stdout:
            self.process.stdout.close()
