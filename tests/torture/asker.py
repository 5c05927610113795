# SPDX-License-Identifier: Apache-2.0
"""Somebody well-behaved who asks the daemon again and again while others attack it, in a process of its own, and times the
answers.

    with Asker(lambda: [question, other_question]) as asker:
        attack()
        times, other_times = asker.read()    # ms each, since the last read
"""

import multiprocessing
import time

PAUSE = 0.002


class Asker:
    """`make` is called in the process and returns functions without arguments; each is one question with its answer."""

    def __init__(self, make):
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=self._run, args=(make, there), daemon=True)
        self._process.start()
        there.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self._here.send(False)
        except OSError:  # It ended by itself.
            pass
        self._process.join(10)

    @staticmethod
    def _run(make, pipe):
        questions = make()
        times = [[] for _ in questions]
        while True:
            for question, took in zip(questions, times):
                began = time.monotonic()
                question()
                took.append((time.monotonic() - began) * 1000)
            if pipe.poll(PAUSE):
                if not pipe.recv():
                    return
                pipe.send(times)
                times = [[] for _ in questions]

    def read(self):
        """The times of each question in ms; AssertionError if the daemon did not answer one."""
        try:
            self._here.send(True)
            return self._here.recv()
        except (EOFError, OSError):
            raise AssertionError("somebody well-behaved got no answer") from None
