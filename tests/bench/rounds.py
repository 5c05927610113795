# SPDX-License-Identifier: Apache-2.0
"""Runs one case: every contestant in turns, round after round, all others standing still, until enough pairs of runs were
made while the machine was in one state."""

import time
from dataclasses import dataclass, field

import firewall
import load
from cases import FIREWALLED
from machine import Failure
from places import HOST
from statistics_of_runs import Run, pairs, valid
from switch_ovs import VARIANTS

BUSY_MIN = 0.95
TAKEN_MAX = 0.05
EXTRA_ROUNDS = 2  # At most this many times the rounds that were asked for.


@dataclass
class Result:
    """All runs of a case. failures: contestant -> why it has no figure. notes: contestant -> how it was set."""

    case: object
    runs: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
    skipped: list = field(default_factory=list)

    def pairs_left_out(self, one, other):
        return pairs(self.runs, one, other)[1]


@dataclass(frozen=True)
class Settings:
    """As the command line gives them."""

    rounds: int = 5
    seconds: float = 3.0
    tries_variants: bool = True
    checks_firewall: bool = True


def figures_of(result):
    """The load's JSON with what tables show of it."""
    figures = dict(result)
    if figures.get("pps"):
        figures["cycles_per_packet"] = figures["tsc_hz"] / figures["pps"]
    for name in ("p50", "p99", "p999"):
        if f"{name}_ns" in figures:
            figures[f"{name}_us"] = figures[f"{name}_ns"] / 1000
    return figures


def why_not_counted(case, figures):
    """None if the run counts."""
    busy, stalled = figures["busy"], figures.get("load_stalled_share", 0)
    if case.must_saturate and (busy is None or busy < BUSY_MIN):
        taken = f"; the load lost its core for {stalled:.0%} of the time" if stalled > TAKEN_MAX else ""
        return f"the load was the bottleneck (worker {'unknown' if busy is None else f'{busy:.0%} busy'}{taken})"
    if figures["worker_waited_share"] > TAKEN_MAX:
        return f"other processes took {figures['worker_waited_share']:.0%} of the worker's core"
    return None if figures.get(case.metric.name) else f"sluice-load gave no {case.metric.name}"


class CaseRunner:
    """Runs cases against the given contestants (started, standing still)."""

    def __init__(self, binaries, switches, settings, progress, noise_seen):
        self._binaries, self._switches, self._settings, self._progress = binaries, switches, settings, progress
        self.noise_seen = noise_seen  # Every figure is added here.

    def noise(self):
        """Now; all contestants stand still."""
        self.noise_seen.append(load.measure_noise(self._binaries))
        return self.noise_seen[-1]

    def run(self, case):
        result = Result(case)
        names = [name for name in case.contestants if name in self._switches]
        for name in list(names):
            try:
                self._prepare(case, self._switches[name], result)
            except Failure as failure:
                result.failures[name] = str(failure)
                names.remove(name)
        self._rounds(case, names, result)
        for name in names:
            self._judge(name, result)
        return result

    def _rounds(self, case, names, result):
        wanted, number = self._settings.rounds, 0
        before = self.noise() if names else 0
        while names and number < EXTRA_ROUNDS * wanted:
            if number >= wanted and self._has_enough(result, names, wanted):
                break
            for name in names if number % 2 == 0 else reversed(names):  # There and back: drift meets all alike.
                run = self._one(case, self._switches[name], number)
                after = self.noise()
                run.noise = (before, after)
                before = after
                result.runs.append(run)
                self._progress(case, run)
            number += 1

    @staticmethod
    def _has_enough(result, names, wanted):
        """Pairs of Sluice and each other contestant; more rounds do not help one that fails every time."""
        first = "slots" if "slots" in names else names[0]
        return all(len(pairs(result.runs, first, other)[0]) >= wanted or not valid(result.runs, other)
                   for other in names if other != first) or not valid(result.runs, first)

    def _prepare(self, case, switch, result):
        """Policy, proof that it holds, best settings, full tables."""
        switch.resume()
        try:
            switch.forget_connections()  # What an earlier case opened may be answered, and the test below would call that a hole.
            switch.configure(case.policy_for(switch.name), case.place_for(switch.name))
            if switch.name in FIREWALLED and case.place_for(switch.name) == HOST and self._settings.checks_firewall:
                self._progress(case, None, f"{switch.name}: firewall test")
                firewall.check(switch)
            self._progress(case, None, f"{switch.name}: filling tables")
            self._load(case, switch, 0.5, case.fill_s)
            switch.prove(case.policy_for(switch.name), case.place_for(switch.name))
            if hasattr(switch, "use_variant"):
                result.notes[switch.name] = self._best_variant(case, switch)
        finally:
            switch.pause()

    def _best_variant(self, case, switch):
        """The settings of the peer's caches with which it is best here."""
        if not self._settings.tries_variants:
            return switch.variant or "default"
        best = {}
        for variant in VARIANTS:
            switch.use_variant(variant)
            self._progress(case, None, f"{switch.name}: trying {variant}")
            value = self._load(case, switch, 0.7, 0.5)[case.metric.name]
            best[variant] = value if case.metric.higher_is_better else -value
        switch.use_variant(max(best, key=best.get))
        return switch.variant

    def _one(self, case, switch, number):
        run = Run(switch.name, number)
        try:
            switch.resume()
            figures = self._load(case, switch, self._settings.seconds, case.warmup_s)
            run.busy = figures["busy"]
            run.figures = figures
            run.failure = why_not_counted(case, figures)
        except Failure as failure:
            run.failure = str(failure)
        finally:
            switch.pause()
        return run

    def _load(self, case, switch, seconds, warmup):
        if case.forgets:
            switch.forget_connections()
        return figures_of(load.Load(self._binaries, switch, case.arguments_for(switch.name), seconds, warmup,
                                    case.policy_for(switch.name), case.place_for(switch.name)).finish())

    def _judge(self, name, result):
        """A contestant has a figure if at least half of its rounds do."""
        runs = [run for run in result.runs if run.contestant == name]
        good = valid(runs, name)
        if 2 * len(good) < max(1, min(len(runs), self._settings.rounds)):
            last = next((run.failure for run in reversed(runs) if run.failure), "no run")
            result.failures[name] = f"{len(good)} of {len(runs)} runs are valid: {last}"


class Clock:
    """Time left, from how long runs took so far."""

    def __init__(self, total):
        self._total, self._done, self._began = total, 0, time.monotonic()

    def step(self):
        self._done += 1

    def left(self):
        """Seconds; None before the first run."""
        if not self._done:
            return None
        return (time.monotonic() - self._began) / self._done * max(0, self._total - self._done)
