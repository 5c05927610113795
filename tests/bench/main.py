# SPDX-License-Identifier: Apache-2.0
"""scripts/bench after the build: starts the contestants, runs the cases, writes what came of it."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field

import cases
import change
import report
from machine import Failure, Hugepages, leave_worker_core
from rounds import CaseRunner, Clock, Settings
from switch_floor import Floor
from switch_ovs import OpenVSwitch
from switch_sluice import Sluice

GUESTS_MB = 640  # Two guests with a million frames, and room.
EXAMPLES = """examples:
  scripts/bench                                   every case, 5 rounds of 3 s: about an hour
  scripts/bench --quick                           one case, 3 rounds of 1 s: about a minute
  scripts/bench --cases flood-1k,flood-1m --rounds 7
  scripts/bench --cases flood-1k --contestants slots,normal
  scripts/bench --cases change                    what a change costs the traffic"""


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
                                     description="Sluice beside Open vSwitch with DPDK, in turns on the same cores.")
    parser.add_argument("--cases", default="all", help="names of --list, separated by commas (default: all)")
    parser.add_argument("--contestants", default=",".join(cases.CONTESTANTS), help="who takes part (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds of each case (default 5; more while pairs are missing)")
    parser.add_argument("--seconds", type=float, help="seconds of one run (default 3)")
    parser.add_argument("--quick", action="store_true", help="flood-1k only, 3 rounds of 1 s, unless said otherwise")
    parser.add_argument("--output", type=pathlib.Path, help="folder for bench.json and bench.svg (default build/bench)")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    parser.add_argument("--binaries", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--no-hugepages", action="store_true", help="do without: slower, for trying out")
    parser.add_argument("--no-variants", action="store_true", help="do not look for the peer's best cache settings")
    chosen = parser.parse_args(arguments)
    if chosen.rounds is not None and chosen.rounds < 1 or chosen.seconds is not None and not 0.1 <= chosen.seconds <= 600:
        parser.error("--rounds is at least 1, --seconds between 0.1 and 600")
    names = {"all": cases.names()}.get(chosen.cases, tuple(chosen.cases.split(",")))
    if chosen.quick and chosen.cases == "all":
        names = cases.QUICK
    chosen.has_change = cases.CHANGE in names
    try:
        chosen.cases = cases.chosen(names)
    except ValueError as error:
        parser.error(str(error))
    chosen.contestants = chosen.contestants.split(",")
    for name in chosen.contestants:
        if name not in cases.CONTESTANTS:
            parser.error(f"no contestant {name!r}; there are {', '.join(cases.CONTESTANTS)}")
    chosen.rounds = chosen.rounds or (3 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (1.0 if chosen.quick else 3.0)
    return chosen


KINDS = {"floor": Floor, "slots": Sluice, "few": Sluice, "plain": Sluice, "empty": Sluice, "normal": OpenVSwitch, "ct": OpenVSwitch}


def make(name, folder, binaries):
    """One contestant."""
    return KINDS[name](folder / name, name, binaries)


class Progress:
    """A line for each run, with the time left."""

    def __init__(self, clock):
        self._clock = clock

    def __call__(self, case, run, text=None):
        if run is None:
            print(f"   {case.name}: {text}", file=sys.stderr, flush=True)
            return
        self._clock.step()
        left = self._clock.left()
        value = run.failure or f"{run.figures[case.metric.name]:.{case.metric.digits}f} {case.metric.unit}"
        noise = "-".join(f"{one:.0f}" for one in run.noise)
        print(f"   {case.name} round {run.round + 1} {run.contestant:<7} {value:<28} line {noise} cycles, "
              f"{left / 60:.1f} min left", file=sys.stderr, flush=True)


@contextlib.contextmanager
def contestants(names, folder, binaries, failures):
    """Those that started, standing still. What can't start goes into `failures`."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name in names:
            print(f"== starting {name}", file=sys.stderr, flush=True)
            switch = make(name, folder, binaries)
            stack.callback(switch.stop)
            try:
                switch.start()
                switch.settle()
                switch.pause()
                started[name] = switch
            except Failure as failure:
                failures[name] = str(failure)
        yield started


def output_of(options):
    return options.output or pathlib.Path(__file__).parents[2] / "build/bench"


def smallest_before(output):
    """The smallest round trip that earlier runs have seen: what `near` is measured by. None if there was none."""
    try:
        return json.loads((output / "bench.json").read_text(encoding="utf-8"))["smallest_round_trip_cycles"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Outcome:
    """What was measured so far. status: the exit status, if it had to stop before the end."""

    results: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    noise_seen: list = field(default_factory=list)
    not_started: dict = field(default_factory=dict)
    status: int | None = None


def run(options):
    """Everything: the report, and the exit status if it had to stop before the end; the report is that of what was finished."""
    binaries = (options.binaries or pathlib.Path(__file__).parents[2] / "build/release/bin").absolute()
    wanted = [name for name in cases.CONTESTANTS if name in options.contestants and
              (name in change.CONTESTANTS and options.has_change or any(name in case.contestants for case in options.cases))]
    settings = Settings(options.rounds, options.seconds, not options.no_variants)
    needed = GUESTS_MB + sum(KINDS[name].hugepages_mb for name in wanted)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    outcome, began = Outcome(), time.time()
    try:
        with contextlib.nullcontext() if options.no_hugepages else Hugepages(needed):
            with contestants(wanted, folder, binaries, outcome.not_started) as switches:
                measure(options, binaries, switches, settings, outcome)
    except KeyboardInterrupt:
        print("stopped; the machine is as it was", file=sys.stderr)
        outcome.status = 130
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        outcome.status = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report.Report(outcome.results, outcome.noise_seen, settings, began, outcome.rows, outcome.status is None,
                         smallest_before(output_of(options))), outcome.status


def measure(options, binaries, switches, settings, outcome):
    """All cases, then the changes, into `outcome`."""
    total = sum(len([n for n in case.contestants if n in switches]) for case in options.cases) * options.rounds
    runner = CaseRunner(binaries, switches, settings, Progress(Clock(total)), outcome.noise_seen)
    for case in options.cases:
        print(f"== {case.name}: {case.title}", file=sys.stderr, flush=True)
        result = runner.run(case)
        result.failures.update({name: why for name, why in outcome.not_started.items() if name in case.contestants})
        outcome.results.append(result)
    if options.has_change:
        change.run(binaries, switches, outcome.not_started, options, outcome.rows)


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main(arguments):
    options = parse(arguments)
    if options.list:
        for case in cases.ALL:
            print(f"{case.name:<16} {case.title}")
        print(f"{cases.CHANGE:<16} {cases.TITLE_OF_CHANGE}")
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    os.environ.setdefault("SLUICE_BIN", str(options.binaries or ""))
    leave_worker_core()
    made, status = run(options)
    if not made.results and not made.change_rows:
        return status or 1
    print(made.text())
    output = output_of(options)
    made.write(output)
    print(f"\nwritten: {output}/bench.json {output}/bench.svg")
    return status or (0 if made.is_valid() else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
