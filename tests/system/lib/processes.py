# SPDX-License-Identifier: Apache-2.0
"""Processes that a test starts: in a session of their own, writing to a log, and gone at the latest when the test is.

    process = launch(["ovsdb-server", ...], "/tmp/x/server.log")
    end(process)
"""

import ctypes
import signal
import subprocess

PR_SET_PDEATHSIG = 1


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def launch(command, log_path, stays=False, environment=None):
    """Starts a command; what it prints is appended to `log_path`. `stays`: it outlives the process that started it."""
    with open(log_path, "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                start_new_session=True, preexec_fn=None if stays else _die_with_parent)


def end(process, timeout=10.0):
    """SIGTERM, and SIGKILL if that takes too long. True: it ended in time."""
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def log_tail(path, lines=40):
    """The last lines of a log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError:
        return ""
