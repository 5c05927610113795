# SPDX-License-Identifier: Apache-2.0
"""A stage for attacks: two victims that time their frames to each other, a hostile guest, and one that keeps sending to it.

    with Stage() as stage:
        stage.attack("chain_loop", seed=7)      # AssertionError if anybody but the attacker is harmed
        seen = stage.victims()                  # {"frames", "lost", "took_us", "stalled_us"}

vm1 and vm2 are the victims, vm3 is hostile, vm4 sends to vm3, so that its receive ring is used. The victims, vm3 and vm4
live in three processes, so that nobody waits for another.
"""

import os

from conditions import eventually
from frontend import FrontendError, FrontendProcess
from scene import Scene

FLOW_PPS = 1500  # Of vm4 to vm3.


def worker_schedstat(pid):
    """Path of the schedstat of a daemon's only worker thread."""
    folder = f"/proc/{pid}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="ascii", errors="replace") as name:
            if "worker" in name.read():
                return f"{folder}/{task}/schedstat"
    raise AssertionError(f"process {pid} has no worker thread")


class Stage:
    """Context manager. Arguments go to Scene and so to Daemon. `recoveries` counts what brought vm3 back."""

    def __init__(self, **scene):
        self._scene = Scene(vms=("vm1", "vm2", "vm3", "vm4"), **scene)
        self._processes = []
        self.recoveries = {"nothing": 0, "reset": 0, "reconnect": 0, "new guest": 0}
        self.broken_rings = 0

    def __enter__(self):
        self._scene.__enter__()
        try:
            self.daemon = self._scene.daemon
            for name in ("vm3", "vm4"):
                self._scene.vms.pop(name).close()
                self.daemon.wait_port(name, "down")
            self._hostile_process = self._process()
            self._connect()
            sender = self._process().open("vm4", self.daemon.vhost_socket("vm4"), timeout=10)
            self.daemon.wait_port("vm4")
            sender.start_flood(self._scene.udp("vm4", "vm3", sport=5), pps=FLOW_PPS, burst=1, drain_ms=20)
            self._sender = sender
            self._scene.vm1.start_probe(self._scene.vm2, self._scene.udp("vm1", "vm2"), self._scene.udp("vm2", "vm1"),
                                        worker_schedstat(self.daemon.pid))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for process in reversed(self._processes):
            process.close()
        self._scene.__exit__(kind, value, trace)

    def _process(self):
        process = FrontendProcess()
        self._processes.append(process)
        return process

    def _connect(self):
        self.guest = self._hostile_process.open("vm3", self.daemon.vhost_socket("vm3"), timeout=10)
        eventually(lambda: self._row()["state"] == "up", "port vm3 up", 10)

    def _row(self):
        return self.daemon.rpc("show.port", {"name": "vm3"})["result"]

    def sentences(self):
        """{attack: what it does}."""
        return self._hostile_process.attack_sentences()

    def victims(self):
        """What the victims' frames did since the last call."""
        return self._scene.vm1.read_probe()

    def attack(self, name, seed):
        """One attack, after which the daemon must live, the books balance, and vm3 work again."""
        frame = self._scene.udp("vm3", "vm4", sport=9)
        result = self.guest.attack(name, seed, frame=frame, wait=0.04)
        assert self.daemon.alive, f"{name}: {self.daemon.log_tail()}"
        self.broken_rings += "ring_broken" in self._row()["detail"]
        self.recoveries[self._recover(result, frame)] += 1
        self._assert_balanced(name)

    def _recover(self, result, frame):
        attempts = [("nothing", lambda: None), ("reset", self.guest.reset), ("reconnect", lambda: self.guest.reconnect(1.0))]
        if result["destroys_memory"] or not result["connected"]:
            attempts = []
        if not result["used"]:
            attempts = attempts[1:]
        for how, attempt in attempts:
            try:
                attempt()
                self._assert_works(frame, 0.3)
                return how
            except (FrontendError, AssertionError):
                continue
        self.guest.close(abrupt=True)
        self._connect()
        self._assert_works(frame, 5.0)
        return "new guest"

    def _assert_works(self, frame, timeout):
        """vm3 can send and gets what vm4 sends."""
        self.guest.send(frame, timeout=timeout)
        while self.guest.receive(256, 0.001):
            pass
        assert self.guest.receive(1, timeout), "vm3 gets nothing"

    def _assert_balanced(self, name):
        audit = {}

        def balanced():
            audit.update(self.daemon.rpc("show.drops", {"audit": True})["result"])
            return audit["unaccounted"] == 0  # Fragments may be held: they wait for their like.
        try:
            eventually(balanced, "balanced books", 5.0)
        except AssertionError:
            raise AssertionError(f"{name}: books do not balance: {audit}") from None

    def quiet(self):
        """Ends all traffic; the victims' last frames are returned, and every buffer must be free again."""
        self._sender.finish_flood()
        seen = self._scene.vm1.stop_probe()
        self.daemon.cli("flush", "conns")  # And the fragments that wait.

        def missing():
            buffers = self.daemon.cli("status")["buffers"]
            return buffers["total"] - buffers["free"]
        eventually(lambda: missing() == 0, "all buffers free")
        self.daemon.assert_books_balance()
        return seen
