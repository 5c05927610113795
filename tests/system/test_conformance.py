# SPDX-License-Identifier: Apache-2.0
"""Conformance cases of slots 0-2 (cases/firewall.json) through a running daemon. The set-up is told in cases/README.md.

Step by step: P comes out at the other side byte for byte, and what waited for it behind it; D does not, and a drop counter with a reason rises; * is
either. What follows a D on the same port must arrive first, so nothing is waited out.
"""

import json
import os

import pytest
from daemon import Daemon
from frontend import FrontendProcess
from network import Namespaces, Wire
from packets import describe, frame

CASES_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "firewall.json")
with open(CASES_FILE, encoding="utf-8") as _file:
    CASES = {case["id"]: case for case in json.load(_file)["cases"]}

A_MAC, B_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
A_IPS = ["192.0.2.10", "2001:db8:a::10", "fe80::ff:fe00:a01"]
B_IPS = ["198.51.100.20", "2001:db8:b::20"]
NO_RATE_LIMITS = {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}
FIREWALL, SNOOPING, UNDERLAY = "TWFUIGX", "DANS", "V"  # First letters of the cases of each set-up.

# Cases that are not demanded yet, each with the reason.
KNOWN_OPEN = {"F22": "its frame has ethertype 0x9000, so it is no IP to look into; the frame that is meant is tested here"}

DEMANDED = [name for name in CASES if name not in KNOWN_OPEN]
STATEFUL = [name for name in DEMANDED if name[0] in FIREWALL]
DROPS_ANYWAY = [name for name in STATEFUL
                if any(step["expect"] == "D" and not step.get("policy") for step in CASES[name]["steps"])]


def firewall_document(daemon):
    """a may open anything, b may open tcp/80 and udp/53 to a, everything else is dropped; b's own port is excluded."""
    return {**allow_all_document(daemon), "dfw": {"default": "drop", "exclude": ["b"], "sections": [{"name": "a", "rules": [
        {"name": "out", "action": "allow", "direction": "out", "applied_to": ["a"]},
        {"name": "in", "action": "allow", "direction": "in", "services": ["tcp/80", "udp/53"], "applied_to": ["a"]}]}]}}


def allow_all_document(daemon):
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "lan", "switch": "dvs0", "limits": NO_RATE_LIMITS}],
            "ports": [daemon.port("a", "lan", mac=A_MAC, ips=A_IPS), daemon.port("b", "lan", mac=B_MAC, ips=B_IPS)]}


def snooping_document(daemon):
    """a under SpoofGuard with its own addresses and guards on; b trusted, seeing unknown unicast too."""
    guarded = {"name": "guarded", "switch": "dvs0", "spoofguard": "manual", "limits": NO_RATE_LIMITS,
               "guards": {"dhcp_server": True, "ra": True}}
    trusted = {"name": "trusted", "switch": "dvs0", "limits": NO_RATE_LIMITS,
               "guards": {"bpdu": False, "dhcp_server": False, "ra": False},
               "security": {"promiscuous": True, "forged_transmits": True}}
    return {"switches": [{"name": "dvs0"}], "port_groups": [guarded, trusted],
            "ports": [daemon.port("a", "guarded", mac=A_MAC, ips=A_IPS), daemon.port("b", "trusted", mac=B_MAC)]}


U_MAC, U_IP, PEER_IP, VNI = "02:00:00:00:99:01", "10.0.0.1", "10.0.0.2", 100


def underlay_document(daemon):
    """a alone in VNI 100, its host's VTEP on the cable, one remote VTEP that is known."""
    return {"uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
            "vteps": [{"name": "u", "ip": f"{U_IP}/24", "mac": U_MAC, "uplink": "up"}],
            "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": [PEER_IP], "bfd": {"enabled": False}}],
            "port_groups": [{"name": "overlay", "switch": "dvs0", "vni": VNI}],
            "ports": [daemon.port("a", "overlay", mac=A_MAC, ips=A_IPS)]}


