# SPDX-License-Identifier: Apache-2.0
"""A VM moves between two hosts under TCP load: no reset, no connection lost, no dirty page unmarked, stragglers sent on."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system" / "lib"))

from migration import Site, Talk  # noqa: E402  pylint: disable=wrong-import-position

FLOOD_PPS = 400  # Of each of three senders: what a front-end in Python can count.
FLOOD_MARK = b"under load......"
SECTIONS = [{"name": "app", "rules": [{"name": "web", "action": "allow", "services": ["tcp/80"]}]}]


def talks_of(site, count):
    """Connections each way between the VM that moves and each that stays."""
    talks = []
    for host in site.HOSTS:
        for number in range(count):
            talks.append(Talk(site.peer(host), site.vm, 40000 + number))
            talks.append(Talk(site.vm, site.peer(host), 20000 + 1000 * host + number))
    return talks


class Load:
    """TCP from all that stay to the VM, on connections of their own, while it moves."""

    def __init__(self, site):
        self.site = site
        self.talks = [Talk(site.peer(host), site.vm, 50000) for host in site.HOSTS]
        site.establish(self.talks)
        self.received = 0

    def begin(self):
        self.received = 0
        frames = {talk.ends[0].front_end: [talk.segment(0, "PA", FLOOD_MARK)] for talk in self.talks}
        first, *others = frames
        first.start_flood(frames[first], pps=FLOOD_PPS, senders={one: frames[one] for one in others})

    def take(self, seconds):
        """Reads what comes for so long; the time of the first."""
        first, deadline = None, time.monotonic() + seconds
        while time.monotonic() < deadline:
            for one in self.site.vm.front_end.receive(512, 0.01):
                first = first or time.monotonic()
                self.site.note(one.frame)
                self.received += FLOOD_MARK in one.frame
        return first

    def end(self):
        """Packets that were sent and did not arrive."""
        results = self.talks[0].ends[0].front_end.finish_flood()
        self.take(0.3)
        return sum(one["sent"] for one in results.values()) - self.received


def move_once(site, load, talks):
    """One move under load: (gap in ms, packets lost, log, connections lost)."""
    load.begin()
    load.take(0.1)
    site.vm.front_end.start_log()
    site.carry()
    load.take(0.1)
    log = {}
    stopped = site.switch_over(lambda: log.update(site.vm.front_end.check_log()))
    first = load.take(0.4)
    lost = load.end()
    assert first is not None, "nothing arrived after the move"
    dead = site.exchange(talks)
    return (first - stopped) * 1000, lost, log, dead


def run(torture):
    with Site(sections=SECTIONS) as site:
        talks = talks_of(site, torture.pick(short=20, long=100))
        site.establish(talks)
        load = Load(site)
        gaps, losses, lost_connections, changed, unmarked, straggled = [], [], 0, 0, 0, 0
        for _ in torture.progress(range(torture.pick(short=3, long=100)), "moves"):
            gap, lost, log, dead = move_once(site, load, talks)
            gaps.append(gap)
            losses.append(lost)
            lost_connections += len(dead)
            changed, unmarked = changed + log["changed"], unmarked + log["unmarked"]
            straggled += sum(row["packets"] for row in site.target.cli("show", "moved"))
        torture.figure("connections that went along", len(talks) + len(load.talks), at_least=100)
        torture.figure("connections lost", lost_connections, exactly=0)
        torture.figure("resets", site.resets, exactly=0)
        torture.times("gap from the VM's stop to its first packet", gaps)
        torture.figure("packets lost in a move, of 1200 a second", max(losses))
        torture.figure("segments sent again", site.retransmitted)
        torture.figure("pieces of pages that the switch wrote while logging", changed, at_least=len(gaps))
        torture.figure("of these on pages that the log does not mark", unmarked, exactly=0)
        torture.figure("stragglers sent on", straggled, at_least=1)
        site.wait_quiet(2)
        site.target.cli("port", "del", "vm1")
        near = [talk for talk in talks if site.peer(3) not in talk.ends]  # Host 3 believes in the old place for ever.
        dead = site.exchange(near)
        torture.figure("connections lost when the old port is deleted", len(dead), exactly=0)
        for daemon in site.daemons.values():
            daemon.assert_books_balance()
