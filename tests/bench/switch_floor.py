# SPDX-License-Identifier: Apache-2.0
"""The floor: frames moved from one vhost-user port to the other by bench_floor, nothing done to them."""

import json
import select
import subprocess

from machine import WORKER_CORE, Failure, Program
from switch import Switch


class Floor(Switch):
    listens = False
    hugepages_mb = 260

    def start(self):
        program = Program([str(self.binaries / "bench_floor"), str(self.folder), str(WORKER_CORE)],
                          self.folder / "floor.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.programs = [program]
        line = self._line(30)
        while line and line != "ready":  # A warning, of missing hugepages say, comes before.
            line = self._line(30)
        if not line:
            program.check()
            raise Failure("bench_floor did not say that it is ready")

    def counters(self):
        self.programs[0].process.stdin.write(b"\n")
        now = json.loads(self._line(10) or "{}")
        if "packets" not in now:
            self.programs[0].check()
            raise Failure("bench_floor does not answer")
        return now["busy_cycles"], now["idle_cycles"], now["packets"]

    def _line(self, timeout):
        """One line of its output, or what came of it."""
        stream, line = self.programs[0].process.stdout, b""
        while not line.endswith(b"\n") and select.select([stream], [], [], timeout)[0]:
            byte = stream.read(1)
            if not byte:
                break
            line += byte
        return line.decode().strip()
