# SPDX-License-Identifier: Apache-2.0
"""A guest and a service of the host's own stack: files over TCP both ways, in segments larger than the MTU."""

import hashlib
import os
import subprocess

import pytest

import traffic
from guest import wait_until
from host import document, vnic

MEGABYTES = 8
PORT = 8088
ONE = vnic(1)
ADDRESS = "192.0.2.100"


def in_netns(netns, *command, **options):
    return subprocess.run(["ip", "netns", "exec", netns, *command], capture_output=True, timeout=120, check=True,
                          **options).stdout


@pytest.fixture(name="netns", scope="module")
def _netns():
    name = f"slvm{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True, timeout=20)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True, timeout=20)


@pytest.fixture(name="guest", scope="module")
def _guest(site, netns):
    wanted = document(site.host.directory, numbers=(1,))
    wanted["ports"].append({"name": "vmk0", "port_group": "web", "kind": "kernel", "netns": netns,
                            "addresses": [f"{ADDRESS}/24"]})
    site.host.apply(wanted)
    site.host.wait_port("vmk0", "up")
    guest, = site.boot(1)
    return guest


def port_counters(site, name):
    return next(port for port in site.host.json("show", "ports") if port["name"] == name)


def test_guest_pings_the_service(guest):
    assert guest.ping(ADDRESS, count=3)


def test_service_fetches_a_file_from_the_guest(site, guest, netns):
    sent = traffic.make_file(guest, MEGABYTES)
    before = port_counters(site, "vmk0")
    script = f"import urllib.request as u, sys; sys.stdout.buffer.write(u.urlopen('http://{ONE['ip']}/file').read())"
    received = in_netns(netns, "/usr/bin/python3", "-c", script)
    after = port_counters(site, "vmk0")
    assert hashlib.sha256(received).hexdigest() == sent
    frames = after["tx_packets"] - before["tx_packets"]
    assert (after["tx_bytes"] - before["tx_bytes"]) / frames > 1600, "not in large segments"


def test_guest_fetches_a_file_from_the_service(guest, netns, tmp_path):
    content = os.urandom(MEGABYTES << 20)
    (tmp_path / "file").write_bytes(content)
    server = subprocess.Popen(["ip", "netns", "exec", netns, "/usr/bin/python3", "-m", "http.server", str(PORT),
                               "--bind", ADDRESS, "--directory", str(tmp_path)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        probe = f"import socket; socket.create_connection(('{ADDRESS}', {PORT}), 1)"
        wait_until(lambda: subprocess.run(["ip", "netns", "exec", netns, "/usr/bin/python3", "-c", probe],
                                          capture_output=True, check=False).returncode == 0, 20, "the web server")
        received, _ = traffic.fetch(guest, ADDRESS, PORT)
        assert received == hashlib.sha256(content).hexdigest()
    finally:
        server.kill()
        server.wait()


def test_books_balance(site, guest):
    del guest
    wait_until(lambda: site.host.json("show", "drops", "--audit")["unaccounted"] == 0, 10, "books balance")
