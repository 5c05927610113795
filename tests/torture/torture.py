# SPDX-License-Identifier: Apache-2.0
"""What a part of scripts/torture is given: a seed, short or long, a place to put figures.

A part is a file part_NAME.py with a docstring whose first line says what it proves, and one function:

    def run(torture):
        for n in torture.progress(range(torture.pick(short=5, long=100)), "kills"):
            ...
        torture.figure("first packet after a kill, p50", 310.2, "ms", at_most=500)

A figure outside of its bound fails the part; so does an exception. Everything random comes from torture.random. Times, and
what else depends on how busy the machine is (`timed`), are judged only where the run is for that: the tests of CI print them.
"""

import random
import statistics
import sys
import time


def percentile(values, percent):
    """The value that `percent` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values: nothing was measured")
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


TIME_UNITS = ("us", "ms", "s", "min")


class Torture:
    """One run of one part."""

    def __init__(self, part, seed, is_long, judges_times=True, out=sys.stdout):
        self.part = part
        self.judges_times = judges_times
        self.seed = seed
        self.is_long = is_long
        self.random = random.Random(f"{part}/{seed}")
        self.figures = []
        self._out = out
        self._started = time.monotonic()

    def pick(self, short, long):
        """`short` in the form that CI runs, `long` over night."""
        return long if self.is_long else short

    def say(self, text):
        """A line of progress."""
        print(f"   {self.part} {time.monotonic() - self._started:6.1f} s  {text}", file=self._out, flush=True)

    def progress(self, items, what):
        """Iterates over a sized iterable and says every tenth how far it is."""
        total = len(items)
        step = max(1, total // 10)
        for done, item in enumerate(items):
            if done % step == 0:
                self.say(f"{what}: {done} of {total}")
            yield item

    def figure(self, name, value, unit="", at_most=None, at_least=None, exactly=None, timed=False):
        """Records a number that was measured, with its bound if there is one. True if it is within."""
        bounds = [("at most", at_most, lambda: value <= at_most), ("at least", at_least, lambda: value >= at_least),
                  ("exactly", exactly, lambda: value == exactly)]
        given = [(text, bound, holds()) for text, bound, holds in bounds if bound is not None]
        holds = all(one for _, _, one in given)
        counts = self.judges_times or not (timed or unit in TIME_UNITS)
        self.figures.append({"name": name, "value": value, "unit": unit, "within": holds, "ok": holds or not counts,
                             **{text.replace(" ", "_"): bound for text, bound, _ in given}})
        wanted = "".join(f", {text} {bound}" for text, bound, _ in given)
        shown = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        print(f"{'ok  ' if holds else 'FAIL' if counts else 'slow'} {self.part}: {name}: {shown}{' ' + unit if unit else ''}{wanted}", file=self._out,
              flush=True)
        return holds

    def times(self, name, milliseconds, p50_at_most=None, p99_at_most=None):
        """Records median, 99th percentile and maximum of times in ms."""
        self.figure(f"{name}, p50", statistics.median(milliseconds), "ms", at_most=p50_at_most)
        self.figure(f"{name}, p99", percentile(milliseconds, 99), "ms", at_most=p99_at_most)
        self.figure(f"{name}, maximum", max(milliseconds), "ms")
