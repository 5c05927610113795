# SPDX-License-Identifier: Apache-2.0
"""Medians, pairs and noise states; how busy a worker was; what pmd-stats-show says; the worst moment of a change."""

import pytest

import change
import load
import noise
from machine import Failure
from statistics_of_runs import Run, pairs, ratio, representative, spread
from switch import Sample
from switch_ovs import parse_pmd_stats

NEAR, FAR, CHANGED = (140, 150), (830, 850), (140, 830)
PMD_STATS = """pmd thread numa_id 0 core_id 1:
  packets received: 123456
  packet recirculations: 7
  avg. datapath passes per packet: 1.00
  phwol hits: 0
  emc hits: 120000
  avg. subtable lookups per megaflow hit: 1.00
  avg. packets per output batch: 31.98
  idle cycles: 2500 (25.00%)
  processing cycles: 7500 (75.00%)
  avg cycles per packet: 1.00 (10000/123456)
main thread:
  packets received: 9
  idle cycles: 1 (0.00%)
"""


def run(contestant, number, value=100.0, around=NEAR, failure=None):
    return Run(contestant, number, {"x": value}, 0.99, around, failure)


def test_spread_has_the_median_of_an_even_number():
    assert spread([4.0, 1.0, 3.0, 2.0]) == spread([1.0, 2.0, 3.0, 4.0])
    assert (spread([4.0, 1.0, 3.0, 2.0]).median, spread([1.0]).count) == (2.5, 1)
    assert spread([]) is None


def test_runs_of_one_round_in_one_state_make_a_pair():
    runs = [run("a", 0), run("b", 0), run("a", 1, around=FAR), run("b", 1, around=FAR), run("a", 2), run("b", 3)]
    kept, left_out = pairs(runs, "a", "b")
    assert ([(one.round, other.round) for one, other in kept], left_out) == ([(0, 0), (1, 1)], 0)


@pytest.mark.parametrize("one, other", [(NEAR, FAR), (NEAR, CHANGED), (CHANGED, CHANGED)])
def test_runs_in_different_states_are_left_out_and_counted(one, other):
    assert pairs([run("a", 0, around=one), run("b", 0, around=other)], "a", "b") == ([], 1)


def test_a_run_without_a_figure_makes_no_pair():
    assert pairs([run("a", 0), run("b", 0, failure="the load was the bottleneck")], "a", "b") == ([], 0)


def test_ratio_is_the_median_of_the_ratios_of_pairs():
    runs = [run("a", i, value) for i, value in enumerate((100.0, 200.0, 300.0))]
    runs += [run("b", i, value) for i, value in enumerate((100.0, 100.0, 100.0))]
    assert ratio(runs, "a", "b", "x").median == 2.0
    assert ratio(runs, "a", "nobody", "x") is None


def test_states():
    assert [noise.state(around, 135) for around in (NEAR, FAR, CHANGED)] == ["near", "far", "changing"]
    assert noise.are_alike(NEAR, NEAR) and not noise.are_alike(NEAR, FAR)


def test_the_table_shows_the_state_in_which_most_runs_were_made():
    far = [run("a", i, around=FAR) for i in range(3)]
    assert representative([run("a", 9), *far], "a", 135) == far
    even = [run("a", 0), run("a", 1, around=FAR)]
    assert representative(even, "a", 135) == even[:1]
    unsteady = [run("a", 0, around=CHANGED)]
    assert representative(unsteady, "a", 135) == unsteady


def samples(*steps):
    """Samples 0.2 s apart; a step is (busy, idle, packets) of it."""
    found, now = [Sample(0, 0, 0, 0.0)], Sample(0, 0, 0, 0.0)
    for busy, idle, packets in steps:
        now = Sample(now.busy + busy, now.idle + idle, now.packets + packets, now.at + 0.2)
        found.append(now)
    return found


def test_busy_share_is_that_of_the_measured_seconds():
    seen = samples((10, 90, 5), *[(98, 2, 50)] * 5, (10, 90, 5))
    assert load.busy_share(seen, 1.0) == pytest.approx(0.98)


def test_busy_share_of_too_little_is_unknown():
    assert load.busy_share(samples(), 1.0) is None
    assert load.busy_share(samples((0, 0, 0)), 1.0) is None


def test_pmd_stats_are_those_of_the_pmd_thread():
    assert parse_pmd_stats(PMD_STATS) == (7500, 2500, 123456)


@pytest.mark.parametrize("text, why", [("", "0 PMD threads"), (PMD_STATS + PMD_STATS, "2 PMD threads"),
                                       (PMD_STATS.replace("idle cycles", "lazy cycles"), "no 'idle cycles'")])
def test_pmd_stats_that_make_no_sense_are_refused(text, why):
    with pytest.raises(Failure, match=why):
        parse_pmd_stats(text)


def every_50_ms(*steps):
    """As samples(), so often that a window holds several."""
    found = [Sample(0, 0, 0, 0.0)]
    for busy, idle, packets in steps:
        last = found[-1]
        found.append(Sample(last.busy + busy, last.idle + idle, last.packets + packets, last.at + 0.05))
    return found


STEADY, SLOW, STARVED = (1_000_000, 0, 10_000), (2_000_000, 0, 10_000), (100_000, 900_000, 1_000)


def test_the_worst_moment_after_a_change_is_found():
    seen = every_50_ms(*[STEADY] * 40, *[SLOW] * 10, *[STEADY] * 40)  # The change at 2 s.
    assert change.worst_share(seen, 2.0, 2.1) == pytest.approx(0.5)
    assert change.worst_share(every_50_ms(*[STEADY] * 90), 2.0, 2.1) == pytest.approx(1.0)


def test_a_load_that_stands_still_is_not_charged_to_the_switch():
    seen = every_50_ms(*[STEADY] * 40, *[STARVED] * 10, *[STEADY] * 40)
    assert change.worst_share(seen, 2.0, 2.1) == pytest.approx(1.0)
