# SPDX-License-Identifier: Apache-2.0
"""The scale harness: real ovsdb-servers, a zone's rows in them, many agents in one process. Prints one JSON object.

    scripts/fleet scale                                  # 250 k ports on 500 hosts, 100 of them with agents
    scripts/fleet scale --ports 5000 --hosts 20 --networks 100 --host-networks 20 --agents 10

docs/fleet-scale.md says what the figures mean. Exit status 1 if an agent did not come to hold what it should.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from frontend import program
from ovsdb import standalone
from ovsdb_client import CONFIG, STATUS


def memory_mb(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0]) // 1024


def measure(options, changes, timeout=1800):
    """Runs the harness with the shape that `options` (words of its command line) say; its report, servers' figures added."""
    with tempfile.TemporaryDirectory(prefix="sluice-scale-") as directory, \
            standalone(os.path.join(directory, "config"), CONFIG) as config, \
            standalone(os.path.join(directory, "status"), STATUS) as status:
        command = [program("fleet_scale"), "--config", config.remotes, "--status", status.remotes, *options]
        start = time.monotonic()
        subprocess.run([*command, "fill"], check=True, timeout=timeout)
        filled = time.monotonic() - start
        done = subprocess.run([*command, "--changes", str(changes), "run"], stdout=subprocess.PIPE, text=True, check=False,
                              timeout=timeout)
        if not done.stdout.strip():
            raise RuntimeError(f"fleet_scale ended with {done.returncode} and said nothing")
        report = json.loads(done.stdout[done.stdout.rindex("\n{\n"):])  # Behind what agents log.
        report["fill_s"] = round(filled, 2)
        report["config_server_mb"] = memory_mb(config.pid)
        report["status_server_mb"] = memory_mb(status.pid)
        return report


def main():
    report = measure(sys.argv[1:], changes=200)
    print(json.dumps(report, indent=1))
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
