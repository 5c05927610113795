# SPDX-License-Identifier: Apache-2.0
"""Noisy neighbours: one VM sends the most expensive frames, a pair of others keeps its share and its latency.

One worker, one daemon. The aggressor floods in one way after the other; the victim first sends as much as it can (its part of
the worker's cycles, as the worker counted them, and its throughput beside half of what it had alone), then small
bursts at a moderate pace, each timed to the arrival of its last frame. All guests live on one thread, so that each ring is full while the worker
looks at it; times during which that thread did not run are left out. Quiet and loud turns alternate.
"""

import os
import statistics

from daemon import Daemon
from frontend import FrontendProcess
from packets import BROADCAST, frame, solicited_node
from torture import percentile

MACS = {name: f"02:00:00:00:00:{number:02x}" for number, name in enumerate(("loud", "sink", "one", "other"), 1)}
IPS = {name: f"10.0.0.{number}" for number, name in enumerate(MACS, 1)}
IP6S = {name: f"2001:db8::{number}" for number, name in enumerate(MACS, 1)}
LOUD = ["loud", "sink"]  # In a network of their own: they share the worker with the victim, and nothing else.
BYSTANDERS = 8  # Guests that never empty their receive rings.
FAIR = 0.5      # Two ports want more than they get.
PACE = 4000     # Timed bursts a second.
BURST = 16      # Frames of each.
SAMPLES = 100   # Fewer say nothing of a 99th percentile.
TRIES = 5
PARTS = (50, 95, 99)
LATE = 2.0      # Of the 99th percentile, beside quiet.
AGAIN = 4       # Times that a kind beyond it is measured again, the least counts: where the timer's interrupt takes
                # 12 to 31 us, 350 times a second, it hits 1 % of all bursts. What the switch does, it does each time.
WITHOUT_TSO = ["version_1", "mrg_rxbuf", "indirect_desc", "csum", "guest_csum", "host_tso4", "host_tso6"]
ALLOW = {"exclude": LOUD, "limits": {"connections_per_port": 0}}
MANY_RULES = 2000


def ether(target="sink", **fields):
    return frame(src=fields.pop("src", MACS["loud"]), dst=MACS.get(target, target), **fields)


def ipv4(target="sink", **fields):
    return ether(target).ipv4(IPS["loud"], IPS["sink"], **fields)


def ipv6(target="sink", **fields):
    return ether(target).ipv6(IP6S["loud"], IP6S["sink"], **fields)


def extended(count):
    """IPv6 with `count` extension headers."""
    one = ipv6()
    for number in range(count):
        one = one.ipv6_extension(0 if number == 0 else 60, bytes([1, 4]) + bytes(4))
    return one.udp(1000, 2000, b"x" * 32)


def segmented(size):
    """60 kB of TCP that the device is to cut, and its header."""
    return ipv4().tcp(1000, 80, "A", payload=bytes(60000)).offload(gso_size=size)


def rejecting():
    return {"default": "allow", "limits": {"connections_per_port": 0}, "sections": [{"name": "s", "rules": [
        {"name": "no", "action": "reject", "source": ["loud"], "services": ["udp", "tcp"]}]}]}


def logging():
    rules = [{"name": f"r{number}", "action": "drop", "source": [f"172.16.{number // 250}.{number % 250}"],
              "services": [f"tcp/{1 + number}"]} for number in range(MANY_RULES)]
    return {"default": "allow", "limits": {"connections_per_port": 0},
            "sections": [{"name": "s", "rules": [*rules, {"name": "no", "action": "drop", "source": ["loud"], "log": True}]}]}


def reading():
    return {"default": "allow", "limits": {"connections_per_port": 0}, "sections": [{"name": "s", "rules": [
        {"name": "ftp", "action": "allow", "services": ["tcp/21"], "alg": "ftp"}]}]}


TRACKED = {"default": "allow", "limits": {"connections_per_port": 0}}


class Attack:
    """What the aggressor sends: frames, how many flows of each, a virtio header, the firewall meanwhile."""

    def __init__(self, name, frames, flows=0, dfw=None, **header):
        self.name, self.flows, self.dfw, self.header = name, flows, dfw or ALLOW, header
        self.frames = [bytes(one) for one in (frames if isinstance(frames, list) else [frames])]


