# SPDX-License-Identifier: Apache-2.0
"""`sluice upgrade` under traffic: the gap, nothing lost of the connections, and bad builds that are rolled back.

A packet each 0.5 ms goes from vm3 to vm4 all the time: what it sees is the gap. vm1 has connections to vm2, opened by real
handshakes under a default of drop. Upgrades go to this build and to one of the next schema, in turn; then to one of a schema that
nothing is in common with, and to programs that crash or hang before and after they took over.
"""

import statistics
import time

from frontend import program
from scene import mac_of
from upgrades import UpgradableScene

PORTS_A_BATCH = 200
STREAM_PPS = 2000
POLICY = {"default": "drop", "sections": [{"name": "s", "rules": [
    {"name": "web", "action": "allow", "services": ["tcp/80"]},
    {"name": "stream", "action": "allow", "services": ["udp/2000"]}]}]}


class Connections:
    """Established TCP connections from vm1 to vm2, one a source port."""

    def __init__(self, scene, count):
        self.scene = scene
        self.ports = range(10000, 10000 + count)
        self.sent = {port: 101 for port in self.ports}  # Next sequence number of each side.
        self.answered = {port: 501 for port in self.ports}
        for batch in self._batches(self.ports):
            for source, target, flags, numbers in (("vm1", "vm2", "S", {"seq": 100}),
                                                   ("vm2", "vm1", "SA", {"seq": 500, "ack": 101}),
                                                   ("vm1", "vm2", "A", {"seq": 101, "ack": 501})):
                lost = self._exchange(source, target, [self._frame(source, port, flags, **numbers) for port in batch])
                assert lost == 0, f"{lost} frames of handshakes did not arrive"

    @staticmethod
    def _batches(ports):
        ports = list(ports)
        return [ports[i:i + PORTS_A_BATCH] for i in range(0, len(ports), PORTS_A_BATCH)]

    def _frame(self, source, port, flags, **numbers):
        if source == "vm1":
            return self.scene.tcp("vm1", "vm2", port, 80, flags, **numbers)
        return self.scene.tcp("vm2", "vm1", 80, port, flags, **numbers)

    def _exchange(self, source, target, frames):
        """Sends frames; how many did not arrive as they were sent, once and in order."""
        self.scene.vms[source].send(frames, timeout=20.0)
        got = []
        while len(got) < len(frames) and (more := self.scene.vms[target].receive(len(frames) - len(got), 1.0)):
            got += more
        wanted = [bytes(one) for one in frames]
        arrived = [one.frame for one in got]
        extra = self.scene.vms[target].receive(1, 0.002)
        if arrived == wanted and not extra:
            return 0
        return max(len(wanted) - sum(one in set(arrived) for one in wanted), 1)

    def lost(self, ports=None):
        """How many connections do not pass data in both directions."""
        count = 0
        for batch in self._batches(ports or self.ports):
            there = [self._frame("vm1", port, "PA", seq=self.sent[port], ack=self.answered[port], payload=b"ping")
                     for port in batch]
            count += self._exchange("vm1", "vm2", there)
            back = [self._frame("vm2", port, "PA", seq=self.answered[port], ack=self.sent[port] + 4, payload=b"pong")
                    for port in batch]
            count += self._exchange("vm2", "vm1", back)
            for port in batch:
                self.sent[port] += 4
                self.answered[port] += 4
        return count


class Stream:
    """The packet each 0.5 ms."""

    def __init__(self, scene):
        self.scene = scene
        self.gaps = []
        self.stalls = []
        self.lost = 0

    def during(self, action):
        """What `action` returns, while the stream runs from before it to behind it."""
        scene = self.scene
        scene.vm3.start_flood(scene.udp("vm3", "vm4", 1000, 2000), pps=STREAM_PPS, receivers=[scene.vm4], measure_gap=True,
                              burst=8)
        try:
            return action()
        finally:
            for name in ("vm3", "vm4"):
                scene.daemon.wait_port(name)
            time.sleep(0.1)  # The first packet behind a gap ends it.
            results = scene.vm3.finish_flood()
            self.gaps.append(results["vm4"]["gap_ms"])
            self.stalls.append(results["vm4"]["stall_ms"])
            self.lost += results["vm3"]["sent"] + results["vm3"]["unsent"] - results["vm4"]["received"]


