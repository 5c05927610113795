# SPDX-License-Identifier: Apache-2.0
"""An apply that is killed or refused at each call on its files leaves the old document or the new one, never neither.

The daemon runs with a library (cut_files.cc) that cuts it short at its Nth call on the state folder: killed before the
call, killed in the middle of a write, or with ENOSPC, EIO or EROFS from that call alone or from there on.
"""

import errno
import mmap
import os
import struct

from daemon import CliError, Daemon
from frontend import program
from scene import Scene

CONTROL = struct.Struct("=qiiQ232s")  # left, action, error, seen, folder: Control of cut_files.cc.
KILL, KILL_IN_MIDDLE, FAIL, FAIL_FROM_HERE = 1, 2, 3, 4
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
NEVER = -1


class Cutter:
    """The control file of one daemon."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "cut")
        self._watched = os.path.join(folder, "state").encode()  # The folder itself, too.
        with open(self.path, "wb") as file:
            file.write(CONTROL.pack(NEVER, 0, 0, 0, b""))
        with open(self.path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), CONTROL.size)

    def arm(self, calls, action, error=0):
        """The call after `calls` more is cut."""
        self._map[:] = CONTROL.pack(NEVER, action, error, 0, self._watched)
        self._map[0:8] = struct.pack("=q", calls)

    def rest(self):
        """Nothing is cut; calls are counted from zero."""
        self._map[:] = CONTROL.pack(NEVER, 0, 0, 0, self._watched)

    @property
    def seen(self):
        return CONTROL.unpack(self._map[:])[3]


class CutDaemon(Daemon):
    """A daemon that can be cut short. Its environment is set for it alone."""

    def command(self):
        self.cutter = getattr(self, "cutter", None) or Cutter(self.directory)
        self.cutter.rest()
        library = program("cut_files.so")
        return ["env", f"LD_PRELOAD={library}", f"SLUICE_CUT={self.cutter.path}", *super().command()]


def document(daemon, random, number):
    """A document of some size that differs from the others."""
    members = [f"10.{number % 200}.{random.randrange(256)}.{i % 256}" for i in range(random.choice((1, 50, 3000)))]
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}],
            "ports": [daemon.port("vm1", "net", mac="02:00:00:00:00:01")],
            "address_sets": [{"name": f"set{number}", "members": sorted(set(members))}]}


def calls_of_an_apply(daemon, torture):
    """How many calls on its files the largest apply makes."""
    most = 0
    for number in range(6):
        daemon.cutter.rest()
        daemon.apply(document(daemon, torture.random, number))
        most = max(most, daemon.cutter.seen)
    return most


def set_name(exported):
    sets = exported.get("address_sets", [])
    return sets[0]["name"] if sets else None


def kill_everywhere(torture):
    """Cut points, and how many ended with the old document, the new one, or neither."""
    ended = {"old": 0, "new": 0, "neither": 0, "no rollback": 0}
    with CutDaemon() as daemon:
        calls = calls_of_an_apply(daemon, torture)
        torture.figure("calls on files of one apply", calls, at_least=5)
        before = set_name(daemon.cli("export"))
        points = [(n % calls, (KILL, KILL_IN_MIDDLE)[n // calls % 2]) for n in range(torture.pick(short=2 * calls, long=1000))]
        for number, (call, action) in enumerate(torture.progress(points, "killed")):
            wanted = document(daemon, torture.random, 100 + number)
            daemon.cutter.arm(call, action)
            try:
                daemon.apply(wanted)
                killed = False  # This one made fewer calls.
            except (CliError, AssertionError):
                killed = True
            if killed:
                daemon.kill()
                daemon.start()
            daemon.cutter.rest()
            after = set_name(daemon.cli("export"))
            name = wanted["address_sets"][0]["name"]
            if not killed and after != name:
                ended["neither"] += 1
            ended["new" if after == name else "old" if after == before else "neither"] += 1
            try:  # The one before is whole, too.
                daemon.cli("rollback")
                daemon.cli("rollback")
            except CliError:
                ended["no rollback"] += 1
            before = set_name(daemon.cli("export"))
        torture.figure("cut points, killed", len(points), at_least=2 * calls)
    for what, count in ended.items():
        bound = {"exactly": 0} if what in ("neither", "no rollback") else {"at_least": 1}
        torture.figure(f"killed during an apply: {what}", count, **bound)


def refuse_everywhere(torture):
    """Each call fails in turn, alone or with all that follow: the apply is refused, or was already safe; traffic goes on."""
    count = {"refused": 0, "done": 0, "changed though refused": 0, "no traffic": 0, "no sentence": 0, "stuck": 0}
    with Scene(daemon_type=CutDaemon) as scene:
        daemon = scene.daemon
        daemon.cutter.rest()
        scene.apply(address_sets=[{"name": "first", "members": ["10.0.0.9"]}])
        calls = daemon.cutter.seen
        points = [(call, action, error) for call in range(calls) for action in (FAIL, FAIL_FROM_HERE) for error in ERRORS]
        if not torture.is_long:
            points = torture.random.sample(points, min(len(points), 40))
        for number, (call, action, error) in enumerate(torture.progress(points, "refused")):
            before = daemon.cli("export")
            daemon.cutter.arm(call, action, error)
            try:
                scene.apply(address_sets=[{"name": f"set{number}", "members": ["10.0.0.9"]}])
                count["done"] += 1
            except CliError as refused:
                count["refused"] += 1
                count["no sentence"] += daemon.state_dir not in refused.error.get("message", "")
                count["changed though refused"] += daemon.cli("export") != before
            sent = scene.udp("vm1", "vm2", sport=2000 + number)
            scene.vm1.send(sent)
            try:
                scene.vm2.expect(sent)
            except AssertionError:
                count["no traffic"] += 1
            daemon.cutter.rest()
            try:
                scene.apply(address_sets=[{"name": f"after{number}", "members": ["10.0.0.9"]}])
            except CliError:
                count["stuck"] += 1
    torture.figure("cut points, disk full, input/output error, read-only", len(points), at_least=6)
    for what, value in count.items():
        bound = {"at_least": 1} if what == "refused" else {} if what == "done" else {"exactly": 0}
        torture.figure(f"files that fail: {what}", value, **bound)


def run(torture):
    kill_everywhere(torture)
    refuse_everywhere(torture)
