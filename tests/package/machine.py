# SPDX-License-Identifier: Apache-2.0
"""A throw-away machine with a systemd of its own: the running system's files under an overlay, own processes, network and
mounts. Nothing that a package does in it reaches the machine below.

    with Machine() as machine:
        machine.install("sluice_0.1.0-1_amd64.deb")
        machine.run("systemctl", "is-active", "sluiced")
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile

from conditions import eventually

STAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stage")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_TIMEOUT = 30.0
RUN_TIMEOUT = 60.0
PR_SET_PDEATHSIG = 1


class Failed(AssertionError):
    """A command in the machine that ended with another status than 0."""


def _cgroup_folder():
    """Where a cgroup for a systemd can be made: the unified hierarchy, or systemd's own of version 1."""
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd"):
        if os.path.exists(f"{folder}/cgroup.procs"):
            return folder
    raise RuntimeError("no cgroup hierarchy for a systemd: /sys/fs/cgroup is neither version 2 nor has name=systemd")


class Machine:
    def __enter__(self):
        self._folder = tempfile.mkdtemp(prefix="sluice-machine-")
        self._cgroup = os.path.join(_cgroup_folder(), f"sluice-test-{os.getpid()}")
        os.mkdir(self._cgroup)
        self._log = open(os.path.join(self._folder, "stage.log"), "wb")  # Below the mount that stage makes.
        mount_point = os.path.join(self._folder, "machine")
        os.mkdir(mount_point)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child=KILL", "bash", STAGE,
             mount_point, self._cgroup],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        try:
            self._init = eventually(self._find_init, "systemd of the machine", BOOT_TIMEOUT, 0.05)
            eventually(self._is_up, "the machine is up", BOOT_TIMEOUT, 0.1)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- the machine's log ---\n{self.run('journalctl', '--no-pager', '-n', '60', check=False)}")
        self._process.kill()  # --kill-child: its systemd follows, and with a namespace's first process all others.
        self._process.wait()
        self._log.close()
        eventually(self._remove_cgroup, "the machine's processes are gone", 10.0, 0.05)
        shutil.rmtree(self._folder)

    def _find_init(self):
        assert self._process.poll() is None, f"stage ended:\n{self._stage_log()}"
        try:
            with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children", encoding="ascii") as file:
                child = int(file.read().split()[0])
            with open(f"/proc/{child}/comm", encoding="ascii") as file:
                return child if file.read().strip() == "systemd" else None
        except (OSError, IndexError):
            return None

    def _is_up(self):
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")

    def _stage_log(self):
        with open(self._log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _remove_cgroup(self):
        for folder, _, _ in sorted(os.walk(self._cgroup), key=lambda one: -len(one[0])):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return not os.path.exists(self._cgroup)

    @property
    def root(self):
        """The machine's root folder, as seen from outside."""
        return f"/proc/{self._init}/root"

    def run(self, *command, check=True, timeout=RUN_TIMEOUT, stdin=None):
        """Runs a command in the machine and returns its standard output. Failed if it fails."""
        line = ["nsenter", *(f"--{name}=/proc/{self._init}/ns/{name}" for name in ("pid", "net", "uts", "ipc", "cgroup")),
                f"--mount=/proc/{self._init}/ns/mnt", f"--root={self.root}", f"--wd={self.root}",
                "env", "-i", f"PATH={PATH}", "DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8", *map(str, command)]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self, *command):
        """Exit status of a command in the machine."""
        try:
            self.run(*command)
        except Failed as failure:
            return int(str(failure).split("status ", 1)[1].split("\n", 1)[0])
        return 0

    def install(self, package):
        """dpkg -i of a package outside the machine; configuration files that were changed stay."""
        name = os.path.basename(package)
        shutil.copy(package, f"{self.root}/srv/{name}")
        try:
            return self.run("dpkg", "--force-confold", "-i", f"/srv/{name}", timeout=120)
        finally:
            os.unlink(f"{self.root}/srv/{name}")

    def exists(self, path):
        return os.path.lexists(self.root + path)

    def read(self, path):
        with open(self.root + path, encoding="utf-8") as file:
            return file.read()

    def write(self, path, text):
        with open(self.root + path, "w", encoding="utf-8") as file:
            file.write(text)

    def written(self):
        """Every path that the machine has written so far and that is there, folders included."""
        return set(self.run("find", "/upper", "-xdev", "!", "-type", "c", "-printf", "/%P\n").splitlines())

    def unit(self, *properties, name="sluiced"):
        """Properties of a unit, as a dict."""
        text = self.run("systemctl", "show", name, *(f"--property={one}" for one in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def wait_unit(self, state, name="sluiced", timeout=30.0):
        return eventually(lambda: self.unit("ActiveState", name=name)["ActiveState"] == state, f"{name} {state}", timeout, 0.05)