class UnderlayBench:
    """A daemon whose uplink is a cable, on whose other end the test speaks for the underlay; port a behind it."""

    def __init__(self):
        self.count = 0

    def __enter__(self):
        self.net = Namespaces("host", "far")
        self.net.__enter__()
        try:
            self.net.veth("host", "up0", "far", "eth0")
            for name, interface in (("host", "up0"), ("far", "eth0")):
                self.net[name].ip("link", "set", interface, "mtu", 1600)
            self.wire = Wire(self.net["far"], "eth0")
            self.daemon = Daemon(netns=self.net["host"].name)
            self.daemon.apply(underlay_document(self.daemon))
            self.guests = FrontendProcess()
            self.a = self.guests.open("a", self.daemon.vhost_socket("a"))
            self.daemon.wait_port("a")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if hasattr(self, "guests"):
            self.guests.close()
        try:
            if hasattr(self, "daemon"):
                self.daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def inside(self, data):
        """The inner frame, by its place: 50 bytes behind the start of an IPv4 underlay's."""
        return data[50:]

    def mark(self):
        """Sends a frame through the tunnel that must arrive; what came to a before it."""
        self.count += 1
        one = bytes(frame(src=B_MAC, dst=A_MAC).ipv4(B_IPS[0], A_IPS[0]).icmp(ident=0xBEEF, payload=b"mark%08d" % self.count))
        vxlan = b"\x08\0\0\0" + VNI.to_bytes(3, "big") + b"\0"
        self.wire.send(frame(src="02:00:00:00:99:02", dst=U_MAC).ipv4(PEER_IP, U_IP).udp(50000, 4789, vxlan + one))
        found, before = self.a.receive_until(one, 5.0)
        assert found, f"marker did not arrive; drops {self.daemon.drops()}"
        return [received.frame for received in before]

    def run(self, case):
        self.mark()
        for number, step in enumerate(case["steps"], 1):
            before = self.daemon.drops()
            sent = bytes.fromhex(step["frame"])
            self.wire.send(sent)
            came = self.mark()
            after = self.daemon.drops()
            drops = {reason: count for reason, count in after.items() if count > before.get(reason, 0)}
            if step["expect"] == "*":
                assert came in ([], [self.inside(sent)]), "never opened twice"
                continue
            where = f"{case['id']} ({case['title']}) step {number} {step['text']}: {describe(sent)}"
            if step["expect"] == "P":
                assert came == [self.inside(sent)], f"{where}: must pass; drops {drops}"
            else:
                assert came == [] and drops, f"{where}: must be dropped by name; came {came}, drops {drops}"


class Bench:
    """A daemon with ports a and b."""

    def __init__(self, document):
        self._document = document

    def __enter__(self):
        self.daemon = Daemon()
        self.guests = FrontendProcess()
        self.daemon.apply(self._document(self.daemon))
        self.sides = {name: self.guests.open(name, self.daemon.vhost_socket(name)) for name in "ab"}
        for name in "ab":
            self.daemon.wait_port(name)
        self.count = 0
        return self

    def __exit__(self, kind, value, trace):
        self.guests.close()
        self.daemon.__exit__(kind, value, trace)

    def ask(self, method, **params):
        answer = self.daemon.rpc(method, params)
        assert "error" not in answer, answer
        return answer["result"]

    def start_case(self):
        """No state, and nothing of the last case in flight."""
        self.ask("flush.conns")
        self.ask("flush.bindings")
        for name in "ab":
            self.mark(name)
            self.mark(name)

    def mark(self, source):
        """Sends a frame that every set-up passes; what came out at the other side before it."""
        self.count += 1
        addresses = ((A_MAC, A_IPS[0]), (B_MAC, B_IPS[0]))
        (mac, ip), (other_mac, other_ip) = addresses if source == "a" else reversed(addresses)
        if source == "a":  # SpoofGuard passes IP and ARP only; an echo has no port that a case uses.
            one = frame(src=mac, dst=other_mac).ipv4(ip, other_ip).icmp(ident=0xBEEF, payload=b"mark%08d" % self.count)
        else:
            one = frame(src=mac, dst=other_mac).raw(b"mark%08d" % self.count).pad()
        self.sides[source].send(one)
        found, before = self.sides["b" if source == "a" else "a"].receive_until(bytes(one), 5.0)
        assert found, f"marker of {source} did not arrive; books {self.ask('show.drops', audit=True)}"
        return [received.frame for received in before]

    def step(self, step):
        """Sends the step's frame: (the frames that came out of it, {reason: rise of its drop counter})."""
        before = self.ask("show.drops")
        self.sides[step["dir"]].send(bytes.fromhex(step["frame"]))
        came = self.mark(step["dir"])
        after = self.ask("show.drops")
        return came, {reason: count - before.get(reason, 0) for reason, count in after.items()
                      if count > before.get(reason, 0)}

    def run(self, case, judged=lambda step: True):
        self.start_case()
        waiting = []  # Frames that may have been kept, to follow a later one: fragments before their head.
        for number, step in enumerate(case["steps"], 1):
            came, drops = self.step(step)
            if step["expect"] != "*" and judged(step):
                check(case, number, step, came, drops, waiting)
            if not came and not drops:
                waiting.append(bytes.fromhex(step["frame"]))


