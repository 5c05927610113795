# SPDX-License-Identifier: Apache-2.0
"""QEMU moves a running guest from one host to another: its TCP stream goes on, byte for byte, under a firewall that would not
let it begin in mid-stream."""

import hashlib
import json
import pathlib
import sys

import pytest

from guest import ROOT, Guest, wait_until

sys.path.insert(0, str(ROOT / "tests" / "system" / "lib"))

from daemon import Daemon  # noqa: E402  pylint: disable=wrong-import-position
from network import Namespaces, run  # noqa: E402  pylint: disable=wrong-import-position

LINES = 2500
PORT = 5000
MTU = 1600
MACS = {"vm1": "02:00:00:00:00:01", "vm2": "02:00:00:00:00:02"}
IPS = {"vm1": "192.0.2.1", "vm2": "192.0.2.2"}


def document(daemon, host, names):
    return {"host": {"name": f"host-{host}"}, "uplinks": [{"name": "up", "device": "net_af_packet0,iface=eth0"}],
            "vteps": [{"name": "tep0", "ip": f"172.16.0.{host}/24", "mac": f"02:00:00:00:99:{host:02x}", "uplink": "up",
                       "mtu": MTU}],
            "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": [f"172.16.0.{3 - host}"]}],
            "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001, "spoofguard": "auto"}],
            "ports": [daemon.port(name, "web", mac=MACS[name]) for name in names],
            "dfw": {"default": "drop", "sections": [{"name": "app", "rules": [
                {"name": "stream", "action": "allow", "direction": "out", "services": [f"tcp/{PORT}"], "applied_to": ["vm1"]},
                {"name": "serve", "action": "allow", "services": [f"tcp/{PORT}", "icmp/8"]}]}]}}


class Pair:
    """Two daemons, joined by a cable; vm2 stays at the first."""

    def __init__(self):
        self.guests, self.daemons = [], {}
        self.net = Namespaces("h1", "h2")

    def __enter__(self):
        self.net.__enter__()
        try:
            self.net.veth("h1", "eth0", "h2", "eth0")
            for host, names in ((1, ("vm1", "vm2")), (2, ("vm1",))):
                name = self.net[f"h{host}"].name
                run("ip", "netns", "exec", name, "ethtool", "-K", "eth0", "tx", "off")
                self.net[f"h{host}"].ip("link", "set", "eth0", "mtu", MTU)
                self.daemons[host] = Daemon(netns=name)
                self.daemons[host].apply(document(self.daemons[host], host, names))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for guest in self.guests:
            guest.kill()
        try:
            for daemon in self.daemons.values():
                daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def guest(self, name, host, **options):
        daemon = self.daemons[host]
        guest = Guest(name, daemon.directory, MACS[name], daemon.vhost_socket(name), ip=f"{IPS[name]}/24", **options)
        self.guests.append(guest)
        return guest.boot(wait=False)

    def carry(self, *options):
        """Export at the first host, import at the second."""
        exported = self.daemons[1].cli("port", "export", "vm1", *options)
        path = pathlib.Path(self.daemons[2].directory) / "vm1.json"
        path.write_text(json.dumps(exported), encoding="utf-8")
        return exported, self.daemons[2].cli("port", "import", "vm1", path)


@pytest.fixture(name="pair", scope="module")
def _pair():
    with Pair() as pair:
        yield pair


def test_a_stream_goes_on_at_the_new_place(pair):
    old, peer = pair.guest("vm1", 1), pair.guest("vm2", 1)
    for guest in (old, peer):
        guest.wait_ready()
    incoming = pathlib.Path(pair.daemons[2].directory) / "incoming"
    new = pair.guest("vm1", 2, incoming=incoming)
    peer.start(f"i=0; while [ $i -lt {LINES} ]; do echo line$i; i=$((i+1)); sleep 0.01; done | nc -l -p {PORT}")
    old.start(f"nc {IPS['vm2']} {PORT} </dev/null >/tmp/stream")
    wait_until(lambda: int(old.check("wc -l </tmp/stream")) > 50, 60, "the stream runs")
    pair.carry()
    status = old.migrate_to(new)
    exported, imported = pair.carry("--final", "--to", "172.16.0.2")
    old.kill()
    assert exported["connections"] and imported["connections"]["refused"] == 0
    seen = int(new.check("wc -l </tmp/stream"))
    assert seen < LINES, "the stream had ended before the guest moved: the test shows nothing"
    wait_until(lambda: int(new.check("wc -l </tmp/stream")) == LINES, 180, f"the stream ends; {status}")
    whole = "".join(f"line{number}\n" for number in range(LINES)).encode()
    assert new.check("md5sum </tmp/stream").split()[0] == hashlib.md5(whole).hexdigest()


def test_what_the_source_says_afterwards(pair):
    moved, = pair.daemons[1].cli("show", "moved")
    assert (moved["port"], moved["to"], moved["awaited"]) == ("vm1", "172.16.0.2", False)
    assert not pair.daemons[2].cli("show", "moved")
    pair.daemons[1].cli("port", "del", "vm1")
    new, peer = pair.guests[2], pair.guests[1]
    assert peer.ping(IPS["vm1"], count=2) and new.ping(IPS["vm2"], count=2)
    for daemon in pair.daemons.values():
        daemon.assert_books_balance()
