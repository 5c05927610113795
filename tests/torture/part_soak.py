# SPDX-License-Identifier: Apache-2.0
"""Packets by the thousand million while ports, rules and connections come and go: nothing leaks, everything is free at the end.

Two guests flood each other with many flows; beside that ports are plugged in and out, documents change, connections are
flushed, guests reconnect. Memory is the daemon's anonymous memory, looked at once a round; its slope is taken over the second
half of the rounds, when tables have grown to their size.
"""

import time

from conditions import eventually
from control import anonymous_kb, open_files
from scene import Scene, ip_of

FLOWS = 2000
PACKETS_LONG = 1_000_000_000
SECONDS_LONG = 66 * 60  # Half of it is looked at: enough to speak of an hour.
ROUNDS_MIN = 8
CHURNED = ("vm3", "vm4")
SLOPE_MB_PER_HOUR = 1.0


def policy(random, number):
    """Rules that let the flood pass, one way or other, and differ from round to round."""
    rules = [{"name": f"r{number}-{i}", "action": random.choice(("allow", "drop", "reject")), "direction": "both",
              "services": [f"tcp/{random.randrange(1, 9999)}"], "log": False} for i in range(random.randrange(40))]
    rules.append({"name": "flood", "action": "allow", "services": ["udp"]})
    return {"default": random.choice(("allow", "drop")), "sections": [{"name": f"s{number}", "rules": rules}]}


def slope_per_hour(samples):
    """Least squares over (seconds, KB): MB an hour."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread * 3600 / 1024 if spread else 0.0


def received(scene):
    return scene.daemon.cli("show", "drops", "--audit")["received"]


def all_free(scene):
    buffers = scene.daemon.cli("status")["buffers"]
    return buffers["free"] == buffers["total"]


def churn(scene, torture, number):
    """One round of changes under load."""
    document = scene.document(dfw=policy(torture.random, number))
    document["ports"] += [scene.daemon.port(name, "net", mac=f"02:00:00:00:01:{n:02x}", ips=[ip_of(name)])
                          for n, name in enumerate(CHURNED) if torture.random.random() < 0.5]
    scene.daemon.apply(document)
    if torture.random.random() < 0.3:
        scene.daemon.cli("flush", "conns")
    if torture.random.random() < 0.1:
        scene.daemon.cli("rollback")
    for what in (("show", "conns"), ("show", "ports"), ("export",)):
        scene.daemon.cli(*what)


def run(torture):
    wanted, seconds = torture.pick(short=2_000_000, long=PACKETS_LONG), torture.pick(short=0, long=SECONDS_LONG)
    with Scene() as scene:
        daemon = scene.daemon
        scene.apply(dfw=policy(torture.random, 0))
        fds = open_files(daemon.pid)
        samples, rounds, began, said = [], 0, time.monotonic(), 0.0
        while (done := received(scene)) < wanted or rounds < ROUNDS_MIN or time.monotonic() - began < seconds:
            part = min(done / wanted, (time.monotonic() - began) / seconds if seconds else 1.0)
            if part >= said:
                torture.say(f"{done} of {wanted} packets, {rounds} rounds, {anonymous_kb(daemon.pid) // 1024} MB")
                said += 0.1
            udp = [scene.udp("vm1", "vm2", sport=1000 + rounds % 40000).pad(60)]
            back = {scene.vm2: [scene.udp("vm2", "vm1", sport=1000 + rounds % 40000).pad(60)]}
            scene.vm1.start_flood(udp, flows=FLOWS, senders=back)
            for step in range(3):
                churn(scene, torture, 3 * rounds + step)
            scene.vm1.finish_flood()
            if rounds % 7 == 6:
                scene.vm2.reconnect()
                daemon.wait_port("vm2")
            rounds += 1
            samples.append((time.monotonic() - began, anonymous_kb(daemon.pid)))
        scene.apply(dfw={"default": "allow"})
        daemon.cli("flush", "conns")
        eventually(lambda: all_free(scene), "every packet buffer free", 10.0)
        audit = daemon.assert_books_balance()
        status = daemon.cli("status")
        torture.figure("packets", audit["received"], at_least=wanted)
        torture.figure("rounds of changes", rounds, at_least=ROUNDS_MIN)
        torture.figure("packets a second, with the changes", int(audit["received"] / samples[-1][0]))
        torture.figure("packet buffers in use at the end", status["buffers"]["total"] - status["buffers"]["free"], exactly=0)
        torture.figure("connections at the end", status["connections"], exactly=0)
        torture.figure("frames unaccounted for", audit["unaccounted"], exactly=0)
        eventually(lambda: open_files(daemon.pid) <= fds, "no descriptor more than at the start", 10.0)
        torture.figure("descriptors more than at the start", open_files(daemon.pid) - fds, at_most=0)
        late = samples[len(samples) // 2:]
        hours = (late[-1][0] - late[0][0]) / 3600
        slope = slope_per_hour(late) if len(late) > 2 else 0.0
        torture.figure("time over which memory was watched", hours * 60, "min")
        bound = {"at_most": SLOPE_MB_PER_HOUR} if hours >= 0.5 else {}  # Minutes say nothing on hours.
        torture.figure("slope of anonymous memory", slope, "MB/h", **bound)
