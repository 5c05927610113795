# SPDX-License-Identifier: Apache-2.0
"""Hosts between which a VM moves: each a sluiced in a namespace of its own with a VTEP, their uplinks on a bridge. Every host has
a VM that stays, "peerN"; "vm1" is at host 1 or 2, in one VNI with them. Host 3 always believes that vm1 is at host 1: what it
sends are stragglers whenever vm1 is at host 2.

    with Site() as site:
        talks = [Talk(site.peer(1), site.vm, 40000)]
        site.exchange(talks)
        site.move()
"""

import json
import os
import time

from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from network import Namespaces, run
from packets import frame

UNDERLAY_MTU = 1600
VNI = 5001
RST = 0x04
ETHERNET_IPV4_TCP = 54  # Bytes of the headers of what Talk sends.


def vtep_ip(host):
    return f"172.16.0.{host}"


class Machine:
    """A VM with its front-end."""

    def __init__(self, name, number, front_end):
        self.name, self.front_end = name, front_end
        self.mac, self.ip = f"02:00:00:00:07:{number:02x}", f"10.0.7.{number}"


class Talk:
    """A TCP connection between two Machines, both ends played here: what was not acknowledged is sent again."""

    def __init__(self, opener, responder, sport, dport=80):
        self.ends, self.ports = (opener, responder), (sport, dport)
        self.next = [1000 + sport, 900000 + sport]

    def segment(self, side, flags="PA", payload=b""):
        sender, receiver = self.ends[side], self.ends[1 - side]
        ack = 0 if flags == "S" else self.next[1 - side]
        return frame(src=sender.mac, dst=receiver.mac).ipv4(sender.ip, receiver.ip).tcp(
            self.ports[side], self.ports[1 - side], flags, self.next[side], ack, payload=payload)

    def key(self, side):
        """What the receiver tells the segment by: addresses, ports, sequence number."""
        return bytes(self.segment(side))[26:42]


