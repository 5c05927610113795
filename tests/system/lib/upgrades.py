# SPDX-License-Identifier: Apache-2.0
"""Programs to upgrade to, and a daemon whose process may change under it.

    with UpgradableScene() as scene:
        gap_ms = scene.daemon.upgrade()["gap_ms"]
"""

import os
import signal
import textwrap
import time

import processes
from conditions import eventually
from daemon import CliError, Daemon, _processes_of_session
from frontend import program
from scene import Scene


class Successor:
    """A process that is not our child any more: what Daemon asks of a Popen."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def poll(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
                gone = stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            gone = True
        self.returncode = 0 if gone else None
        return self.returncode

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout=15.0):
        eventually(lambda: self.poll() is not None, f"the end of pid {self.pid}", timeout)


class UpgradableDaemon(Daemon):
    """upgrade() puts another process in the place of the one that start() started; both are in its session."""

    _session = None

    def start(self, timeout=15.0):
        super().start(timeout)
        self._session = self._process.pid

    def upgrade(self, binary=None, within=None):
        """{"version","pid","gap_ms","prepared_ms"} of a successful upgrade; the old process has ended with code 0."""
        arguments = (["--binary", binary] if binary else []) + (["--within", within] if within else [])
        old = self._process
        done = self.cli("upgrade", *arguments)
        self._process = Successor(done["pid"])
        old.wait(10)
        assert old.returncode == 0, f"the former process ended with code {old.returncode}:\n{self.log_tail()}"
        assert self.cli("status")["pid"] == done["pid"]
        return done

    def upgrade_fails(self, binary, within=None):
        """What the CLI says of an upgrade that was rolled back; the daemon is the process that it was."""
        before = self.pid
        error = self.cli_error("upgrade", "--binary", binary, *(["--within", within] if within else []))
        assert self.alive and self.cli("status")["pid"] == before, f"another process:\n{self.log_tail()}"
        eventually(lambda: set(self.processes()) == self._own(before), "no process of the failed one left", 5.0)
        return str(error)

    def processes(self):
        return _processes_of_session(self._session)

    def _own(self, pid):
        """The daemon with its helper and its launcher."""
        found = {pid}
        for each in self.processes():
            try:
                with open(f"/proc/{each}/stat", encoding="ascii", errors="replace") as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.add(each)
            except OSError:
                pass
        return found

    def stop(self, timeout=15.0):
        if isinstance(self._process, Successor):  # It leads no session of its own.
            process, self._process = self._process, None
            assert process.poll() is None, f"sluiced had ended by itself:\n{self.log_tail()}"
            assert processes.end(process, timeout), f"sluiced did not stop:\n{self.log_tail()}"
            deadline = time.monotonic() + 2.0
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.005)
            left = self._end_session(self._session)
            assert not os.path.exists(self.admin_socket), "sluiced left its admin socket behind"
            assert not left, f"sluiced left processes behind: {left}"
            assert not [one for one in os.listdir(self.directory) if one.startswith(".sluiced-")], "folders left"
            return
        super().stop(timeout)

    def kill(self):
        process, self._process = self._process, None
        process.kill()
        process.wait()
        self._end_session(self._session)

    # Programs

    def script(self, name, text):
        """A program of a few lines of shell that stands in for another build."""
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/bash\n" + textwrap.dedent(text).replace("SLUICED", program("sluiced")))
        os.chmod(path, 0o755)
        return path

    def crashes_at_start(self):
        return self.script("crashes", 'echo "cannot open libnew.so: no such file" >&2; exit 127\n')

    def hangs(self):
        return self.script("hangs", "exec sleep 1000\n")

    @staticmethod
    def crashes_after_go():
        """A build that ends when it has taken everything over, and its workers run."""
        return program("sluiced-dies")

    @staticmethod
    def stops_after_go():
        """One that stands still then."""
        return program("sluiced-stands")


class UpgradableScene(Scene):
    """A Scene on an UpgradableDaemon."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, daemon_type=UpgradableDaemon, **options)


__all__ = ["CliError", "Successor", "UpgradableDaemon", "UpgradableScene"]
