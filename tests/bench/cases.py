# SPDX-License-Identifier: Apache-2.0
"""What is measured: each case is one kind of load, run against every contestant; and what Sluice must reach in it."""

import dataclasses
from dataclasses import dataclass, field

from places import BYPASSED, HOST, REDIRECTED, ROUTED, TUNNEL_IN, TUNNEL_OUT, Place
from policy import Policy

CONTESTANTS = ("floor", "slots", "few", "plain", "empty", "normal", "ct")
USUAL = ("floor", "slots", "empty", "normal", "ct")
PLAIN = ("slots", "empty", "normal")
FIREWALLED = ("slots", "few", "plain", "ct")
TITLES = {"floor": "floor", "slots": "Sluice, slots 0-2", "few": "the same, 10 rules",
          "plain": "the same without", "empty": "Sluice, chain empty",
          "normal": "Open vSwitch NORMAL", "ct": "Open vSwitch ct"}


@dataclass(frozen=True)
class Metric:
    """How the figure of a case is called, and which direction is better."""

    name: str
    unit: str
    higher_is_better: bool
    digits: int = 0


FLOOD_PORTS = ("--port", "5000-5031")
CYCLES = Metric("cycles_per_packet", "cycles/packet", False)
RATE = Metric("connections_per_second", "connections/s", True)
GBPS = Metric("gbps", "Gb/s", True, 2)
LATENCY = Metric("p50_us", "us (p50)", False, 2)


@dataclass(frozen=True)
class Target:
    """`factor` times better than `other` at least (at most `at_most` times its cost, where given). `metric`: another one
    than the case's."""

    other: str
    factor: float = 0.0
    at_most: float = 0.0
    metric: Metric | None = None


@dataclass(frozen=True)
class Case:
    """arguments: of sluice-load, for all or by contestant; policy likewise. fill_s: seconds of the first, uncounted run."""

    name: str
    title: str
    metric: Metric
    arguments: tuple
    contestants: tuple = USUAL
    own_arguments: dict = field(default_factory=dict)
    policy: Policy = Policy()
    place: Place = HOST
    own_places: dict = field(default_factory=dict)
    own_policies: dict = field(default_factory=dict)
    targets: tuple = ()
    must_saturate: bool = True
    forgets: bool = False  # The connection table is emptied before each run.
    fill_s: float = 1.0
    warmup_s: float = 0.5

    def arguments_for(self, contestant):
        return self.own_arguments.get(contestant, self.arguments)

    def place_for(self, contestant):
        return self.own_places.get(contestant, self.place)

    def policy_for(self, contestant):
        return self.own_policies.get(contestant, self.policy)


def _flood(flows, label, over_normal, over_ct, fill_s, warmup_s=0.5):
    targets = [Target("normal", over_normal), Target("ct", over_ct)]
    if flows == 1000:
        targets.append(Target("floor", at_most=1.6))
    title = f"64 B, {label.replace('k', ' k').replace('m', ' M')} flows" if flows > 1 else "64 B, 1 flow"
    return Case(f"flood-{label}", title, CYCLES, ("flood", "--flows", str(flows), "--size", "64", *FLOOD_PORTS),
                targets=tuple(targets), fill_s=fill_s, warmup_s=warmup_s)


def _crr(rules, label):
    policy = Policy(rule_count=rules, has_many_sources=True)
    contestants, own, targets = ("slots", "empty", "normal", "ct"), {}, ()
    if rules == 10:
        targets = (Target("ct", 4.0),)
    elif rules == 10_000:  # Sluice with 10 rules takes part, so that the two are compared round by round.
        contestants, own = ("slots", "few", *contestants[1:]), {"few": dataclasses.replace(policy, rule_count=10)}
        targets = (Target("few", 0.9),)
    return Case(f"crr-{label}", f"connect, ask, answer, close; {rules} rules", RATE, ("crr", "--port", "80"),
                contestants=contestants, policy=policy, own_policies=own, targets=targets, forgets=True, warmup_s=0.3)


def _service(name, title, place, at_most):
    """A rule of slot 4; beside the same flow without a service."""
    return Case(name, f"64 B, 1 k flows, {title}", CYCLES, ("flood", "--flows", "1000", "--size", "64", *FLOOD_PORTS),
                contestants=("slots", "plain"), own_places={"slots": place}, targets=(Target("plain", at_most=at_most),))


