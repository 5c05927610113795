# SPDX-License-Identifier: Apache-2.0
"""How long a change of the firewall takes, from the request to its answer: a daemon of its own with RULES rules, one of them
changed again and again; the whole document replaced. `python3 change_time.py [BINARIES [RULES...]]`; needs no vNIC and no
hugepages. Milliseconds: median, least, most."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EDITS = 21
REPLACEMENTS = 3


class Daemon:
    def __init__(self, binaries, folder):
        self._socket = str(Path(folder) / "admin.sock")
        self._program = subprocess.Popen(
            [str(Path(binaries) / "sluiced"), "--socket", self._socket, "--state-dir", str(Path(folder) / "state"), "--no-huge",
             "--memory", "64", "--arena", "none", "--workers", str(max(os.sched_getaffinity(0)))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not Path(self._socket).exists():
            if time.monotonic() > deadline or self._program.poll() is not None:
                raise SystemExit("sluiced does not start")
            time.sleep(0.02)
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.connect(self._socket)
        self._file = self._stream.makefile("rb")

    def ask(self, method, params):
        """Milliseconds from the first byte sent to the answer's last."""
        text = (json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n").encode()
        begin = time.perf_counter()
        self._stream.sendall(text)
        answer = self._file.readline()
        took = 1000 * (time.perf_counter() - begin)
        if b'"error"' in answer:
            raise SystemExit(answer.decode())
        return took

    def stop(self):
        self._program.send_signal(signal.SIGTERM)
        self._program.wait()


def document(rules, folder, turn=0):
    ports = [{"name": f"vm{i}", "port_group": "lan", "socket": f"{folder}/vm{i}.sock", "ips": [f"10.200.0.{i + 1}"]}
             for i in range(20)]
    sets = [{"name": f"set{i}", "members": [f"10.{i % 200}.{j}.{i // 200 + 1}" for j in range(20)]} for i in range(rules // 50)]
    rows = []
    for i in range(rules):
        source = f"set{i % len(sets)}" if i % 2 else f"172.16.{i // 256 % 256}.{i % 256}"
        rows.append({"name": f"r{i}", "action": "allow" if (i + turn) % 3 else "drop", "source": [source],
                     "destination": [f"set{(i * 7 + turn) % len(sets)}"], "services": [f"tcp/{1 + (i + turn) % 60000}"],
                     "applied_to": [f"vm{i % 20}"] if i % 5 else ["any"]})
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "lan", "switch": "dvs0"}], "ports": ports,
            "address_sets": sets, "dfw": {"sections": [{"name": "app", "rules": rows}]}}


def figures(times):
    return f"{statistics.median(times):8.1f} {min(times):8.1f} {max(times):8.1f}"


def main():
    binaries = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin"
    for rules in [int(text) for text in sys.argv[2:]] or [1000, 10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            daemon = Daemon(binaries, folder)
            try:
                whole = [daemon.ask("apply", document(rules, folder, turn)) for turn in range(REPLACEMENTS)]
                edits = [daemon.ask("edit", {"op": "set", "kind": "rule", "name": f"app/r{rules // 2}",
                                             "patch": {"services": [f"tcp/{40000 + turn}"]}}) for turn in range(EDITS)]
            finally:
                daemon.stop()
            print(f"{rules:7} rules: one changed {figures(edits)}   all replaced {figures(whole)}", flush=True)


if __name__ == "__main__":
    main()
