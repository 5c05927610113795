# SPDX-License-Identifier: Apache-2.0
"""Hosts of one logical network: each a sluiced in a namespace of its own, its uplink on a bridge that plays the fabric, its
guests real stacks behind kernel ports in namespaces.

    with Overlay(hosts=3) as overlay:
        overlay.ping("h1web", "10.0.1.2")
        with overlay.tap("h1") as wire:              # what h1 says on the underlay
            ...

Host N has the VTEP 172.16.0.N and two guests: hNweb in VNI 5001 (10.0.1.N, 2001:db8:1::N) and hNdb in VNI 5002 (10.0.2.N,
2001:db8:2::N). The router ldr1 joins both; its addresses end in 254 and ::fe.
"""

import struct
import subprocess

from conditions import eventually
from daemon import Daemon
from network import Namespaces, Wire, run

UNDERLAY_MTU = 1600
VNI = {"web": 5001, "db": 5002}
NET = {"web": 1, "db": 2}
VMAC = "02:00:5e:53:4c:01"


def vtep_ip(host, family=4):
    return f"172.16.0.{host}" if family == 4 else f"fd00:16::{host}"


def vtep_mac(host):
    return f"02:00:00:00:99:{host:02x}"


def guest_ip(host, net, family=4):
    return f"10.0.{NET[net]}.{host}" if family == 4 else f"2001:db8:{NET[net]}::{host}"


def gateway_ip(net, family=4):
    return f"10.0.{NET[net]}.254" if family == 4 else f"2001:db8:{NET[net]}::fe"


def guest_mac(host, net):
    return f"02:00:00:00:{NET[net]:02x}:{host:02x}"


class Overlay:
    """`hosts`: how many run sluiced, numbered from 1. `others`: names of further namespaces with an interface "eth0" on the
    fabric. `family`: of the underlay. `replication`, `group`: of both port groups. `bfd`: of the switch. `args`: of each
    daemon."""

    def __init__(self, hosts=3, others=(), remotes=(), family=4, replication="unicast", group=None, bfd=None, args=()):
        self.hosts = range(1, hosts + 1)
        self._others, self._remotes, self._args = others, list(remotes), args
        self._family, self._replication, self._group, self._bfd = family, replication, group, bfd
        self.daemons = {}

    def __enter__(self):
        guests = [f"h{host}{net}" for host in self.hosts for net in NET]
        self.net = Namespaces("fabric", *[f"h{host}" for host in self.hosts], *guests, *self._others,
                              ipv6=(*guests, *self._others))
        self.net.__enter__()
        try:
            self.net["fabric"].ip("link", "add", "br0", "mtu", UNDERLAY_MTU, "up", "type", "bridge", "mcast_snooping", "0")
            for name in [f"h{host}" for host in self.hosts] + list(self._others):
                self.plug(name)
            for host in self.hosts:
                self.daemons[host] = Daemon(netns=self.net[f"h{host}"].name, args=self._args)
                self.daemons[host].apply(self.document(host))
            for host, daemon in self.daemons.items():
                for net in NET:
                    daemon.wait_port(f"h{host}{net}", timeout=20.0)
                    self.add_default_routes(f"h{host}{net}", net)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            for daemon in self.daemons.values():
                daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def plug(self, name, interface="eth0", cable=None):
        """A cable from the fabric's bridge (its port `cable`, c-NAME) to an interface of a namespace."""
        cable = cable or f"c-{name}"
        self.net.veth(name, interface, "fabric", cable)
        run("ip", "netns", "exec", self.net[name].name, "ethtool", "-K", interface, "tx", "off")
        self.net[name].ip("link", "set", interface, "mtu", UNDERLAY_MTU)
        self.net["fabric"].ip("link", "set", cable, "mtu", UNDERLAY_MTU, "master", "br0")

    def add_default_routes(self, name, net):
        self.net[name].ip("route", "add", "default", "via", gateway_ip(net))
        self.net[name].ip("-6", "route", "add", "default", "via", gateway_ip(net, 6))

    def document(self, host, **nouns):
        """What host runs; `nouns` in place of its own."""
        def group(net):
            one = {"name": net, "switch": "dvs0", "vni": VNI[net], "replication": self._replication}
            return {**one, "multicast_group": self._group} if self._group else one

        def guest(net):
            name = f"h{host}{net}"
            return {"name": name, "port_group": net, "kind": "kernel", "interface": "eth0", "netns": self.net[name].name,
                    "mac": guest_mac(host, net), "ips": [guest_ip(host, net), guest_ip(host, net, 6)],
                    "addresses": [guest_ip(host, net) + "/24", guest_ip(host, net, 6) + "/64"]}

        def interface(net):
            return {"name": net, "port_group": net, "addresses": [gateway_ip(net) + "/24", gateway_ip(net, 6) + "/64"]}
        remotes = [vtep_ip(other, self._family) for other in self.hosts if other != host] + self._remotes
        switch = {"name": "dvs0", "uplinks": ["up"], "remote_vteps": remotes}
        if self._bfd is not None:
            switch["bfd"] = self._bfd
        return {"host": {"name": f"host-{host}"}, "uplinks": [{"name": "up", "device": "net_af_packet0,iface=eth0"}],
                "vteps": [{"name": "tep0", "ip": vtep_ip(host, self._family) + ("/24" if self._family == 4 else "/64"),
                           "mac": vtep_mac(host), "uplink": "up", "mtu": UNDERLAY_MTU}],
                "switches": [switch], "port_groups": [group(net) for net in NET], "ports": [guest(net) for net in NET],
                "routers": [{"name": "ldr1", "interfaces": [interface(net) for net in NET]}], **nouns}

    # What guests do

    def ping(self, name, address, count=1, size=56, df=False, timeout=20.0):
        """Pings until `count` answers of one run came; asserts that they do."""
        command = ["ip", "netns", "exec", self.net[name].name, "ping", "-n", "-c", count, "-W", "1", "-i", "0.05", "-s", size,
                   *(["-M", "do"] if df else []), address]

        def answered():
            return subprocess.run([str(one) for one in command], capture_output=True, check=False).returncode == 0
        eventually(answered, f"{name} pings {address} with {size} bytes", timeout, 0.1)

    def is_silent(self, name, address):
        """True if one ping is not answered within a second."""
        done = subprocess.run(["ip", "netns", "exec", self.net[name].name, "ping", "-n", "-c", "1", "-W", "1", address],
                              capture_output=True, check=False)
        return done.returncode != 0

    def tap(self, name):
        """What a host or another machine says and hears on the underlay, as the fabric sees it."""
        return Wire(self.net["fabric"], f"c-{name}")


