# SPDX-License-Identifier: Apache-2.0
"""VXLAN with Linux as the other end: its vxlan device and a bridge behind it, in a namespace of their own.

"host" has the daemon and the cable's end up0, "peer" the other end eth0, the vxlan device and the bridge, "vm" a stack
on that bridge. "svc" is a stack on a kernel port of the daemon, in the same VNI. Everything that a stack does is real:
large TCP, checksums, neighbour discovery, path MTU discovery.
"""

import os
import subprocess

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from network import Namespaces, TcpEcho, Wire, tcp_round_trip
from packets import BROADCAST, frame, mac

VNI = 5001
SVC, VM = "02:00:00:00:0a:01", "02:00:00:00:0a:02"
SVC4, VM4, SVC6, VM6 = "10.0.0.1", "10.0.0.2", "2001:db8:1::1", "2001:db8:1::2"
TEP_MAC = "02:00:00:00:99:01"
UNDERLAY = {"ipv4": ("172.16.0.1", "172.16.0.2", 24, 50), "ipv6": ("fd00::1", "fd00::2", 64, 70)}
BYTES = 50 * 1024 * 1024


class Overlay:
    """The stage, over one family of the underlay, which carries exactly what inner packets of 1500 bytes need."""

    def __init__(self, family, replication="unicast"):
        self.own, self.far, self.length, self.overhead = UNDERLAY[family]
        self.is_v6 = family == "ipv6"
        self.replication = replication
        self.mtu = 1500 + self.overhead

    def __enter__(self):
        self.net = Namespaces("host", "peer", "svc", "vm", ipv6=("peer", "svc", "vm"))
        self.net.__enter__()
        try:
            self._cables()
            self._linux()
            self.daemon = Daemon(netns=self.net["host"].name)
            self.daemon.apply(self.document())
            self.daemon.wait_port("svc")
            for name, address in (("svc", VM4), ("svc", VM6), ("vm", SVC4), ("vm", SVC6)):
                eventually(lambda n=name, a=address: self.pings(n, a), f"{name} reaches {address}", 20.0)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            if hasattr(self, "daemon"):
                self.daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def _cables(self):
        self.net.veth("host", "up0", "peer", "eth0")
        self.net.veth("peer", "tap0", "vm", "eth0")
        self.net["host"].ip("link", "set", "up0", "mtu", self.mtu)
        self.net["peer"].ip("link", "set", "eth0", "mtu", self.mtu)
        self.net["vm"].ip("link", "set", "eth0", "address", VM)
        self.net["vm"].ip("addr", "add", f"{VM4}/24", "dev", "eth0")
        self.net["vm"].ip("addr", "add", f"{VM6}/64", "dev", "eth0", "nodad")

    def _linux(self):
        peer = self.net["peer"]
        peer.ip("addr", "add", f"{self.far}/{self.length}", "dev", "eth0", *(["nodad"] if self.is_v6 else []))
        zero = ["udp6zerocsumtx", "udp6zerocsumrx"] if self.is_v6 else []
        peer.ip("link", "add", "vxlan0", "mtu", 1500, "type", "vxlan", "id", VNI, "local", self.far,
                "remote", self.own, "dstport", 4789, *zero)
        peer.ip("link", "add", "br0", "mtu", 1500, "type", "bridge")
        for name in ("vxlan0", "tap0"):
            peer.ip("link", "set", name, "master", "br0", "up")
        peer.ip("link", "set", "br0", "up")

    def document(self, **nouns):
        return {"uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
                "vteps": [{"name": "tep0", "ip": f"{self.own}/{self.length}", "mac": TEP_MAC, "uplink": "up",
                           "mtu": self.mtu}],
                "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": [self.far],
                              "bfd": {"enabled": False}}],
                "port_groups": [{"name": "web", "switch": "dvs0", "vni": VNI, "replication": self.replication}],
                "ports": [{"name": "svc", "port_group": "web", "kind": "kernel", "interface": "vmk0", "mac": SVC,
                           "netns": self.net["svc"].name, "addresses": [f"{SVC4}/24", f"{SVC6}/64"]}], **nouns}

    def pings(self, name, address, size=56, count=1, dont_fragment=False):
        """True if every echo came back."""
        more = ["-M", "do"] if dont_fragment else []
        done = subprocess.run(["ip", "netns", "exec", self.net[name].name, "ping", "-n", "-q", "-c", str(count),
                               "-i", "0.05", "-W", "2", "-s", str(size), *more, address],
                              capture_output=True, check=False, timeout=60)
        return done.returncode == 0