def _sealed(size, at_most):
    """Encryption on the way out; what it costs beside the same flow in the clear, round by round."""
    return Case(f"sealed-{size}", f"{size} B, 1 k flows, out of this host, AES-128-GCM", CYCLES,
                ("flood", "--flows", "1000", "--size", str(size), *FLOOD_PORTS), contestants=("slots", "plain"), place=TUNNEL_OUT,
                own_policies={"slots": Policy(seals="aes-128-gcm")}, targets=(Target("plain", at_most=at_most),))


def _tunnel(way, place, size):
    """A VXLAN tunnel beside Open vSwitch's; `slots` has a policy, the peer none."""
    label, far = ("out of this host", "encapsulated") if place == TUNNEL_OUT else ("into this host", "decapsulated")
    return Case(f"vxlan-{way}-{size}", f"{size} B, 1 k flows, {label}: {far}", CYCLES,
                ("flood", "--flows", "1000", "--size", str(size), *FLOOD_PORTS), contestants=PLAIN, place=place,
                targets=(Target("normal", 1.5),))


ALL = (
    _flood(1, "1", 1.15, 3.0, 0.5),
    _flood(1000, "1k", 1.2, 3.5, 0.5),
    _flood(100_000, "100k", 1.3, 4.5, 2.0),
    _flood(1_000_000, "1m", 1.35, 7.0, 10.0, 1.0),
    Case("imix", "IMIX, 1 k flows", CYCLES, ("flood", "--flows", "1000", "--size", "imix", *FLOOD_PORTS)),
    Case("1518", "1518 B, 1 k flows", CYCLES, ("flood", "--flows", "1000", "--size", "1518", *FLOOD_PORTS)),
    Case("tso", "60 kB segments by TSO (Open vSwitch: 1518 B)", GBPS, ("tso", "--port", "5000"),
         own_arguments={one: ("flood", "--flows", "1000", "--size", "1518", *FLOOD_PORTS) for one in ("normal", "ct")},
         targets=(Target("normal", 1.5),)),
    Case("latency", "one packet in flight", LATENCY, ("latency", "--size", "64", "--port", "5000"), must_saturate=False,
         targets=(Target("normal", at_most=1.0), Target("normal", at_most=1.0, metric=Metric("p99_us", "us (p99)", False, 2)))),
    _crr(10, "10"), _crr(1000, "1k"), _crr(10_000, "10k"),
    *(_tunnel(way, place, size) for way, place in (("out", TUNNEL_OUT), ("in", TUNNEL_IN)) for size in (64, 1400)),
    Case("vxlan-out-tso", "60 kB segments by TSO, cut and encapsulated (Open vSwitch: 1400 B)", GBPS, ("tso", "--port", "5000",
         "--segment", "1342"), own_arguments={"normal": ("flood", "--flows", "1000", "--size", "1400", *FLOOD_PORTS)},
         contestants=PLAIN, place=TUNNEL_OUT, targets=(Target("normal", 1.5),)),
    _service("redirected", "through a service with two legs", REDIRECTED, 2.2),
    _service("bypassed", "past a service", BYPASSED, 1.05),
    _sealed(64, 2.5), _sealed(1400, 2.2),
    Case("routed", "64 B, 1 k flows, one routed hop (Open vSwitch: tables that rewrite the same)", CYCLES,
         ("flood", "--flows", "1000", "--size", "64", *FLOOD_PORTS), contestants=PLAIN, place=ROUTED,
         targets=(Target("normal", 1.3),)),
)
BY_NAME = {case.name: case for case in ALL}
CHANGE = "change"
TITLE_OF_CHANGE = "what a change costs the traffic: one rule, 10 k rules, a port, 100 k addresses"
QUICK = ("flood-1k",)


def names():
    """Everything that --cases takes."""
    return (*BY_NAME, CHANGE)


def chosen(wanted):
    """Cases by name, in the order of ALL. ValueError names one that does not exist."""
    for name in wanted:
        if name not in names():
            raise ValueError(f"no case {name!r}; there are {', '.join(names())}")
    return [case for case in ALL if case.name in wanted]