class Site:
    """`spoofguard`: of the VMs' port group; `sections`: of the firewall; the rest as Daemon."""

    HOSTS = (1, 2, 3)

    def __init__(self, sections=(), spoofguard="auto", queue_size=1024):
        self._sections, self._spoofguard, self._queue_size = list(sections), spoofguard, queue_size
        self.daemons, self.at = {}, 1
        self.retransmitted = self.resets = 0

    def __enter__(self):
        self.net = Namespaces("fabric", *[f"h{host}" for host in self.HOSTS])
        self.net.__enter__()
        try:
            self.net["fabric"].ip("link", "add", "br0", "mtu", UNDERLAY_MTU, "up", "type", "bridge", "mcast_snooping", "0")
            for host in self.HOSTS:
                self._plug(f"h{host}")
                self.daemons[host] = Daemon(netns=self.net[f"h{host}"].name)
                self.daemons[host].apply(self.document(host))
            self.guests = FrontendProcess()
            self.peers = {host: self._open(f"peer{host}", 10 + host, self.daemons[host]) for host in self.HOSTS}
            self.vm = self._open("vm1", 1, self.daemons[1], queue_size=self._queue_size)
            for host in self.HOSTS:
                self.daemons[host].wait_port(f"peer{host}")
            self.daemons[1].wait_port("vm1")
            self.vm.front_end.send(frame(src=self.vm.mac).arp(self.vm.ip, self.vm.ip).pad())  # SpoofGuard trusts first use.
            self.carry()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if hasattr(self, "guests"):
            self.guests.close()
        try:
            for daemon in self.daemons.values():
                daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def _plug(self, name):
        cable = f"c-{name}"
        self.net.veth(name, "eth0", "fabric", cable)
        run("ip", "netns", "exec", self.net[name].name, "ethtool", "-K", "eth0", "tx", "off")
        self.net[name].ip("link", "set", "eth0", "mtu", UNDERLAY_MTU)
        self.net["fabric"].ip("link", "set", cable, "mtu", UNDERLAY_MTU, "master", "br0")

    def _open(self, name, number, daemon, **options):
        return Machine(name, number, self.guests.open(name, daemon.vhost_socket(name), timeout=20.0, **options))

    def document(self, host):
        daemon = self.daemons[host]
        peer = Machine("", 10 + host, None)
        ports = [daemon.port(f"peer{host}", "web", mac=peer.mac, ips=[peer.ip])]
        vm = Machine("", 1, None)
        bindings = []
        if host in (1, 2):
            ports.append(daemon.port("vm1", "web", mac=vm.mac))
        else:
            bindings.append({"port_group": "web", "mac": vm.mac, "ip": vm.ip, "vtep": vtep_ip(1)})
        return {"host": {"name": f"host-{host}"}, "uplinks": [{"name": "up", "device": "net_af_packet0,iface=eth0"}],
                "vteps": [{"name": "tep0", "ip": f"{vtep_ip(host)}/24", "mac": f"02:00:00:00:99:{host:02x}", "uplink": "up",
                           "mtu": UNDERLAY_MTU}],
                "switches": [{"name": "dvs0", "uplinks": ["up"],
                              "remote_vteps": [vtep_ip(other) for other in self.HOSTS if other != host]}],
                "port_groups": [{"name": "web", "switch": "dvs0", "vni": VNI, "spoofguard": self._spoofguard}],
                "ports": ports, "bindings": bindings, "dfw": {"default": "reject", "sections": self._sections}}

    def peer(self, host):
        return self.peers[host]

    @property
    def source(self):
        return self.daemons[self.at]

    @property
    def target(self):
        return self.daemons[3 - self.at]

    # The move

    def export(self, final=False):
        """The document of vm1, from where it is."""
        options = ["--final", "--to", vtep_ip(3 - self.at)] if final else []
        return self.source.cli("port", "export", "vm1", *options)

    def carry(self, final=False):
        """Export there, import here; what `port import` answers."""
        document = self.export(final)
        path = os.path.join(self.target.directory, "vm1.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        return self.target.cli("port", "import", "vm1", path)

    def switch_over(self, when_stopped=lambda: None):
        """The VM stops, what changed since carry() follows, the VM goes on at the other host. The time when it stopped."""
        stopped = time.monotonic()
        self.vm.front_end.stop()
        when_stopped()
        self.carry(final=True)
        self.vm.front_end.move(self.target.vhost_socket("vm1"), timeout=20.0)
        self.at = 3 - self.at
        return stopped

    def wait_quiet(self, seconds, timeout=30.0):
        """Waits until the host that vm1 left has had nothing for it for so long; what `show moved` says of it."""
        def quiet():
            moved, = self.target.cli("show", "moved")
            return moved if (moved["quiet_s"] or 0) >= seconds else None
        return eventually(quiet, f"stragglers quiet for {seconds} s", timeout, 0.2)

    # TCP

    def establish(self, talks):
        for side, flags, size in ((0, "S", 1), (1, "SA", 1), (0, "A", 0)):
            lost = self.pass_on(talks, side, flags)
            assert not lost, f"{len(lost)} of {len(talks)} connections were not opened at {flags}"
            for talk in talks:
                talk.next[side] += size

    def exchange(self, talks, payload=b"sixteen bytes...", attempts=6):
        """A segment each way on every connection, sent again if it is lost; the connections on which it never arrived."""
        dead = []
        for side in (0, 1):
            dead += self.pass_on([talk for talk in talks if talk not in dead], side, "PA", payload, attempts)
            for talk in talks:
                talk.next[side] += len(payload)
        return dead

    def pass_on(self, talks, side, flags, payload=b"", attempts=6):
        """Sends one segment on each; those on which it did not arrive."""
        missing = {talk.key(side): talk for talk in talks}
        for attempt in range(attempts):
            self.retransmitted += len(missing) if attempt else 0
            by_sender = {}
            for talk in missing.values():
                by_sender.setdefault(talk.ends[side], []).append(talk.segment(side, flags, payload))
            for sender, frames in by_sender.items():
                sender.front_end.send(frames, timeout=10.0)
            receivers = {talk.ends[1 - side] for talk in missing.values()}
            deadline = time.monotonic() + 0.2 * (attempt + 1)
            while missing and time.monotonic() < deadline:
                for receiver in receivers:
                    for one in receiver.front_end.receive(256, 0.02):
                        self.note(one.frame)
                        missing.pop(one.frame[26:42], None)
            if not missing:
                break
        return list(missing.values())

    def note(self, data):
        """Counts resets."""
        is_tcp = data[12:14] == b"\x08\x00" and data[23] == 6
        self.resets += bool(is_tcp and data[47] & RST)
