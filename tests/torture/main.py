# SPDX-License-Identifier: Apache-2.0
"""Runs parts of the torture, one after the other, and prints each figure with its bound; see scripts/torture."""

import argparse
import importlib
import json
import pathlib
import sys
import time
import traceback

import torture

FOLDER = pathlib.Path(__file__).parent


def known_parts():
    return sorted(path.stem.removeprefix("part_") for path in FOLDER.glob("part_*.py"))


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/torture", description="Breaks Sluice in every way that we know, and prints "
                                     "what it promised beside what was seen.",
                                     epilog="example: scripts/torture --part kill --part guest --seed 7 --json out.json")
    parser.add_argument("--part", action="append", choices=known_parts(), help="only this part; may be given several times")
    parser.add_argument("--list", action="store_true", help="lists the parts and ends")
    parser.add_argument("--long", action="store_true", help="the form for a night; else the one that CI runs")
    parser.add_argument("--seed", type=int, default=1, help="what everything random follows from; 0: the clock's (default 1)")
    parser.add_argument("--no-times", action="store_true", help="figures that depend on how busy the machine is are printed and "
                        "fail nothing")
    parser.add_argument("--sanitized", action="store_true", help="a daemon with address and undefined-behaviour sanitizers, for "
                        "the parts guest, frames, vmm, control and watch; times are not judged")
    parser.add_argument("--json", type=pathlib.Path, help="writes the summary to this file")
    return parser.parse_args()


def run_part(name, seed, is_long, judges_times):
    """Summary of one part."""
    run = torture.Torture(name, seed, is_long, judges_times)
    started = time.monotonic()
    error = None
    try:
        importlib.import_module(f"part_{name}").run(run)
    except Exception as failure:  # Whatever it is, the other parts go on.
        error = f"{type(failure).__name__}: {failure}"
        traceback.print_exc(file=sys.stdout)
    if not run.figures and error is None:
        error = "it measured nothing"
    return {"part": name, "seconds": round(time.monotonic() - started, 1), "error": error, "figures": run.figures,
            "ok": error is None and all(figure["ok"] for figure in run.figures)}


def main():
    options = arguments()
    if options.list:
        for name in known_parts():
            print(f"{name:12} {(importlib.import_module(f'part_{name}').__doc__ or '').strip().splitlines()[0]}")
        return 0
    seed = options.seed or time.time_ns() % 1_000_000_007
    print(f"== seed {seed}, {'long' if options.long else 'short'} form", flush=True)
    parts = []
    for name in options.part or known_parts():
        print(f"== {name}", flush=True)
        parts.append(run_part(name, seed, options.long, not options.no_times))
        if parts[-1]["error"]:
            print(f"FAIL {name}: {parts[-1]['error']}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"seed": seed, "long": options.long, "parts": parts}, indent=1) + "\n",
                                encoding="utf-8")
    failed = sum(not part["ok"] for part in parts)
    print(f"{len(parts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
