# SPDX-License-Identifier: Apache-2.0
"""scripts/fleet: up, in use, down; nothing is left. And the example is what it applies."""

import json
import os
import subprocess

import pytest
from conditions import eventually
from fleet import guest_ip, playground_document
from frontend import program
from ovsdb import ROOT
from playground import start_time

SCRIPT = os.path.join(ROOT, "tests", "system", "playground.py")


def script(*arguments, timeout=120):
    return subprocess.run(["/usr/bin/python3", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=timeout)


@pytest.fixture(name="place")
def _place(tmp_path):
    """Options of a fleet beside other ones; taken down whatever happens."""
    options = ["--directory", f"/tmp/sluice-playground-{os.getpid()}", "--prefix", f"slp{os.getpid()}-"]
    yield options
    script("down", *options)


def namespaces(prefix):
    return [name for name in os.listdir("/run/netns") if name.startswith(prefix)]


def test_the_example_is_what_is_applied():
    with open(os.path.join(ROOT, "docs", "examples", "fleet.json"), encoding="utf-8") as file:
        assert json.load(file) == playground_document(2)


def test_up_use_down(place):
    directory, prefix = place[1], place[3]
    done = script("up", 2, "--cluster", 3, "--relays", 1, *place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scripts/fleet down" in done.stdout
    again = script("up", 2, *place)
    assert again.returncode == 1 and "is up" in again.stderr

    def answered(address):
        command = ["ip", "netns", "exec", f"{prefix}h1web", "ping", "-n", "-c", "1", "-W", "1", address]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    for net in ("web", "db"):
        eventually(lambda net=net: answered(guest_ip(2, net)), f"a ping of {guest_ip(2, net)}", 30.0, 0.1)
    with open(f"{directory}/run.json", encoding="utf-8") as file:
        record = json.load(file)
    listed = subprocess.run([program("sluice"), "--db", record["db"], "-o", "json", "fleet", "hosts"], capture_output=True,
                            text=True, check=True)
    assert sorted(row["host"] for row in json.loads(listed.stdout)) == ["host-1", "host-2"]
    state = script("status", *place)
    assert state.returncode == 0 and state.stdout.count(" runs") == 3 + 1 + 1 + 2, state.stdout
    assert script("down", *place).returncode == 0
    assert not os.path.exists(directory) and not namespaces(prefix)
    assert all(start_time(one["pid"]) != one["started"] for one in record["processes"])
    assert script("status", *place).returncode == 1
