# SPDX-License-Identifier: Apache-2.0
"""Sluice as a contestant: a sluiced of its own. `slots` (and `few`): slots 0, 1 and 2 work on both vNICs;
`empty`: nothing applies."""

import secrets

from machine import WORKER_CORE, Failure, Program
from places import HOST
from policy import KEY_FILE
from switch import JsonRpc, Switch, wait_listening

MEMORY_MB = 256
KEY_BYTES = {"aes-128-gcm": 16, "aes-256-gcm": 32}


class Sluice(Switch):
    hugepages_mb = MEMORY_MB + 4

    def __init__(self, folder, name, binaries):
        super().__init__(folder, name, binaries)
        self._rpc = JsonRpc(self.folder / "admin.sock")
        self._returned_before = 0

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
        if policy.seals:
            key = self.folder / KEY_FILE
            key.touch(mode=0o600)
            key.write_text(secrets.token_hex(KEY_BYTES[policy.seals]), encoding="ascii")
        try:
            self.ask("apply", place.sluice_document(policy, self.name != "empty", self.socket_path))
        except Failure as failure:
            raise Failure(f"{self.name}: {failure}") from None
        self._returned_before = self._returned_packets()

    def prove(self, policy, place=HOST):
        """No firewall test reaches a guest elsewhere: what slots 2, 4 and 15 did is looked at."""
        if self.name != "empty" and place != HOST and self.ask("status")["connections"] == 0:
            raise Failure(f"{self.name}: the firewall has no connection")
        sent = [one["packets"] for row in self.ask("show.encryption") for one in row["sending"]] if policy.seals else [1]
        if not any(sent):
            raise Failure(f"{self.name}: nothing was sealed")
        if place.service:
            returned = self._returned_packets() - self._returned_before
            if (returned > 0) != (place.service == "redirect"):
                raise Failure(f"{self.name}: the service got {returned} packets")

    def _returned_packets(self):
        """By services, since they are there."""
        return sum(one["returned_packets"] for row in self.ask("show.services") for one in row["instances"])

    def counters(self):
        row = self.ask("show.workers")[0]
        return row["busy_cycles"], row["idle_cycles"], row["packets"]

    def forget_connections(self):
        self.ask("flush.conns")

    def edit(self, op, kind, name, **fields):
        """One object of the document changes; returns when in force on the worker."""
        return self.ask("edit", {"op": op, "kind": kind, "name": name, **fields})