def judged_as_before(scene, torture):
    """A packet of no connection is dropped as ever."""
    port = torture.random.randrange(30000, 60000)
    scene.is_dropped(scene.tcp("vm1", "vm2", port, 80, "A", seq=1, ack=1), "vm1", "vm2")


def upgrades(torture, scene, connections, keeps):
    builds = [None, program("sluiced-newer")]
    stream = Stream(scene)
    told, prepared, lost = [], [], 0
    for number in torture.progress(range(torture.pick(short=6, long=100)), "upgrades"):
        done = stream.during(lambda: scene.daemon.upgrade(builds[number % 2] or program("sluiced")))
        told.append(done["gap_ms"])
        prepared.append(done["prepared_ms"])
        if keeps:
            lost += connections.lost(torture.random.sample(connections.ports, 200))
            judged_as_before(scene, torture)
    idle = Stream(scene)
    idle.during(lambda: time.sleep(statistics.median(prepared) / 1000))
    torture.figure("longest gap of the same stream without an upgrade", idle.gaps[0], "ms")
    torture.times("gap seen by a packet each 0.5 ms", stream.gaps, p99_at_most=50)
    torture.times("gap as the daemon measured it", told)
    torture.times("time to prepare", prepared)
    torture.figure("longest pause of the observer itself", max(stream.stalls), "ms")
    torture.figure("packets of the stream lost", stream.lost, exactly=0)
    if keeps:
        torture.figure("connections lost in upgrades", lost + connections.lost(), exactly=0)
    scene.daemon.assert_books_balance()


def rollbacks(torture, scene, connections, keeps):
    bad = [("of a foreign schema", program("sluiced-foreign"), "hands over by schema"),
           ("that crashes at start", scene.daemon.crashes_at_start(), "cannot open libnew.so"),
           ("that hangs", scene.daemon.hangs(), "not prepared in time"),
           ("that crashes after taking over", scene.daemon.crashes_after_go(), "has ended"),
           ("that stands still after taking over", scene.daemon.stops_after_go(), "not healthy in time")]
    lost = 0
    for what, binary, why in bad:
        stream = Stream(scene)
        said = stream.during(lambda path=binary: scene.daemon.upgrade_fails(path, within=1))
        torture.say(said)
        torture.figure(f"a build {what}: rolled back, and said why", int(why in said), exactly=1)
        # One that stands still is waited for: a second, here.
        torture.figure(f"a build {what}: gap", stream.gaps[0], "ms", at_most=1500 if "stands" in what else 500)
        if keeps:
            lost += connections.lost(torture.random.sample(connections.ports, 200))
    if keeps:
        torture.figure("connections lost in rollbacks", lost + connections.lost(), exactly=0)
    assert scene.ports_up() == {f"vm{i}": "up" for i in range(1, 5)}
    scene.daemon.assert_books_balance()


def run(torture):
    deep = {"queue_size": 1024}  # Half a second of the stream waits in a ring.
    with UpgradableScene(vms=("vm1", "vm2", "vm3", "vm4"), guests={"vm3": deep, "vm4": deep}) as scene:
        scene.apply(dfw=POLICY)
        keeps = "arena" in scene.daemon.cli("status")  # Without it connections end with their process.
        connections = Connections(scene, 2000)
        torture.say(f"{len(connections.ports)} connections, from {mac_of('vm1')} to {mac_of('vm2')}")
        pids = scene.daemon.processes()
        torture.figure("connections before", 2000 - connections.lost(), exactly=2000)
        upgrades(torture, scene, connections, keeps)
        rollbacks(torture, scene, connections, keeps)
        torture.figure("processes more than before", len(scene.daemon.processes()) - len(pids), exactly=0)
