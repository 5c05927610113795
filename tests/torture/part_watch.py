# SPDX-License-Identifier: Apache-2.0
"""Threads that stand still are told of in time: by `sluice health`, by an alarm, in the log; and nothing else is."""

import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system" / "lib"))
from conditions import eventually  # noqa: E402
from daemon import Daemon, worker_cores  # noqa: E402
from frontend import program  # noqa: E402
from stall import stalled  # noqa: E402

TO_ALARM_MS = 2500  # A stall counts from one second on; the rest is the look, the question and a busy machine.
WORKERS = 2


def ask(daemon, *arguments):
    """(exit status, answer or None)"""
    done = subprocess.run([program("sluice"), "--socket", daemon.admin_socket, "-o", "json", "health", *arguments],
                          capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None


def milliseconds_until(check, what, timeout=20.0):
    began = time.monotonic()
    eventually(check, what, timeout, 0.02)
    return (time.monotonic() - began) * 1000


def log_count(daemon, text):
    with open(daemon.log_path, encoding="utf-8") as file:
        return file.read().count(text)


def names(daemon):
    return {one["name"] for one in daemon.cli("status")["alarms"]}


def run(torture):
    unhealthy, well_again, wrong_names, unreached, logged = [], [], 0, 0, []
    rounds = torture.pick(short=3, long=60)
    with Daemon(workers=worker_cores(WORKERS)) as daemon:
        eventually(lambda: ask(daemon)[0] == 0, "healthy after the start", 10.0)
        for _ in torture.progress(range(rounds), "workers that stand still"):
            worker = torture.random.randrange(WORKERS)
            with stalled(daemon.pid, f"worker-{worker}"):
                unhealthy.append(milliseconds_until(lambda: ask(daemon)[0] == 1, "not healthy"))
                wrong_names += bool(names(daemon) - {"worker_stalled", "packets_stuck"})
            well_again.append(milliseconds_until(lambda: ask(daemon)[0] == 0, "healthy again"))
            eventually(lambda: not names(daemon), "alarms are over", 10.0, 0.05)
        for done in torture.progress(range(torture.pick(short=2, long=20)), "control standing still"):
            with stalled(daemon.pid):
                began = time.monotonic()
                unreached += ask(daemon, "--within", "0.2")[0] == 2
                eventually(lambda: log_count(daemon, "alarm control_stalled: the control thread has not turned") > done,
                           "logged", 20.0, 0.02)
                logged.append((time.monotonic() - began) * 1000)
            eventually(lambda: "control_stalled" in names(daemon), "an alarm afterwards", 10.0)
        daemon.assert_books_balance()
    torture.times("a worker stands still: `sluice health` says no", unhealthy, p99_at_most=TO_ALARM_MS)
    torture.times("it polls again: healthy", well_again, p99_at_most=3000)
    torture.figure("other alarms raised by it", wrong_names, exactly=0)
    torture.times("control stands still: logged", logged, p99_at_most=TO_ALARM_MS)
    torture.figure("control stands still: exit status 2", unreached, "times", exactly=len(logged))
    quiet(torture)


def quiet(torture):
    """A daemon that is well raises nothing."""
    seconds = torture.pick(short=5, long=120)
    with Daemon(workers=worker_cores(WORKERS)) as daemon:
        eventually(lambda: ask(daemon)[0] == 0, "healthy after the start", 10.0)
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            status, answer = ask(daemon)
            took.append((time.monotonic() - began) * 1000)
            assert status == 0, answer
        torture.times("`sluice health` of a switch that is well", took, p99_at_most=1000)
        torture.figure("alarms of a switch that is well", len(daemon.cli("show", "alarms")), exactly=0)
