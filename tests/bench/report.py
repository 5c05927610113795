# SPDX-License-Identifier: Apache-2.0
"""What a run of the benchmark says: a table, JSON, a chart, and whether the targets are met."""

import json
import time
from dataclasses import asdict

import change
import chart
import noise
from cases import TITLES
from statistics_of_runs import pairs, ratio, representative, spread, valid

COLUMNS = (("", 20), ("median", 12), ("spread", 21), ("over floor", 12), ("slots are", 11), ("spread", 13), ("pairs", 9),
           ("state", 10), ("busy", 6))


class Report:
    """Results of all cases, in one place."""

    def __init__(self, results, noise_seen, settings, began, change_rows=(), is_complete=True,
                 smallest_before=None):
        self.results, self.settings, self._noise, self._began = results, settings, noise_seen, began
        self.change_rows, self.is_complete = list(change_rows), is_complete
        self._smallest = min([*noise_seen, *([smallest_before] if smallest_before else [])], default=0)

    def is_valid(self):
        """False if any contestant of any case has no figure, or not everything was run."""
        failed = any(result.failures for result in self.results) or any(row.failure for row in self.change_rows)
        return self.is_complete and bool(self.results or self.change_rows) and not failed

    # Figures

    def spread_of(self, result, contestant, metric=None):
        """Spread of a contestant's figures; None if it failed."""
        if contestant in result.failures:
            return None
        name = (metric or result.case.metric).name
        runs = representative(result.runs, contestant, self._smallest)
        return spread(run.figures[name] for run in runs if name in run.figures)

    def advantage(self, result, other, metric=None):
        """How many times better Sluice with slots 0-2 is than `other`, pair by pair; None if either has no figure."""
        metric = metric or result.case.metric
        if "slots" in result.failures or other in result.failures:
            return None
        if metric.higher_is_better:
            return ratio(result.runs, "slots", other, metric.name)
        return ratio(result.runs, other, "slots", metric.name)

    def verdicts(self):
        """[(case, sentence, met: True, False, or None where a figure is missing)] for each target."""
        seen = [(result.case.name, *self._verdict(result, target)) for result in self.results for target in result.case.targets]
        return seen + change.verdicts(self.change_rows)

    def _verdict(self, result, target):
        metric = target.metric or result.case.metric
        seen = self.advantage(result, target.other, metric)
        bound = f"most {target.at_most:g}" if target.at_most else f"least {target.factor:g}"
        text = f"{metric.unit}: at {bound} x {TITLES[target.other]}"
        if seen is None:
            return f"{text}: not measured", None
        value = 1 / seen.median if target.at_most else seen.median
        return f"{text}: {value:.2f} x", value <= target.at_most if target.at_most else value >= target.factor

    # Text

    def text(self):
        parts = [self._case_text(result) for result in self.results]
        parts += [change.text(self.change_rows)] if self.change_rows else []
        return "\n".join([*parts, self._targets_text(), self._noise_text()])

    def _case_text(self, result):
        metric = result.case.metric
        lines = ["", f"{result.case.name}: {result.case.title} ({metric.unit})",
                 "  " + "".join(f"{name:<{width}}" for name, width in COLUMNS)]
        for name in result.case.contestants:
            if name in result.failures:
                lines.append(f"  {TITLES[name]:<20}FAILED: {result.failures[name]}")
            elif any(run.contestant == name for run in result.runs):
                lines.append("  " + "".join(f"{text:<{width}}" for text, (_, width) in
                                            zip(self._row(result, name), COLUMNS)).rstrip())
        notes = ", ".join(f"{TITLES[name]}: {note}" for name, note in result.notes.items() if name not in result.failures)
        return "\n".join(lines + ([f"  best cache settings: {notes}"] if notes else []))

    def _row(self, result, name):
        metric, figures = result.case.metric, self.spread_of(result, name)
        floor = self.spread_of(result, "floor")
        digits = metric.digits
        over = f"{figures.median / floor.median:.2f} x" if floor and not metric.higher_is_better else "-"
        better = self.advantage(result, name) if name != "slots" else None
        kept, left_out = pairs(result.runs, "slots", name) if name != "slots" else ([], 0)
        states = {noise.state(run.noise, self._smallest) for run in representative(result.runs, name, self._smallest)}
        busy = spread(run.busy for run in valid(result.runs, name) if run.busy is not None)
        return (TITLES[name], f"{figures.median:,.{digits}f}", f"{figures.low:,.{digits}f}-{figures.high:,.{digits}f}", over,
                f"{better.median:.2f} x" if better else "-", f"{better.low:.2f}-{better.high:.2f}" if better else "-",
                f"{len(kept)}, -{left_out}" if name != "slots" else "-", "/".join(sorted(states)),
                f"{busy.median:.0%}" if busy else "-")

    def _targets_text(self):
        rows = self.verdicts()
        if not rows:
            return ""
        word = {True: "met", False: "MISSED", None: "open"}
        return "\ntargets of Sluice with slots 0-2\n" + "\n".join(f"  {word[met]:<8}{case:<16}{text}" for case, text, met in rows)

    def _noise_text(self):
        if not self._noise:
            return ""
        near = sum(noise.state((one,), self._smallest) == "near" for one in self._noise)
        left = sum(run.failure is not None for result in self.results for run in result.runs)
        return (f"\nround trip of a cache line between the cores: {min(self._noise):.0f} to {max(self._noise):.0f} cycles, "
                f"near in {near} of {len(self._noise)} looks; runs not counted: {left}")

    # Files

    def json(self):
        cases = []
        for result in self.results:
            contestants = {}
            for name in result.case.contestants:
                figures, better = self.spread_of(result, name), self.advantage(result, name) if name != "slots" else None
                contestants[name] = {"title": TITLES[name], "figure": figures and asdict(figures),
                                     "slots_are_times_better": better and asdict(better),
                                     "pairs_left_out": result.pairs_left_out("slots", name) if name != "slots" else 0,
                                     "failure": result.failures.get(name), "settings": result.notes.get(name)}
            cases.append({"name": result.case.name, "title": result.case.title, "metric": result.case.metric.name,
                          "unit": result.case.metric.unit, "higher_is_better": result.case.metric.higher_is_better,
                          "contestants": contestants, "runs": [asdict(run) for run in result.runs]})
        return {"began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began)),
                "complete": self.is_complete, "valid": self.is_valid(),
                "settings": asdict(self.settings), "noise_round_trip_cycles": self._noise,
                "smallest_round_trip_cycles": self._smallest, "cases": cases,
                "change": [asdict(row) for row in self.change_rows],
                "targets": [{"case": case, "text": text, "met": met} for case, text, met in self.verdicts()]}

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.json").write_text(json.dumps(self.json(), indent=1) + "\n", encoding="utf-8")
        if self.results:
            (folder / "bench.svg").write_text(chart.draw(self), encoding="utf-8")
