# SPDX-License-Identifier: Apache-2.0
"""Medians and spreads of runs, and ratios of pairs of runs."""

import statistics
from dataclasses import dataclass, field

import noise


@dataclass
class Run:
    """One run of one contestant. `failure`: why it gives no figure."""

    contestant: str
    round: int
    figures: dict = field(default_factory=dict)
    busy: float | None = None
    noise: tuple = ()
    failure: str | None = None


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of `count` figures."""

    median: float
    low: float
    high: float
    count: int


def spread(values):
    """None for no values."""
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def valid(runs, contestant):
    return [run for run in runs if run.contestant == contestant and run.failure is None]


def pairs(runs, one, other):
    """(kept pairs, number left out): runs of both in the same round; left out if the machine was not in the same state."""
    of_other = {run.round: run for run in valid(runs, other)}
    both = [(run, of_other[run.round]) for run in valid(runs, one) if run.round in of_other]
    kept = [pair for pair in both if noise.are_alike(pair[0].noise, pair[1].noise)]
    return kept, len(both) - len(kept)


def ratio(runs, one, other, metric):
    """Spread of `metric` of `one` over that of `other`, pair by pair; None without a pair."""
    kept, _ = pairs(runs, one, other)
    return spread(a.figures[metric] / b.figures[metric] for a, b in kept if b.figures[metric])


def representative(runs, contestant, smallest):
    """The runs that stand in the table: those of the state in which most were made (near rather than far)."""
    all_of_it = valid(runs, contestant)
    near, far = ([run for run in all_of_it if noise.state(run.noise, smallest) == state] for state in ("near", "far"))
    return (near if len(near) >= len(far) else far) or all_of_it
