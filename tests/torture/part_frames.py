# SPDX-License-Identifier: Apache-2.0
"""Frames truncated at every byte, with each bit of their head flipped, with lengths exchanged; from a VM and inside VXLAN.

What is mutated are the conformance cases' frames. A hostile VM sends them to a switch with every slot in use; the same
ones come as inner frames of a tunnel, and as outer ones. Two other VMs exchange frames all the time and lose none.
"""

import itertools
import json
import os

from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from network import Namespaces, Wire
from packets import frame

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "cases", "firewall.json")
HEAD = 128  # Bytes in which every bit is flipped.
VTEP_MAC, VTEP, PEER, VNI = "02:00:00:00:99:01", "10.9.0.1", "10.9.0.2", 100
A_MAC, B_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"  # Of the cases.
BATCH = 512
SMALLEST, LARGEST = 14, 1514
VICTIM_PPS = 500


def case_frames():
    with open(CASES, encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    return sorted({bytes.fromhex(step["frame"]) for case in cases for step in case["steps"]})


def truncated(data):
    return (data[:size] for size in range(1, len(data)))


def flipped(data):
    for bit in range(8 * min(HEAD, len(data))):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def length_fields(data):
    """(place, size) of what says how long something is, as far as the frame's kind tells without trusting it."""
    kind = int.from_bytes(data[12:14], "big")
    if kind == 0x0800 and len(data) >= 34:
        header = 14 + 4 * (data[14] & 15)
        yield from ((14, 1), (16, 2))
        if data[23] == 17:
            yield header + 4, 2
        if data[23] == 6:
            yield header + 12, 1
    if kind == 0x86DD and len(data) >= 54:
        yield from ((18, 2), (55, 1))
        if data[20] == 17:
            yield 58, 2
        if data[20] == 6:
            yield 66, 1
        if data[20] == 58:
            yield 79, 1  # Of the first option of a neighbour's message.
    if kind == 0x0806:
        yield from ((18, 1), (19, 1))


def lengths_exchanged(data):
    """Each length set to edge values, and each two exchanged."""
    fields = [(at, size) for at, size in length_fields(data) if at + size <= len(data)]
    for at, size in fields:
        for value in (0, 1, 5, 0x7F, 0x80, 0xFF, len(data), 0x7FFF, 0xFFFF):
            yield data[:at] + (value % 256 ** size).to_bytes(size, "big") + data[at + size:]
    for (one, one_size), (other, other_size) in itertools.combinations(fields, 2):
        changed = bytearray(data)
        low = min(one_size, other_size)
        changed[one + one_size - low:one + one_size], changed[other + other_size - low:other + other_size] = \
            data[other + other_size - low:other + other_size], data[one + one_size - low:one + one_size]
        yield bytes(changed)


def mutants(data):
    return itertools.chain(truncated(data), flipped(data), lengths_exchanged(data))


def in_vxlan(inner):
    header = b"\x08\0\0\0" + VNI.to_bytes(3, "big") + b"\0"
    return bytes(frame(src="02:00:00:00:99:02", dst=VTEP_MAC).ipv4(PEER, VTEP).udp(50000, 4789, header + inner))


def batches(items):
    items = iter(items)
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


class Stage:
    """A daemon with every slot in use: a is hostile, b what it talks to, o is behind the tunnel, v1 and v2 the victims."""

    def __enter__(self):
        self.net = Namespaces("host", "far")
        self.net.__enter__()
        try:
            self.net.veth("host", "up0", "far", "eth0")
            for name, interface in (("host", "up0"), ("far", "eth0")):
                self.net[name].ip("link", "set", interface, "mtu", 1700)
            self.wire = Wire(self.net["far"], "eth0")
            self.daemon = Daemon(netns=self.net["host"].name)
            self.daemon.apply(self.document())
            self.hostile, self.victims = FrontendProcess(), FrontendProcess()
            self.a, self.b, self.o = (self.hostile.open(name, self.daemon.vhost_socket(name)) for name in "abo")
            self.v1, self.v2 = (self.victims.open(name, self.daemon.vhost_socket(name)) for name in ("v1", "v2"))
            for name in ("a", "b", "o", "v1", "v2"):
                self.daemon.wait_port(name)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for process in ("hostile", "victims"):
            if process in self.__dict__:
                self.__dict__[process].close()
        try:
            if "daemon" in self.__dict__:
                self.daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def document(self):
        port = self.daemon.port
        return {"uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
                "vteps": [{"name": "tep", "ip": f"{VTEP}/24", "mac": VTEP_MAC, "uplink": "up"}],
                "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": [PEER], "bfd": {"enabled": False}}],
                "port_groups": [{"name": "guarded", "switch": "dvs0", "spoofguard": "auto", "bindings": {"arp": 64, "nd": 64},
                                 "mac_learning": {"enabled": True, "limit": 64, "unknown_unicast_flood": True},
                                 "security": {"promiscuous": True, "forged_transmits": True, "mac_changes": True}},
                                {"name": "overlay", "switch": "dvs0", "vni": VNI},
                                {"name": "quiet", "switch": "dvs0", "vlan": {"mode": "access", "id": 77}}],
                "ports": [port("a", "guarded", mac=A_MAC), port("b", "guarded", mac=B_MAC), port("o", "overlay", mac=A_MAC),
                          port("v1", "quiet", mac="02:00:00:00:00:71"), port("v2", "quiet", mac="02:00:00:00:00:72")],
                "routers": [{"name": "r", "interfaces": [
                    {"name": "gw", "port_group": "overlay", "addresses": ["198.51.100.1/24", "2001:db8:b::1/64"]}]}],
                "acls": [{"name": "seen", "applied_to": ["any"], "rules": [{"name": "syn", "action": "permit", "tcp_flags": "syn"}]}],
                "dfw": {"default": "allow", "sections": [{"name": "s", "rules": [
                    {"name": "ftp", "action": "allow", "services": ["tcp/21"], "alg": "ftp"},
                    {"name": "no", "action": "reject", "services": ["tcp/23", "udp/7"]}]}]}}

    def from_vm(self, frames):
        """Those that a guest can send at all; how many."""
        fit = [one for one in frames if len(one) >= SMALLEST]
        for batch in batches(fit):
            self.hostile_send(batch)
        return len(fit)

    def hostile_send(self, batch):
        self.a.flood(batch, count=len(batch), seconds=20.0, receivers=[self.b])

    def from_wire(self, frames):
        count = 0
        for one in frames:
            if SMALLEST <= len(one) <= LARGEST + 100:
                self.wire.send(one)
                count += 1
        self.wire.drain()
        return count

    def received(self, port):
        return next(row["rx_packets"] for row in self.daemon.cli("show", "ports") if row["name"] == port)