def attacks(random):
    """All of them."""
    big, big_header = segmented(1448)
    small, small_header = segmented(536)
    return [
        Attack("plain frames", ipv4().udp(1, 2, b"x")),
        Attack("first packets (UDP scan)", ipv4().udp(1024, 1000, b"x"), flows=40000, dfw=TRACKED),
        Attack("first packets, IPv6", ipv6().udp(1024, 1000, b"x"), flows=40000, dfw=TRACKED),
        Attack("SYN flood", ipv4().tcp(1024, 80, "S"), flows=40000, dfw=TRACKED),
        Attack("flood of ACKs of no connection", ipv4().tcp(1024, 80, "A"), flows=40000, dfw=TRACKED),
        Attack("TCP with window 0", ipv4().tcp(1024, 80, "S", window=0), flows=40000, dfw=TRACKED),
        Attack("rejected UDP (ICMP errors)", ipv4().udp(1024, 1000, b"x"), flows=40000, dfw=rejecting()),
        Attack("rejected SYNs (resets)", ipv4().tcp(1024, 80, "S"), flows=40000, dfw=rejecting()),
        Attack("logged drops behind many rules", ipv4().tcp(1024, 80, "S"), flows=40000, dfw=logging()),
        Attack("FTP that is read", ipv4().tcp(1024, 21, "S"), flows=40000, dfw=reading()),
        Attack("TSO of 60 kB cut to 1448", big, **big_header),
        Attack("TSO of 60 kB cut to 536", small, **small_header),
        Attack("broadcast", ether(BROADCAST).ipv4(IPS["loud"], "255.255.255.255").udp(1, 2, b"x" * 1000)),
        Attack("multicast", ether("01:00:5e:01:01:01").ipv4(IPS["loud"], "239.1.1.1").udp(1, 2, b"x" * 1000)),
        Attack("IGMP reports", [ether("01:00:5e:01:01:01").ipv4(IPS["loud"], f"239.1.{number}.1", protocol=2).raw(
            bytes.fromhex("1600") + bytes(2) + bytes([239, 1, number, 1])) for number in range(200)]),
        Attack("gratuitous ARP", ether(BROADCAST).arp(IPS["loud"], IPS["loud"])),
        Attack("ARP for nobody", [ether(BROADCAST).arp(IPS["loud"], f"10.0.{number}.9") for number in range(250)]),
        Attack("ND for nobody", [ether("33:33:ff:00:00:01").ipv6(IP6S["loud"], solicited_node(f"2001:db8::{number:x}"), hop_limit=255)
                                 .nd_solicit(f"2001:db8::{number:x}", MACS["loud"]) for number in range(100, 300)]),
        Attack("DHCP", ether(BROADCAST).ipv4("0.0.0.0", "255.255.255.255").udp(68, 67, bytes.fromhex("01010600") + bytes(236)
               + bytes.fromhex("63825363350101ff"))),
        Attack("ICMP errors of nothing", [ipv4().icmp(3, 1, 0, 0, bytes(ipv4().udp(number, 9, b"x" * 8))[14:])
                                          for number in range(1, 200)], dfw=TRACKED),
        Attack("last fragments only", [ipv4(ident=number, offset=1480, protocol=17).raw(b"x" * 64) for number in range(2000)]),
        Attack("first fragments only", [ipv4(ident=number, mf=True).udp(1, 2, b"x" * 64, length=2000) for number in range(2000)]),
        Attack("IPv6 fragments", [ipv6().ipv6_fragment(1480, ident=number).raw(b"x" * 64) for number in range(2000)]),
        Attack("IPv6 with 8 extension headers", extended(8)),
        Attack("oversize", ipv4().udp(1, 2, bytes(8000))),
        Attack("spoofed addresses", [ether(src=f"02:00:00:00:{number:02x}:99").ipv4(f"10.9.9.{number}", IPS["sink"]).udp(1, 2, b"x")
                                     for number in range(200)]),
        Attack("unknown destinations", [ether(f"02:99:00:00:{number:02x}:00").ipv4(IPS["loud"], IPS["sink"]).udp(1, 2, b"x")
                                        for number in range(200)]),
        Attack("broken headers", [bytes(ipv4().udp(1, 2, b"x"))[:14] + random.randbytes(40) for _ in range(500)]),
    ]