@pytest.fixture(name="overlay", scope="module", params=list(UNDERLAY))
def _overlay(request):
    with Overlay(request.param) as overlay:
        yield overlay
        overlay.daemon.assert_books_balance()


@pytest.mark.parametrize("name, address", [("svc", VM4), ("vm", SVC4), ("svc", VM6), ("vm", SVC6)])
def test_ping(overlay, name, address):
    assert overlay.pings(name, address, count=20)


@pytest.mark.parametrize("name, address, headers", [("svc", VM4, 28), ("vm", SVC4, 28), ("svc", VM6, 48), ("vm", SVC6, 48)])
def test_mtu_edge(overlay, name, address, headers):
    """The largest packet passes whole: the underlay carries it and not a byte more."""
    assert overlay.pings(name, address, size=1500 - headers, count=3, dont_fragment=True)
    assert overlay.pings(name, address, size=4000, count=3), "and in pieces, reassembled by the receiver"


@pytest.mark.parametrize("server, client, address", [("vm", "svc", VM4), ("svc", "vm", SVC4), ("vm", "svc", VM6), ("svc", "vm", SVC6)])
def test_tcp(overlay, server, client, address):
    """Large TCP of real stacks, both ways at once, every byte as it was sent."""
    payload = os.urandom(1 << 20) * (BYTES // (1 << 20))
    with TcpEcho(overlay.net[server], address):
        assert tcp_round_trip(overlay.net[client], address, payload, timeout=120.0) == payload


def test_nothing_was_refused(overlay):
    drops = overlay.daemon.drops()
    for reason in ("bad_vxlan", "unknown_vtep", "unknown_vni", "inner_vlan", "tunnel_spoofed_mac", "too_big", "tunnel_down"):
        assert drops.get(reason, 0) == 0, drops


def test_frames_on_the_cable(overlay):
    """What tells a stranger that it is VXLAN: ports, flags, VNI; one source port a flow."""
    with Wire(overlay.net["peer"], "eth0") as wire:
        assert overlay.pings("svc", VM4, count=3)
        offset = 14 + (40 if overlay.is_v6 else 20)
        tunnelled = [one for one in wire.drain() if len(one) > offset + 30 and one[offset + 2:offset + 4] == b"\x12\xb5"]
    echoes = [one for one in tunnelled if one[offset + 16 + 12:offset + 16 + 14] == b"\x08\x00"]
    assert len(echoes) == 3
    for one in echoes:
        assert one[offset + 8:offset + 16] == b"\x08\x00\x00\x00" + VNI.to_bytes(3, "big") + b"\x00"
        assert one[offset + 6:offset + 8] == b"\x00\x00", "no outer UDP checksum"
        if not overlay.is_v6:
            assert one[20:22] == b"\x40\x00", "not to be fragmented"
    assert len({one[offset:offset + 2] for one in echoes}) == 1
    assert int.from_bytes(echoes[0][offset:offset + 2], "big") >= 49152


@pytest.mark.parametrize("replication", ["multicast", "hybrid"])
def test_broadcast_by_multicast(replication):
    """A VTEP joins its VNI's group, sends floods there and takes what is sent there."""
    group, group_mac, report = "239.1.1.1", "01005e010101", "01005e000016"
    vxlan = b"\x08\x00\x00\x00" + VNI.to_bytes(3, "big") + b"\x00"
    with Namespaces("host", "peer", "svc") as net:
        net.veth("host", "up0", "peer", "eth0")
        for name, interface in (("host", "up0"), ("peer", "eth0")):
            net[name].ip("link", "set", interface, "mtu", "1600")
        with Wire(net["peer"], "eth0") as wire, Daemon(netns=net["host"].name) as daemon:
            seen = []

            def came(match):
                seen.extend(wire.drain())
                return next((one for one in seen if match(one)), None)
            daemon.apply({
                "uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
                "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "mac": TEP_MAC, "uplink": "up"}],
                "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": ["172.16.0.2"], "bfd": {"enabled": False}}],
                "port_groups": [{"name": "web", "switch": "dvs0", "vni": VNI, "replication": replication,
                                 "multicast_group": group}],
                "ports": [{"name": "svc", "port_group": "web", "kind": "kernel", "interface": "vmk0", "mac": SVC,
                           "netns": net["svc"].name, "addresses": [f"{SVC4}/24"]}]})
            daemon.wait_port("svc")
            joined = eventually(lambda: came(lambda one: one[:6].hex() == report), "a membership report")
            assert joined[23] == 2 and joined[38] == 0x22 and joined[50:54] == bytes([239, 1, 1, 1])
            net["svc"].ip("neigh", "flush", "all")
            with Wire(net["svc"], "vmk0") as inside:
                question = bytes(frame(src=VM, dst=BROADCAST).arp(VM4, "10.0.0.77"))
                wire.send(frame(src="02:00:00:00:99:02", dst="01:00:5e:01:01:01").ipv4("172.16.0.2", group).udp(
                    50000, 4789, vxlan + question))
                inside.expect(question)
            subprocess.run(["ip", "netns", "exec", net["svc"].name, "ping", "-c", "1", "-W", "1", "10.0.0.99"],
                           stdout=subprocess.DEVNULL, check=False, timeout=30)
            flood = eventually(lambda: came(lambda one: one[:6].hex() == group_mac and one[36:38] == b"\x12\xb5"),
                               "a flood to the group")
            assert flood[42:50] == vxlan
            daemon.assert_books_balance()