def run(torture):
    frames = case_frames()
    chosen = frames if torture.is_long else torture.random.sample(frames, 12)
    with Stage() as stage:
        pid = stage.daemon.pid
        beat = bytes(frame(src="02:00:00:00:00:71", dst="02:00:00:00:00:72").ipv4("10.7.0.1", "10.7.0.2").udp(7000, 7000, b"beat"))
        stage.v1.start_flood([beat], pps=VICTIM_PPS, receivers=[stage.v2])
        sent = {"from a VM": 0, "inside VXLAN": 0, "on the underlay": 0}
        for data in torture.progress(chosen, "frames of the corpus"):
            sent["from a VM"] += stage.from_vm(mutants(data))
            sent["inside VXLAN"] += stage.from_wire(in_vxlan(one) for one in mutants(data))
        outer = torture.random.sample(frames, torture.pick(short=3, long=40))
        for data in torture.progress(outer, "tunnelled frames"):
            sent["on the underlay"] += stage.from_wire(mutants(in_vxlan(data)[:400]))
        received = eventually(lambda: stage.received("a") >= sent["from a VM"] and stage.received("a"), "all frames of a", 20.0)
        beats = stage.v1.finish_flood()
        for name, count in sent.items():
            torture.figure(f"mutated frames, {name}", count, at_least=1000)
        torture.figure("frames of the VM that were not counted", received - sent["from a VM"], exactly=0)
        torture.figure("deaths of the daemon", int(not stage.daemon.alive or stage.daemon.pid != pid), exactly=0)
        torture.figure("victims' frames", beats["v1"]["sent"], at_least=100)
        torture.figure("victims' frames lost", beats["v1"]["sent"] - beats["v2"]["received"], exactly=0)
        stage.daemon.cli("flush", "conns")  # Fragments that wait, too.
        audit = stage.daemon.assert_books_balance(timeout=20.0)
        torture.figure("frames unaccounted for", audit["unaccounted"], exactly=0)
        reasons = stage.daemon.drops()
        torture.figure("reasons for drops", len(reasons), at_least=10)
        torture.say(", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())))