class Stage:
    """The daemon and all guests."""

    def __init__(self):
        self.daemon = Daemon(memory=192)
        self.guests = FrontendProcess()
        self.ends = {}
        raise_priority(self.daemon.pid)
        raise_priority(self.guests.pid)

    def __enter__(self):
        try:
            self.apply(ALLOW)
            names = [*MACS, *(f"by{number}" for number in range(BYSTANDERS))]
            for name in names:
                self.ends[name] = self.guests.open(name, self.daemon.vhost_socket(name), timeout=10, **self._options(name))
                self.daemon.wait_port(name)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.guests.close()
        self.daemon.__exit__(kind, value, trace)

    @staticmethod
    def _options(name):
        if name == "loud":
            return {"queue_size": 256, "flood_bytes": 64 << 20}
        if name == "sink":
            return {"queue_size": 1024, "features": WITHOUT_TSO}
        return {"queue_size": 8192} if name in MACS else {}

    def apply(self, dfw):
        ports = [self.daemon.port(name, "street" if name in LOUD else "yard", mac=MACS[name], ips=[IPS[name], IP6S[name]])
                 for name in MACS]
        ports += [self.daemon.port(f"by{number}", "street", mac=f"02:00:00:00:01:{number:02x}") for number in range(BYSTANDERS)]
        groups = [{"name": name, "switch": "dvs0", "vlan": {"mode": "access", "id": vlan},
                   "limits": {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}} for name, vlan in (("street", 10), ("yard", 20))]
        dfw = {**dfw, "timeouts": {"fragment_v4_s": 1, "fragment_v6_s": 1}}  # What waits at the end is gone soon.
        self.daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": groups, "ports": ports, "dfw": dfw})
        self.daemon.cli("flush", "conns")

    def cycles(self):
        return {row["name"]: row["cycles"] for row in self.daemon.cli("show", "ports")}

    def load(self, seconds, attack=None, demand=None):
        """Everybody's results. `demand`: the victim sends all it can; else it is timed."""
        victim = bytes(frame(src=MACS["one"], dst=MACS["other"]).ipv4(IPS["one"], IPS["other"]).udp(5, 6, bytes(18)))
        request = {"id": "one", "frames": [victim.hex()]}
        request |= {} if demand else {"pps": PACE, "timed_to": "other", "timed_count": BURST}
        others = [{"id": "other"}, request, {"id": "sink"}]
        if attack:
            others.append({"id": "loud", "frames": [one.hex() for one in attack.frames], "flows": attack.flows, **attack.header})
        lead, *rest = others
        return self.ends["one"].call("flood", seconds + 60, **lead, seconds=seconds, drain_ms=300, **{"with": rest})["results"]


def raise_priority(pid):
    """What else runs on this machine is not what is measured; where it is not allowed, it is."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), -20)
        if os.getsid(pid) == pid:  # Of its own session, which the scheduler may weigh before the thread.
            with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as group:
                group.write("-20")
    except OSError:
        pass


def shares(stage, attack, seconds):
    """(part of the cycles of both that the victim had, its frames a second, busy or not)."""
    before = stage.cycles()
    result = stage.load(seconds, attack, demand=True)
    spent = {name: cycles - before[name] for name, cycles in stage.cycles().items()}
    both = spent["one"] + spent["loud"]
    return spent["one"] / both if both else 1.0, result["one"]["sent_pps"]


def latency(stage, attack, seconds):
    """Nanoseconds of each timed burst. Again, a few times, where too few could be timed."""
    samples = []
    for _ in range(TRIES):
        samples += stage.load(seconds, attack)["one"].get("latencies_ns", [])
        if len(samples) >= SAMPLES:
            break
    return samples


def latencies(stage, attack, seconds):
    """(percentiles PARTS beside quiet, the same in words)."""
    quiet, loud = [], []
    for _ in range(2):
        quiet += latency(stage, None, seconds)
        loud += latency(stage, attack, seconds)
    ratios = [percentile(loud, part) / percentile(quiet, part) for part in PARTS]
    text = ", ".join(f"p{part} {percentile(quiet, part) / 1e3:.1f} -> {percentile(loud, part) / 1e3:.1f} us" for part in PARTS)
    return ratios, f"{text} ({ratios[-1]:.2f})"


def measure(torture, stage, attack):
    """One kind: part of the fair share that the victim had (1: or all that it wanted), latencies beside quiet."""
    demand_s, pace_s = torture.pick(short=(0.2, 0.15), long=(2.0, 5.0))
    stage.apply(attack.dfw)
    _, quiet_pps = shares(stage, None, demand_s)
    part, pps = shares(stage, attack, demand_s)
    late = latencies(stage, attack, pace_s)
    for _ in range(AGAIN):
        if late[0][-1] <= LATE:
            break
        late = min(late, latencies(stage, attack, pace_s), key=lambda one: one[0][-1])
    torture.say(f"{attack.name}: {part:.2f} of the cycles, {pps / quiet_pps:.2f} of the throughput, {late[1]}")
    return max(part / FAIR, pps / quiet_pps), *late[0]


def run(torture):
    kinds = attacks(torture.random)
    with Stage() as stage:
        for attack in kinds[1:3]:  # Tables take their memory from the system once, a page at a time: no frame's cost.
            stage.apply(attack.dfw)
            stage.load(0.3, attack, demand=True)
        figures = {attack.name: measure(torture, stage, attack) for attack in kinds}
        parts, *ratios = zip(*figures.values())
        torture.figure("kinds of noise", len(parts), at_least=25)
        torture.figure("least of what the victim had of its fair share of cycles, or of all that it wanted", min(parts),
                       at_least=0.9, timed=True)
        for part, each in zip(PARTS, ratios):
            torture.figure(f"victim's p{part} latency beside quiet, median of all kinds", statistics.median(each), at_most=LATE,
                           timed=True)
            torture.figure(f"victim's p{part} latency beside quiet, most", max(each), at_most=LATE, timed=True)
        stage.daemon.assert_books_balance(timeout=10)
        status = stage.daemon.cli("status")["buffers"]
        torture.figure("buffers in use at the end", status["total"] - status["free"], exactly=0)
