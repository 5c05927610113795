# SPDX-License-Identifier: Apache-2.0
"""What a change costs the traffic that does not care: a flood runs, one thing changes, and what was lost, how long nothing
arrived and how throughput fell are put beside the same flood without a change."""

import statistics
import sys
import threading
import time
from dataclasses import dataclass, field

import firewall
from cases import FIREWALLED, TITLES
from load import Load
from machine import Failure
from policy import Policy, other_address

RULES = 10_000
SET_MEMBERS = 100_000
POLICY = Policy(rule_count=RULES, set_size=SET_MEMBERS)
FLOWS = {"1k": 1000, "1m": 1_000_000}
CONTESTANTS = ("slots", "normal", "ct")
CHANGES = ("none", "one rule", "10 k rules", "a port", "100 k addresses")
LOOK_EVERY_S = 0.05
BEFORE_S = 1.0
AFTER_S = 1.0
WINDOW_S = 0.25
PACKETS_MIN = 10_000
SECONDS_MAX = 60.0


def sluice_change(switch, what, turn):
    """Makes the change; returns when it is in force on the worker. `turn` makes each one different from the last."""
    if what == "one rule":
        switch.edit("set", "rule", f"app/r{turn}", patch={"services": [f"tcp/{60001 + turn}"]})
    elif what == "10 k rules":
        switch.ask("apply", POLICY.sluice_document(True, switch.socket_path, generation=turn + 1))
    elif what == "a port":
        switch.edit("add", "port", f"c{turn}", object={"port_group": "g", "socket": switch.socket_path(f"c{turn}")})
    elif what == "100 k addresses":
        members = [other_address(i + (turn + 1) * SET_MEMBERS) for i in range(SET_MEMBERS)]
        switch.edit("set", "address_set", "others", patch={"members": members})


def openflow_change(switch, what, turn):
    """The same where Open vSwitch can express it."""
    if what == "one rule" and switch.name == "ct":
        switch.run_ofctl("add-flow", POLICY.openflow_rules(turn + 1)[turn:turn + 1])
    elif what == "10 k rules" and switch.name == "ct":
        switch.run_ofctl("replace-flows", POLICY.openflow({"a": 1, "b": 2}, turn + 1))
    elif what == "a port":
        switch.add_port(f"c{turn}")
    elif what != "none":
        return False
    return True


def make_change(switch, what, turn):
    """False if this switch has no such change."""
    if hasattr(switch, "run_ofctl"):
        return openflow_change(switch, what, turn)
    sluice_change(switch, what, turn)
    return True


def is_possible(name, what):
    return what in ("none", "a port") or name == "slots" or (name == "ct" and what != "100 k addresses")


@dataclass
class Row:
    """One change on one contestant under one load: figures of all rounds."""

    contestant: str
    flows: str
    what: str
    request_ms: list = field(default_factory=list)
    lost: list = field(default_factory=list)
    gap_ms: list = field(default_factory=list)
    kept: list = field(default_factory=list)  # worst_share() of each round.
    seconds: float = BEFORE_S + AFTER_S + 2.0  # How long the load runs: longer if the change takes longer.
    failure: str | None = None


def cost_between(samples, begin, end):
    """Busy cycles of the worker a packet between two moments, from the samples nearest to them; None if it hardly moved any.
    Not packets a second: where the control thread shares a core with the load, a change slows the load, too."""
    first = [one for one in samples if one.at <= begin][-1:] or samples[:1]
    last = [one for one in samples if one.at >= end][:1] or samples[-1:]
    if not first or last[0].packets - first[0].packets < PACKETS_MIN:
        return None
    return (last[0].busy - first[0].busy) / (last[0].packets - first[0].packets)


def worst_share(samples, began, ended):
    """Cost before the change over the highest cost of any WINDOW_S from it to AFTER_S later: the part of its throughput that
    the worker keeps."""
    before = cost_between(samples, began - BEFORE_S, began)
    at, costs = began, []
    while at <= ended + AFTER_S - WINDOW_S:
        costs.append(cost_between(samples, at, at + WINDOW_S))
        at += LOOK_EVERY_S
    costs = [cost for cost in costs if cost]
    return before / max(costs) if before and costs else None


