# SPDX-License-Identifier: Apache-2.0
"""What every contestant can do: start, stand still, tell how busy its worker was. Sluice, Open vSwitch and the floor are
in files of their own."""

import json
import os
import pathlib
import socket
import time
from dataclasses import dataclass

from machine import Failure, wait_for
from places import HOST

ANSWER_TIMEOUT = 60.0


@dataclass(frozen=True)
class Sample:
    """Counters of the worker since its start, in TSC cycles, and when they were read (monotonic seconds)."""

    busy: int
    idle: int
    packets: int
    at: float = 0.0
    waited: float = 0.0  # Seconds in which its thread was ready to run and did not.

    def share_since(self, before):
        """Part of the time since `before` in which it worked; None if nothing has passed."""
        busy, idle = self.busy - before.busy, self.idle - before.idle
        return busy / (busy + idle) if busy + idle > 0 else None

    def waited_since(self, before):
        """Part of the time since `before` in which other threads had its core."""
        return (self.waited - before.waited) / (self.at - before.at) if self.at > before.at else 0.0


class Switch:
    """One contestant, in one folder of its own. Files, sockets and processes of different ones never meet.

    name: as in tables (cases.TITLES). `listens`: the load makes the vhost-user sockets and the switch connects.
    """

    listens = True
    worker_threads = ("worker-",)
    hugepages_mb = 0

    def __init__(self, folder, name, binaries):
        self.folder, self.name, self.binaries = pathlib.Path(folder), name, binaries
        self.folder.mkdir(parents=True)
        self.programs = []
        self.is_paused = False
        self._worker_statistics = None

    def socket_path(self, port):
        return str(self.folder / port)

    def start(self):
        """Starts it, ready for its guests. Failure says why it can't."""
        raise NotImplementedError

    def counters(self):
        """(busy cycles, idle cycles, packets) of the worker since its start."""
        raise NotImplementedError

    def sample(self):
        """The worker's counters now."""
        busy, idle, packets = self.counters()
        return Sample(busy, idle, packets, time.monotonic(), self._worker_wait())

    def _worker_wait(self):
        try:
            return int(self._worker_statistics.read_text().split()[1]) / 1e9
        except (OSError, AttributeError, ValueError, IndexError):
            return 0.0

    def forget_connections(self):
        """Drops what the last run left in its connection table."""

    def configure(self, policy, place=HOST):
        """Puts a policy (policy.py) in force, with the guests where `place` (places.py) says. Failure if it refuses."""

    def prove(self, policy, place=HOST):
        """After some traffic: Failure if what is to be measured has not taken place."""

    def settle(self):
        """Puts every thread but the worker on the load's core, and remembers which one the worker is."""
        for one in self.programs:
            one.confine(self.worker_threads)
        task = self.programs[-1].thread(self.worker_threads)
        self._worker_statistics = task and task / "schedstat"

    def pause(self):
        if not self.is_paused:
            for one in self.programs:
                one.pause()
            self.is_paused = True

    def resume(self):
        if self.is_paused:
            for one in self.programs:
                one.check()
                one.resume()
            self.is_paused = False

    def stop(self):
        for one in reversed(self.programs):
            one.stop()
        self.programs = []


class JsonRpc:
    """JSON-RPC over a Unix socket: that of sluiced and that of ovs-appctl, which frames its answers by nothing."""

    def __init__(self, path):
        self._path = str(path)

    def answers(self):
        """True if somebody listens."""
        with socket.socket(socket.AF_UNIX) as probe:
            return os.path.exists(self._path) and probe.connect_ex(self._path) == 0

    def ask(self, method, params, version=None):
        """The result. Failure with the other side's sentence."""
        request = {"id": 0, "method": method, "params": params}
        if version:
            request["jsonrpc"] = version
        try:
            reply = self._exchange(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise Failure(f"{method}: {error}") from None
        if reply.get("error"):
            error = reply["error"]
            raise Failure(f"{method}: {error.get('message') if isinstance(error, dict) else str(error).strip()}")
        return reply.get("result")

    def _exchange(self, request):
        decoder, text = json.JSONDecoder(), ""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            connection.connect(self._path)
            connection.sendall(request)
            while True:
                data = connection.recv(1 << 16)
                if not data:
                    raise OSError("the connection ended before the answer")
                text += data.decode()
                try:
                    return decoder.raw_decode(text.lstrip())[0]
                except ValueError:
                    continue


def wait_listening(rpc, program, timeout=30.0):
    """Waits until `rpc` answers, and fails early if `program` has ended."""
    def check():
        program.check()
        return rpc.answers()
    wait_for(check, f"{program.name} listens", timeout)
