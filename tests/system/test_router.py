# SPDX-License-Identifier: Apache-2.0
"""The distributed router between real Linux stacks: kernel ports in namespaces and a machine behind the uplink.

"red" is in VLAN 10, "blue" in VLAN 20, "thin" on a switch with an MTU of 1400, and the machine in VLAN 30 beyond the
cable. Each has the router's address of its network as its default gateway.
"""

import contextlib
import errno
import hashlib
import os
import re
import socket
import subprocess

import pytest
from conditions import eventually
from daemon import Daemon
from network import Machine, Namespaces, TcpEcho, family_of, tcp_round_trip

UPLINK = "net_af_packet0,iface=up0"
NETWORKS = {"red": 10, "blue": 20, "fabric": 30, "thin": 40}
VMAC = "02:00:5e:53:4c:01"
MACHINE = "02:00:00:00:0f:03"
IP_RECVERR, IPV6_RECVERR, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 11, 25, 10, 2, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24


def address(network, host, ipv6=False):
    number = NETWORKS[network]
    return f"2001:db8:{number}::{host:x}" if ipv6 else f"10.0.{number}.{host}"


def gateway(network, ipv6=False):
    return address(network, 254, ipv6)


class Stage:
    """The daemon, its networks and the stacks in them."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.net = stack.enter_context(
                Namespaces("host", "red", "blue", "thin", "machine", ipv6=("red", "blue", "thin", "machine")))
            self.net.veth("host", "up0", "machine", "eth0")
            self.daemon = stack.enter_context(Daemon(netns=self.net["host"].name))
            self.daemon.apply(self.document())
            for name in ("red", "blue", "thin"):
                self.daemon.wait_port(name)
                self.lead_to_gateway(name, name)
            stack.enter_context(Machine(self.net["machine"], "eth0", "m0", 30, f"{address('fabric', 3)}/24", MACHINE))
            self.net["machine"].ip("addr", "add", f"{address('fabric', 3, True)}/64", "dev", "m0", "nodad")
            self.lead_to_gateway("machine", "fabric")
            eventually(lambda: self.daemon.cli("show", "uplinks")[0]["state"] == "up", "uplink up", 5.0)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, value, trace):
        return self._stack.__exit__(kind, value, trace)

    def lead_to_gateway(self, namespace, network):
        one = self.net[namespace]
        eventually(lambda: "tentative" not in one.ip("-6", "addr", "show"), f"addresses of {namespace}", 10.0)
        one.ip("route", "add", "default", "via", gateway(network))
        one.ip("-6", "route", "add", "default", "via", gateway(network, True))

    def document(self):
        def group(name, switch="dvs0"):
            return {"name": f"net-{name}", "switch": switch, "vlan": {"mode": "access", "id": NETWORKS[name]}}

        def port(name):
            return {"name": name, "port_group": f"net-{name}", "kind": "kernel", "interface": "vmk0",
                    "netns": self.net[name].name,
                    "addresses": [f"{address(name, 1)}/24", f"{address(name, 1, True)}/64"]}

        def interface(name):
            return {"name": f"{name}-gw", "port_group": f"net-{name}",
                    "addresses": [f"{gateway(name)}/24", f"{gateway(name, True)}/64"]}
        return {"host": {"name": "host-a"},
                "uplinks": [{"name": "up", "device": UPLINK}],
                "switches": [{"name": "dvs0", "uplinks": ["up"]}, {"name": "dvs1", "mtu": 1400}],
                "port_groups": [group("red"), group("blue"), group("fabric"), group("thin", "dvs1")],
                "ports": [port("red"), port("blue"), port("thin")],
                "routers": [{"name": "ldr1", "interfaces": [interface(name) for name in NETWORKS],
                             "routes": [{"prefix": "192.0.2.0/24", "next_hops": [address("fabric", 3)]},
                                        {"prefix": "203.0.113.0/24", "blackhole": True}]}]}

    def ping(self, namespace, target, *options):
        """ping's output, whatever it says."""
        done = subprocess.run(["ip", "netns", "exec", self.net[namespace].name, "ping", "-n", "-c", "1", "-W", "5",
                               *options, target], capture_output=True, text=True, check=False, timeout=30)
        return done.stdout + done.stderr

    def pings(self, namespace, target, *options):
        said = self.ping(namespace, target, *options)
        assert " 1 received" in said, said
        return said


@pytest.fixture(name="stage", scope="module")
def _stage():
    with Stage() as stage:
        yield stage
        stage.daemon.assert_books_balance()


@pytest.fixture(name="ipv6", params=[False, True], ids=["v4", "v6"])
def _ipv6(request):
    return request.param


def test_every_pair_talks(stage, ipv6):
    hosts = {"red": "red", "blue": "blue", "thin": "thin", "machine": "fabric"}
    for one in hosts:
        for other, network in hosts.items():
            if one != other:
                said = stage.pings(one, address(network, 3 if other == "machine" else 1, ipv6))
                assert re.search(r"(ttl|hop limit)=63 ", said), said


def test_the_gateway_answers(stage, ipv6):
    for network in ("red", "blue"):
        stage.pings("red", gateway(network, ipv6))
    stage.pings("machine", gateway("fabric", ipv6))
    neighbours = stage.net["red"].ip("neigh", "show")
    assert f"{gateway('red', ipv6)} dev vmk0 lladdr {VMAC}" in neighbours, neighbours
    beyond = stage.net["machine"].ip("neigh", "show", gateway("fabric", ipv6))
    assert "lladdr" in beyond and VMAC not in beyond, beyond  # Each host has a MAC of its own there.