class Tunnelled:
    """One VXLAN frame of the underlay, taken apart; ValueError if it is none. Checks the outer headers' lengths and
    checksum."""

    def __init__(self, data):
        if len(data) < 50 or data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            raise ValueError("no IP")
        self.outer_destination, self.outer_source = data[:6], data[6:12]
        if data[12:14] == b"\x08\x00":
            ip = data[14:34]
            if ip[9] != 17 or ip[0] != 0x45:
                raise ValueError("no plain UDP")
            total, at = struct.unpack("!H", ip[2:4])[0], 34
            self.source, self.destination, self.ttl = ip[12:16], ip[16:20], ip[8]
            self.is_unfragmented = struct.unpack("!H", ip[6:8])[0] == 0x4000
            words = struct.unpack("!10H", ip)
            self.has_right_checksum = (sum(words) & 0xFFFF) + (sum(words) >> 16) == 0xFFFF
            end = 14 + total
        else:
            ip = data[14:54]
            if ip[6] != 17:
                raise ValueError("no UDP")
            at, end = 54, 54 + struct.unpack("!H", ip[4:6])[0]
            self.source, self.destination, self.ttl = ip[8:24], ip[24:40], ip[7]
            self.is_unfragmented = self.has_right_checksum = True
        self.source_port, self.port, self.length, self.udp_checksum = struct.unpack("!4H", data[at:at + 8])
        if self.port != 4789:
            raise ValueError("no VXLAN")
        self.has_right_lengths = end <= len(data) and self.length == end - at
        self.flags = struct.unpack("!I", data[at + 8:at + 12])[0]
        self.vni = struct.unpack("!I", data[at + 12:at + 16])[0] >> 8
        self.inner = data[at + 16:end]


def tunnelled(frames):
    """Those of `frames` that are VXLAN."""
    found = []
    for one in frames:
        try:
            found.append(Tunnelled(one))
        except ValueError:
            continue
    return found
