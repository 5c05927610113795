# SPDX-License-Identifier: Apache-2.0
"""What is printed, written and returned: figures, failures in place of figures, targets, a chart that is XML."""

import json
import xml.etree.ElementTree as ElementTree

import chart
import pytest
from cases import BY_NAME
from change import Row
from report import Report
from rounds import Result, Settings
from statistics_of_runs import Run

CYCLES = {"floor": 90.0, "slots": 150.0, "few": 160.0, "empty": 140.0, "normal": 185.0, "ct": 600.0}


def result(name="flood-1k", without=(), **figures):
    made = Result(BY_NAME[name])
    metric = made.case.metric.name
    for contestant in made.case.contestants:
        if contestant not in without:
            made.runs += [Run(contestant, i, {metric: {**CYCLES, **figures}[contestant] + i, "p99_us": 9.0}, 0.99, (140, 141))
                          for i in range(5)]
    return made


def report(*results, rows=()):
    return Report(results, [140, 141, 830], Settings(), 0, rows)


def rectangles(svg):
    return [node for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")]


def test_medians_and_ratios_are_in_the_table():
    text = report(result()).text()
    assert "Sluice, slots 0-2" in text and "152 " in text
    assert "1.23 x" in text and "5, -0" in text


def test_targets_are_met_or_missed_and_neither_makes_a_run_invalid():
    good, bad = report(result()), report(result(slots=178.0))
    words = [line.split()[0] for line in good.text().splitlines() if line[2:9] in ("met    ", "MISSED ")]
    assert words == ["met", "met", "MISSED"]
    assert [met for _, _, met in bad.verdicts()] == [False, False, False]
    assert good.is_valid() and bad.is_valid()


def test_a_contestant_that_failed_has_a_reason_and_no_number():
    made = result(without=("ct",))
    made.failures["ct"] = "the firewall test of ct failed: telnet arrived"
    broken = report(made)
    assert not broken.is_valid()
    assert "FAILED: the firewall test of ct failed: telnet arrived" in broken.text()
    assert broken.spread_of(made, "ct") is None and broken.advantage(made, "ct") is None
    row = broken.json()["cases"][0]["contestants"]["ct"]
    assert row["figure"] is None and row["failure"].startswith("the firewall test")
    assert [met for _, text, met in broken.verdicts() if "ct" in text] == [None]


def test_figures_of_a_contestant_that_failed_are_not_shown_even_if_there_are_runs():
    made = result()
    made.failures["slots"] = "1 of 5 runs are valid: the load was the bottleneck (worker 80% busy)"
    text = report(made).text()
    assert "152 " not in text and "FAILED: 1 of 5" in text


def test_nothing_measured_is_not_valid():
    assert not report().is_valid()
    assert not Report([result()], [140], Settings(), 0, is_complete=False).is_valid()


def test_latency_is_better_if_lower_and_rates_if_higher():
    faster = report(result("latency"))
    assert faster.advantage(faster.results[0], "normal").median == pytest.approx(187 / 152, abs=0.01)
    rate = report(result("crr-10", slots=900.0, ct=220.0))
    assert rate.advantage(rate.results[0], "ct").median == pytest.approx(902 / 222, abs=0.01)
    assert rate.verdicts()[0][2]


def test_ten_thousand_rules_are_compared_with_ten_round_by_round():
    assert [met for _, _, met in report(result("crr-10k", slots=950.0, few=1000.0)).verdicts()] == [True]
    assert [met for _, _, met in report(result("crr-10k", slots=850.0, few=1000.0)).verdicts()] == [False]
    assert [met for _, _, met in report(result("crr-10k", without=("few",))).verdicts()] == [None]


def test_files_are_json_and_svg(tmp_path):
    made = report(result(), result("imix"))
    made.write(tmp_path / "out")
    written = json.loads((tmp_path / "out/bench.json").read_text())
    assert written["valid"] and len(written["cases"][0]["runs"]) == 25
    assert written["cases"][0]["contestants"]["slots"]["figure"]["median"] == 152
    assert len(rectangles((tmp_path / "out/bench.svg").read_text())) == 1 + 5 + 10  # Ground, legend, bars.


def test_the_chart_says_failed_where_there_is_no_figure():
    made = result()
    made.failures["ct"] = "<did & not start>"
    svg = chart.draw(report(made))
    assert len(rectangles(svg)) == 1 + 5 + 4 and ">failed</text>" in svg


@pytest.mark.parametrize("highest", [0.0, 0.3, 3.7, 85.0, 600.0, 1_370_000.0])
def test_ticks_reach_the_highest_bar_and_are_few(highest):
    marks = chart.ticks(highest)
    assert marks[0] == 0 and marks[-1] >= highest and 2 <= len(marks) <= 7


def test_one_rule_at_a_million_flows_is_judged_by_the_same_without_a_change():
    none = Row("slots", "1m", "none", [0], [5], [4.0], [1.0])
    good = Row("slots", "1m", "one rule", [3.0], [5], [4.9], [0.95])
    bad = Row("slots", "1m", "one rule", [3.0], [6], [5.1], [0.89])
    assert [met for _, _, met in report(rows=[none, good]).verdicts()] == [True, True, True]
    assert [met for _, _, met in report(rows=[none, bad]).verdicts()] == [False, False, False]
    assert report(rows=[good]).verdicts() == []


def test_a_failed_change_is_told_and_not_valid():
    rows = [Row("slots", "1k", "one rule", [3.0], [0], [0.4], [0.98]), Row("ct", "", "", failure="it did not start")]
    text = report(rows=rows).text()
    assert "one rule" in text and "98% (98%)" in text and "FAILED: it did not start" in text
    assert not report(rows=rows).is_valid() and report(rows=rows[:1]).is_valid()
