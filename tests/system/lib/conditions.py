# SPDX-License-Identifier: Apache-2.0
"""Waiting for facts, not for time: every wait of the system tests names what it waits for."""

import time


def eventually(check, what, timeout=5.0, interval=0.005):
    """Calls `check` until it returns something true, and returns that. AssertionError naming `what` after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what} (last value: {value!r})")
        time.sleep(interval)
