# SPDX-License-Identifier: Apache-2.0
"""A sluiced of the tests' own, in a temporary folder, driven only by its CLI as an operator would."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from guest import ROOT, die_with_parent, wait_until

BIN_DIR = pathlib.Path(os.environ.get("SLUICE_BIN", ROOT / "build" / "release" / "bin"))
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20


class CliError(Exception):
    """The CLI ended with an exit status other than 0; the text is what it said."""


class Host:
    """One daemon with its own socket, state folder and log under `directory`, all removed by `stop()`."""

    def __init__(self, arguments=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-vm-"))
        self.socket_path = self.directory / "sluiced.sock"
        self.log_path = self.directory / "sluiced.log"
        self._arguments = list(arguments)
        self._process = None

    def start(self):
        """Starts sluiced and waits until it answers."""
        command = [str(BIN_DIR / "sluiced"), "--config", str(self.directory / "host.json"),
                   "--socket", str(self.socket_path), "--state-dir", str(self.directory / "state"),
                   "--memory", "256", "--arena", str(self.directory / "arena"), *self._arguments]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, cwd=self.directory,
                                             preexec_fn=die_with_parent(signal.SIGTERM))
        wait_until(self._answers, START_TIMEOUT_S, f"sluiced answers; its log says:\n{self.log_tail()}")
        return self

    def alive(self):
        return self._process is not None and self._process.poll() is None

    def terminate(self):
        """SIGTERM and wait. Returns the exit status, None if it was not running. `start()` may follow."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def stop(self):
        """Terminates, removes the folder, and returns the exit status."""
        status = self.terminate()
        shutil.rmtree(self.directory, ignore_errors=True)
        return status

    def log_tail(self, lines=60):
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # The CLI.

    def json(self, *words, stdin=None):
        """Runs `sluice -o json WORDS` and returns what it printed; CliError if it failed."""
        return json.loads(self._run(["-o", "json", *words], stdin) or "null")

    def table(self, *words):
        """Runs `sluice WORDS` and returns its table as text."""
        return self._run(list(words), None)

    def apply(self, document):
        """Applies a document (a dict) from standard input."""
        return self.json("apply", "-", stdin=json.dumps(document))

    def port_state(self, name):
        """`up` or `down`, as `show ports` says."""
        return {port["name"]: port["state"] for port in self.json("show", "ports")}[name]

    def wait_port(self, name, state, timeout_s=30):
        wait_until(lambda: self.port_state(name) == state, timeout_s, f"port {name} is {state}")

    def _run(self, words, stdin):
        command = [str(BIN_DIR / "sluice"), "--socket", str(self.socket_path), *words]
        done = subprocess.run(command, input=stdin if stdin is not None else "", capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise CliError(f"`{' '.join(command)}` ended with {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def _answers(self):
        if not self.alive():
            status = self._process.returncode
            raise AssertionError(f"sluiced ended at once with status {status}; its log says:\n{self.log_tail()}")
        try:
            return self.json("status") is not None
        except CliError:
            return False


def vnic(number):
    """Addresses of the guest number 1..9: a dict of name, mac, ip, ip6, link_local."""
    return {"name": f"vm{number}", "mac": f"02:00:00:00:00:0{number}", "ip": f"192.0.2.{number}",
            "ip6": f"2001:db8::{number}", "link_local": f"fe80::ff:fe00:{number}"}


def document(directory, numbers=(1, 2), spoofguard="off", sections=()):
    """One switch, one port group, and a vhost port for each guest number with its socket in directory."""
    ports = []
    for vm in map(vnic, numbers):
        ports.append({"name": vm["name"], "port_group": "web", "kind": "vhost", "mac": vm["mac"],
                      "socket": str(pathlib.Path(directory) / f"{vm['name']}.sock"),
                      "ips": [vm["ip"], vm["ip6"], vm["link_local"]]})
    return {"switches": [{"name": "dvs0"}],
            "port_groups": [{"name": "web", "switch": "dvs0", "vlan": {"mode": "none"}, "spoofguard": spoofguard}],
            "ports": ports,
            "dfw": {"default": "allow", "sections": list(sections)}}
