# SPDX-License-Identifier: Apache-2.0
"""One run of sluice-load against one switch, with how busy the switch's worker was meanwhile."""

import json
import subprocess
import tempfile
import time

from machine import LOAD_CORE, WORKER_CORE, Failure
from places import HOST
from policy import Policy

SAMPLE_EVERY_S = 0.2
NOISE_SECONDS = 0.1
NOISE_TRIES = 10


def measure_noise(binaries):
    """Cycles of a cache line's round trip between the two cores, while all switches stand still. Tried again, for longer,
    where somebody else had one of the cores."""
    for attempt in range(NOISE_TRIES):
        done = subprocess.run([str(binaries / "sluice-load"), "noise", "--cpus", f"{LOAD_CORE},{WORKER_CORE}", "--seconds",
                               str(NOISE_SECONDS * (1 + attempt)), "--json"], capture_output=True, text=True, timeout=30,
                              check=False)
        if done.returncode == 0:
            return float(json.loads(done.stdout)["round_trip_cycles"])
    raise Failure(f"sluice-load noise: {last_line(done.stderr)}")


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def measured(samples, seconds):
    """First and last sample of the last `seconds`; None if too little was seen. The very last sample is left out where there
    are enough: the load may have ended before it."""
    samples = samples[:-1] if len(samples) > 3 else samples
    if len(samples) < 2:
        return None
    first = next(one for one in samples if one.at >= samples[-1].at - seconds)
    return (first if first is not samples[-1] else samples[-2]), samples[-1]


def busy_share(samples, seconds):
    """Part of its time in which the worker worked over the last `seconds`; None if unknown."""
    ends = measured(samples, seconds)
    return ends and ends[1].share_since(ends[0])


def waited_share(samples, seconds):
    """Part of the last `seconds` in which others had the worker's core; 0 if unknown."""
    ends = measured(samples, seconds)
    return ends[1].waited_since(ends[0]) if ends else 0.0


class Load:
    """A run: begin() starts it, finish() returns what it printed plus `busy`."""

    def __init__(self, binaries, switch, arguments, seconds, warmup, policy=Policy(), place=HOST):
        self._switch, self._seconds, self._policy, self._place = switch, seconds, policy, place
        self._limit = time.monotonic() + 60 + 3 * (seconds + warmup)
        ends = [word for guest in ("a", "b") for word in (f"--{guest}", self._spec(guest))]
        ends += place.service_words(switch.socket_path, switch.listens)
        command = [str(binaries / "sluice-load"), *arguments[:1], *ends, *arguments[1:], "--seconds", str(seconds), "--warmup",
                   str(warmup), "--cpu", str(LOAD_CORE), "--json"]
        self._out, self._err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err)
        except OSError as error:
            raise Failure(f"sluice-load: {error}") from None
        self.samples = []

    def _spec(self, guest):
        path = self._switch.socket_path(self._place.port_of(guest))
        return self._place.end(guest, path, self._policy, self._switch.listens)

    def is_running(self):
        return self._process.poll() is None

    def watch(self):
        """Looks at the worker until the load has ended."""
        while self.is_running():
            if time.monotonic() > self._limit:
                self.kill()
                raise Failure("sluice-load did not end in time")
            self.look()
            try:
                self._process.wait(SAMPLE_EVERY_S)
            except subprocess.TimeoutExpired:
                pass

    def look(self):
        """Keeps the worker's counters if it moved packets since the last look: idle time before and after does not count."""
        now = self._switch.sample()
        if not self.samples or now.packets > self.samples[-1].packets + 100:
            self.samples.append(now)
        elif len(self.samples) < 2:
            self.samples = [now]

    def kill(self):
        self._process.kill()
        self._process.wait()

    def finish(self):
        """The load's JSON, with `busy` and `worker_waited_share`. Failure with its sentence if the run is not valid."""
        try:
            self.watch()
        except BaseException:
            self.kill()
            raise
        self._out.seek(0)
        self._err.seek(0)
        output, errors = self._out.read(), self._err.read()
        self._out.close()
        self._err.close()
        if self._process.returncode:
            raise Failure(f"sluice-load {self._switch.name}: {last_line(errors)}")
        result = json.loads(output)
        result["busy"] = busy_share(self.samples, self._seconds * 0.8)
        result["worker_waited_share"] = waited_share(self.samples, self._seconds * 0.8)
        return result