def test_a_guest_whose_mtu_is_too_large_is_told():
    """By ICMP, by `show port` and once in the log."""
    with Namespaces("host", "peer") as net, Daemon(netns=net["host"].name) as daemon:
        net.veth("host", "up0", "peer", "eth0")
        daemon.apply({
            "uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
            "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "mac": TEP_MAC, "uplink": "up", "mtu": 1500}],
            "switches": [{"name": "dvs0", "uplinks": ["up"], "mtu": 1450, "bfd": {"enabled": False}}],
            "port_groups": [{"name": "web", "switch": "dvs0", "vni": VNI}],
            "ports": [daemon.port("vm1", "web", mac=SVC, ips=[SVC4])]})
        guests = FrontendProcess()
        try:
            vm1 = guests.open("vm1", daemon.vhost_socket("vm1"))
            daemon.wait_port("vm1")
            for _ in range(3):
                vm1.send(frame(src=SVC, dst=VM).ipv4(SVC4, VM4, df=True).udp(1000, 2000, b"x" * 1472))
            told = vm1.receive()[0].frame
            assert told[:12] == mac(SVC) + mac(VM) and told[34:36] == b"\x03\x04"
            assert int.from_bytes(told[40:42], "big") == 1450
            assert daemon.drops("vm1") == {"too_big": 3}
            assert "its MTU should be at most 1450" in daemon.cli("show", "port", "vm1")["detail"]
            eventually(lambda: "port vm1: its guest sends frames that are too long" in daemon.log_tail(), "the line", 15.0)
        finally:
            guests.close()
        daemon.assert_books_balance()