def test_errors_come_from_the_gateway(stage, ipv6):
    expired = stage.ping("red", address("blue", 1, ipv6), "-t", "1")
    assert gateway("red", ipv6) in expired and "Time" in expired and "exceeded" in expired, expired
    nobody = stage.ping("red", address("blue", 77, ipv6))
    assert "nreachable" in nobody and f"From {gateway('red', ipv6)}" in nobody, nobody
    nowhere = stage.ping("red", "2001:db8:ffff::1" if ipv6 else "198.51.100.1")
    assert "nreachable" in nowhere or "No route" in nowhere, nowhere
    drops = stage.daemon.cli("show", "drops")
    for reason in ("ttl_expired", "neighbour_unreachable", "no_route"):
        assert drops[reason] > 0, reason


def hops(stage, namespace, target, ipv6):
    """Who answers datagrams to a closed port whose hop limit is 1, 2, ...: as traceroute does it."""
    found = []
    for limit in range(1, 5):
        with stage.net[namespace].inside():
            one = socket.socket(family_of(target), socket.SOCK_DGRAM)
        with one:
            level = socket.IPPROTO_IPV6 if ipv6 else socket.IPPROTO_IP
            one.setsockopt(level, IPV6_RECVERR if ipv6 else IP_RECVERR, 1)
            one.setsockopt(level, socket.IPV6_UNICAST_HOPS if ipv6 else socket.IP_TTL, limit)
            one.setblocking(False)
            one.sendto(b"anybody?", (target, 33434))

            def error(one=one):
                with contextlib.suppress(BlockingIOError):
                    return one.recvmsg(512, 512, socket.MSG_ERRQUEUE)
                return None
            ancillary = eventually(error, f"an answer at hop {limit}", 5.0)[1]
        extended = ancillary[0][2]  # struct sock_extended_err, then who said it.
        origin, kind, code = extended[4], extended[5], extended[6]
        assert origin == (3 if ipv6 else 2), origin
        offender = extended[16:]
        who = socket.inet_ntop(socket.AF_INET6, offender[8:24]) if ipv6 else socket.inet_ntoa(offender[4:8])
        found.append((who, kind, code))
        if (kind, code) in ((3, 3), (1, 4)) and kind == (1 if ipv6 else 3):
            return found
    return found


def test_traceroute_both_ways(stage, ipv6):
    for one, network, other in (("red", "red", "blue"), ("blue", "blue", "red")):
        target = address(other, 1, ipv6)
        expired, closed = ((3, 0), (1, 4)) if ipv6 else ((11, 0), (3, 3))
        assert hops(stage, one, target, ipv6) == [(gateway(network, ipv6), *expired), (target, *closed)]


def path_mtu(stage, namespace, target, size, ipv6):
    """Sends a datagram that must not be fragmented; what the stack then believes of the path."""
    with stage.net[namespace].inside():
        one = socket.socket(family_of(target), socket.SOCK_DGRAM)
    with one:
        level = socket.IPPROTO_IPV6 if ipv6 else socket.IPPROTO_IP
        one.setsockopt(level, IPV6_MTU_DISCOVER if ipv6 else IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        one.connect((target, 33434))
        with contextlib.suppress(OSError):
            one.send(bytes(size))

        def known():
            try:
                one.send(b"")
            except OSError as error:
                assert error.errno in (errno.EMSGSIZE, errno.ECONNREFUSED), error
            mtu = one.getsockopt(level, IPV6_MTU if ipv6 else IP_MTU)
            return mtu if mtu != 1500 else None
        return eventually(known, "the path's MTU", 5.0)


def test_a_smaller_network_is_found_out(stage, ipv6):
    assert path_mtu(stage, "red", address("thin", 1, ipv6), 1440, ipv6) == 1400
    assert stage.daemon.cli("show", "drops")["too_big"] > 0


@pytest.mark.parametrize("one, other, target", [("red", "blue", "blue"), ("blue", "thin", "thin"),
                                                ("red", "machine", "fabric"), ("machine", "red", "red")])
def test_tcp(stage, ipv6, one, other, target):
    payload = os.urandom(4 << 20)
    where = address(target, 3 if other == "machine" else 1, ipv6)
    with TcpEcho(stage.net[other], where):
        back = tcp_round_trip(stage.net[one], where, payload)
    assert hashlib.sha256(back).digest() == hashlib.sha256(payload).digest()


def test_what_is_shown(stage):
    stage.pings("red", address("fabric", 3))
    rows = stage.daemon.cli("show", "routes", "ldr1")
    by_prefix = {row["prefix"]: row for row in rows}
    assert by_prefix["10.0.10.0/24"]["kind"] == "connected"
    assert by_prefix["10.0.10.0/24"]["interface"] == "red-gw"
    assert by_prefix["203.0.113.0/24"]["kind"] == "blackhole"
    [hop] = by_prefix["192.0.2.0/24"]["next_hops"]
    assert (hop["ip"], hop["interface"], hop["mac"]) == (address("fabric", 3), "fabric-gw", MACHINE)
    assert hop["state"] == "resolved" and all(row["source"] == "static" for row in rows)
    learned = [row for row in stage.daemon.cli("show", "arps") if row["source"] == "learned"]
    assert any(row["ip"] == address("fabric", 3) and row["mac"] == MACHINE and row["vlan"] == 30 for row in learned)
