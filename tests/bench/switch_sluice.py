# SPDX-License-Identifier: Apache-2.0
"""Sluice as a contestant: a sluiced of its own. `slots` (and `few`): slots 0, 1 and 2 work on both vNICs;
`empty`: nothing applies."""

from machine import WORKER_CORE, Failure, Program
from places import HOST
from switch import JsonRpc, Switch, wait_listening

MEMORY_MB = 256


class Sluice(Switch):
    hugepages_mb = MEMORY_MB + 4

    def __init__(self, folder, name, binaries):
        super().__init__(folder, name, binaries)
        self._rpc = JsonRpc(self.folder / "admin.sock")

    def start(self):
        state = self.folder / "state"
        state.mkdir()
        program = Program([str(self.binaries / "sluiced"), "--socket", str(self.folder / "admin.sock"), "--state-dir",
                           str(state), "--workers", str(WORKER_CORE), "--memory", str(MEMORY_MB),
                           "--arena", str(state / "arena")],
                          self.folder / "sluiced.log")
        self.programs = [program]
        wait_listening(self._rpc, program)

    def ask(self, method, params=None):
        return self._rpc.ask(method, params or {}, version="2.0")

    def configure(self, policy, place=HOST):
        try:
            self.ask("apply", place.sluice_document(policy, self.name != "empty", self.socket_path))
        except Failure as failure:
            raise Failure(f"{self.name}: {failure}") from None

    def counters(self):
        row = self.ask("show.workers")[0]
        return row["busy_cycles"], row["idle_cycles"], row["packets"]

    def forget_connections(self):
        self.ask("flush.conns")

    def edit(self, op, kind, name, **fields):
        """One object of the document changes; returns when in force on the worker."""
        return self.ask("edit", {"op": op, "kind": kind, "name": name, **fields})
