# SPDX-License-Identifier: Apache-2.0
"""Stops one thread of a process and lets it go on: a worker that hangs, a control thread that hangs.

    with stalled(daemon.pid, "worker-0"):
        ...  # Everything else of the process runs.

By ptrace(2), since SIGSTOP stops whole processes. The thread that enters the block must leave it.
"""

import contextlib
import ctypes
import os

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000  # Threads, too.

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace of thread {thread}: {os.strerror(error)}")


def threads(pid):
    """{name: thread id} of a process."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            found[file.read().strip()] = int(thread)
    return found


@contextlib.contextmanager
def stalled(pid, name=None):
    """Thread `name` of the process stands still; without a name its first one, which is control."""
    thread = pid if name is None else threads(pid)[name]
    _ptrace(PTRACE_SEIZE, thread)
    _ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    try:
        yield thread
    finally:
        _ptrace(PTRACE_DETACH, thread)