def check(case, number, step, came, drops, waiting):
    """Asserts the verdict of one step, with a message that reads without the file."""
    sent = bytes.fromhex(step["frame"])
    where = f"{case['id']} ({case['title']}) step {number} {step['dir']} {step['text']}: {describe(sent)}"
    out = [describe(one) for one in came]
    if step["expect"] == "P":
        assert came[:1] == [sent] and all(one in waiting for one in came[1:]), \
            f"{where}: must pass; came out: {out}, drops {drops}"
    else:
        assert came == [], f"{where}: must be dropped; came out: {out}"
        assert drops, f"{where}: dropped, but no counter rose"


@pytest.fixture(name="firewall", scope="module")
def _firewall():
    with Bench(firewall_document) as bench:
        yield bench


@pytest.fixture(name="allow_all", scope="module")
def _allow_all():
    with Bench(allow_all_document) as bench:
        yield bench


@pytest.fixture(name="snooping", scope="module")
def _snooping():
    with Bench(snooping_document) as bench:
        yield bench


@pytest.fixture(name="underlay", scope="module")
def _underlay():
    with UnderlayBench() as bench:
        yield bench
        bench.daemon.assert_books_balance()


@pytest.mark.parametrize("name", [name for name in DEMANDED if name[0] in UNDERLAY])
def test_underlay_case(underlay, name):
    underlay.run(CASES[name])


@pytest.mark.parametrize("name", STATEFUL)
def test_firewall_case(firewall, name):
    firewall.run(CASES[name])


@pytest.mark.parametrize("name", DROPS_ANYWAY)
def test_drop_does_not_hang_on_the_policy(allow_all, name):
    allow_all.run(CASES[name], lambda step: step["expect"] == "D" and not step.get("policy"))


@pytest.mark.parametrize("name", [name for name in DEMANDED if name[0] in SNOOPING])
def test_snooping_case(snooping, name):
    snooping.run(CASES[name])


@pytest.mark.parametrize("bench", ["firewall", "allow_all"])
def test_header_length_beyond_the_packet(request, bench):
    """F22 with the ethertype that its title means."""
    case = json.loads(json.dumps(CASES["F22"]))
    case["steps"][0]["frame"] = case["steps"][0]["frame"].replace("0a019000", "0a010800", 1)
    request.getfixturevalue(bench).run(case)


@pytest.mark.parametrize("bench", ["firewall", "allow_all", "snooping"])
def test_books_balance_after_all_cases(request, bench):
    of_bench = request.getfixturevalue(bench)
    of_bench.ask("flush.conns")  # Fragments that wait are held.
    of_bench.daemon.assert_books_balance()
