# SPDX-License-Identifier: Apache-2.0
"""Services for system tests: ServiceProcess passes on what its legs get, as a service VM's bridge; it can be hung and killed.

    with ServiceProcess(daemon, "ids1-in", "ids1-out") as ids:
        ids.hang(); ids.wake(); ids.kill()
"""

import select
import signal
import subprocess

from conditions import eventually
from frontend import program

ATTACH_TIMEOUT = 40.0


def leg(daemon, name):
    """A port of kind service, its socket in the daemon's folder."""
    return {"name": name, "kind": "service", "socket": daemon.vhost_socket(name)}


def service_rows(daemon):
    """{instance: its row of `show services`}."""
    return {row["name"]: row for rule in daemon.cli("show", "services") for row in rule["instances"]}


def wait_service(daemon, name, *states, timeout=20.0):
    """Waits until the instance is in one of `states`, and returns its row."""
    def row():
        one = service_rows(daemon).get(name)
        return one if one is not None and one["state"] in states else None
    return eventually(row, f"service {name} {' or '.join(states)}", timeout)


def wait_heartbeat(daemon, name="ids1", timeout=20.0):
    """Waits until one of its heartbeats came back: a new instance is up before it, until they say otherwise."""
    eventually(lambda: service_rows(daemon)[name]["heartbeat_us"], f"heartbeat of service {name}", timeout)


class ServiceProcess:
    """`legs`: one or two ports of kind service that the daemon has."""

    def __init__(self, daemon, *legs):
        self._process = subprocess.Popen([program("service-bridge"), *[daemon.vhost_socket(one) for one in legs]],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._daemon, self._legs = daemon, legs

    def __enter__(self):
        return self.wait()

    def __exit__(self, kind, value, trace):
        self.kill()

    def wait(self):
        """Until both legs are attached."""
        ready = select.select([self._process.stdout], [], [], ATTACH_TIMEOUT)[0]
        assert ready and self._process.stdout.readline() == b"ready\n", f"service on {self._legs} did not start"
        for one in self._legs:
            self._daemon.wait_port(one, timeout=20.0)
        return self

    def hang(self):
        self._process.send_signal(signal.SIGSTOP)

    def wake(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
