# SPDX-License-Identifier: Apache-2.0
"""The admin socket under load: a connection that stays open and times its answers, a watcher that asks all the time, and
what the daemon occupies."""

import json
import os
import socket
import threading
import time


class Control:
    """One connection to the admin socket. Every answer's time is kept in `took` (seconds)."""

    def __init__(self, path, timeout=60.0):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._answers = self._socket.makefile("rb")
        self.took = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._answers.close()
        self._socket.close()

    def ask(self, method, params=None):
        """The result of one request; AssertionError with the daemon's sentence if it is refused."""
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode() + b"\n"
        began = time.monotonic()
        self._socket.sendall(line)
        answer = self._answers.readline()
        self.took.append(time.monotonic() - began)
        answer = json.loads(answer)
        assert "result" in answer, f"{method}: {answer.get('error')}"
        return answer["result"]

    def edit(self, op, kind, name, **fields):
        return self.ask("edit", {"op": op, "kind": kind, "name": name, **fields})


class Watcher:
    """Asks for `status` every few milliseconds on a connection of its own while others change things."""

    def __init__(self, path, every=0.005):
        self.control = Control(path)
        self._every = every
        self._stop = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self._stop.wait(self._every):
                self.control.ask("status")
        except (OSError, ValueError, AssertionError) as error:
            self._failure = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._stop.set()
        self._thread.join()
        self.control.__exit__(kind, value, trace)
        if kind is None:
            assert self._failure is None, f"the watcher failed: {self._failure}"


def percentiles(took):
    """The usual ones of a list of seconds, in words."""
    ordered = sorted(took)
    at = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 90, 99)}
    at["slowest"] = ordered[-1]
    return f"{len(ordered)}: " + ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in at.items())


def _status_kb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:"))


def resident_mb(pid):
    """Resident memory of a process in MB."""
    return _status_kb(pid, "VmRSS") / 1024


def anonymous_kb(pid):
    """Resident memory of its own in KB: without guests' memory and packet buffers, of which a flood touches more and more."""
    return _status_kb(pid, "RssAnon")


def open_files(pid):
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))