class ChangeRunner:
    """Runs all changes against the given contestants (started, standing still)."""

    def __init__(self, binaries, switches, rounds, progress):
        self._binaries, self._switches, self._rounds, self._progress = binaries, switches, rounds, progress
        self._turn = 0

    def run(self, rows, flows=tuple(FLOWS)):
        """Adds to `rows` what is finished."""
        for name, switch in self._switches.items():
            switch.resume()
            try:
                switch.forget_connections()
                switch.configure(POLICY)
                if name in FIREWALLED:
                    firewall.check(switch)
                for label in flows:
                    rows += self._under_load(switch, label)
            except Failure as failure:
                rows.append(Row(name, "", "", failure=str(failure)))
            finally:
                switch.pause()

    def _under_load(self, switch, label):
        rows = [Row(switch.name, label, what) for what in CHANGES if is_possible(switch.name, what)]
        self._flood(switch, label, 0.5, 10.0 if FLOWS[label] > 100_000 else 1.0, lambda: None)
        for number in range(self._rounds):
            for row in rows if number % 2 == 0 else reversed(rows):
                try:
                    self._one(switch, label, row)
                except Failure as failure:
                    row.failure = str(failure)
                self._progress(f"{switch.name}, {label} flows, {row.what}: round {number + 1}"
                               + (f": {row.failure}" if row.failure else ""))
        return rows

    def _one(self, switch, label, row):
        while True:
            self._turn += 1
            turn = self._turn
            samples, figures, times = self._flood(switch, label, row.seconds, 1.0, lambda: make_change(switch, row.what, turn))
            if samples[-1].at >= times[1] + AFTER_S - WINDOW_S or row.seconds >= SECONDS_MAX:
                break
            row.seconds = min(SECONDS_MAX, 2 * (times[1] - times[0]) + BEFORE_S + AFTER_S + 2.0)
        row.request_ms.append(1000 * (times[1] - times[0]))
        row.lost.append(figures["lost"])
        row.gap_ms.append(figures["gap_max_us"] / 1000)
        share = worst_share(samples, *times)
        if share is not None:
            row.kept.append(share)

    def _flood(self, switch, label, seconds, warmup, change):
        arguments = ("flood", "--flows", str(FLOWS[label]), "--size", "64", "--port", "5000-5031", "--gaps")
        load = Load(self._binaries, switch, arguments, seconds, warmup)
        changer, times, failures = None, [0.0, 0.0], []

        def make():
            times[0] = time.monotonic()
            try:
                change()
            except Failure as failure:
                failures.append(failure)
            times[1] = time.monotonic()

        while load.is_running():
            load.look()
            first = load.samples[0]
            if changer is None and len(load.samples) > 1 and time.monotonic() - first.at > warmup + BEFORE_S + 0.3:
                changer = threading.Thread(target=make)
                changer.start()
            time.sleep(LOOK_EVERY_S)
        figures = load.finish()
        if changer:
            changer.join()
        if failures:
            raise failures[0]
        return load.samples, figures, times


def run(binaries, switches, not_started, options, rows):
    """Adds to `rows` those of all contestants that take part; what did not start is among them as failed."""
    chosen = [name for name in CONTESTANTS if name in options.contestants]
    runner = ChangeRunner(binaries, {name: switches[name] for name in chosen if name in switches}, options.rounds,
                          lambda line: print(f"   change: {line}", file=sys.stderr, flush=True))
    rows += [Row(name, "", "", failure=not_started[name]) for name in chosen if name in not_started]
    runner.run(rows)


def verdicts(rows):
    """[(case, sentence, met)] for one rule that changes at a million flows; none if that was not measured. A gap counts from
    the one that the machine shows without a change."""
    found = {row.what: row for row in rows if row.contestant == "slots" and row.flows == "1m" and row.lost and not row.failure}
    if "one rule" not in found or "none" not in found or not found["one rule"].kept:
        return []
    one, none = found["one rule"], found["none"]
    kept, lost = statistics.median(one.kept), max(statistics.median(one.lost) - statistics.median(none.lost), 0)
    gap = statistics.median(one.gap_ms) - statistics.median(none.gap_ms)
    where = "one rule, 1 M flows"
    return [("change", f"{where}: throughput kept at least 90 %: {kept:.0%}", kept >= 0.9),
            ("change", f"{where}: no frame lost: {lost:.0f}", lost == 0),
            ("change", f"{where}: no gap over 1 ms more than without: {gap:+.2f} ms", gap <= 1.0)]


def text(rows):
    """The table."""
    lines = ["", "cost of change (64 B flood; medians, worst in brackets)",
             f"  {'':<21}{'flows':<7}{'change':<17}{'request ms':>11}{'lost frames':>20}{'longest gap ms':>20}"
             f"{'throughput kept':>17}"]
    for row in rows:
        if row.failure:
            lines.append(f"  {TITLES[row.contestant]:<21}{row.flows:<7}{row.what:<17}FAILED: {row.failure}")
        elif row.lost:
            request = f"{statistics.median(row.request_ms):.1f}" if row.what != "none" else "-"
            kept = f"{statistics.median(row.kept):.0%} ({min(row.kept):.0%})" if row.kept else "-"
            lines.append(f"  {TITLES[row.contestant]:<21}{row.flows:<7}{row.what:<17}{request:>11}"
                         f"{f'{statistics.median(row.lost):.0f} ({max(row.lost)})':>20}"
                         f"{f'{statistics.median(row.gap_ms):.2f} ({max(row.gap_ms):.2f})':>20}{kept:>17}")
    return "\n".join(lines)
