# SPDX-License-Identifier: Apache-2.0
"""A sluiced of its own for a test: temporary folder, start by condition, CLI, clean stop that is checked.

    with Daemon() as daemon:
        daemon.apply({"switches": [...], "port_groups": [...], "ports": [daemon.port("vm1", "web")]})
        assert daemon.cli("status")["ports"] == 1

Leaving the block stops it with SIGTERM and asserts: exit code 0, admin socket gone, no process of it left.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import processes
from conditions import eventually
from frontend import program

START_TIMEOUT = 15.0
STOP_TIMEOUT = 15.0
HELPER_GRACE = 2.0  # Its helper process notices the end and follows.
CLI_TIMEOUT = 60.0


class CliError(RuntimeError):
    """The CLI said no: exit code, error object ({"code","message","object"}, or empty) and its stderr."""

    def __init__(self, arguments, exit_code, error, stderr):
        super().__init__(f"sluice {' '.join(arguments)}: exit {exit_code}: {error.get('message') or stderr.strip()}")
        self.exit_code = exit_code
        self.error = error
        self.stderr = stderr


def worker_cores(count=1):
    """Value of --workers: the second core for one worker (the first is the test's), else the last `count` cores."""
    cores = sorted(os.sched_getaffinity(0))
    chosen = cores[1:2] or cores if count == 1 else cores[-count:]
    return ",".join(str(core) for core in chosen)


def _processes_of_session(session):
    """Pids whose session id is `session`: what the daemon started and did not end."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry))
    return found


class Daemon:
    """One sluiced. Arguments: workers (core list or None for one core), memory in MB, args (more options), document
    (applied after the start), config (content of --config), start (False: call start() yourself), netns (name of the
    network namespace that it runs in), user (whom it becomes; its folders are that user's)."""

    def __init__(self, workers=None, memory=128, args=(), document=None, config=None, start=True,
                 netns=None, user=None):
        self.directory = tempfile.mkdtemp(prefix="sluice-")
        self.admin_socket = os.path.join(self.directory, "sluiced.sock")
        self.state_dir = os.path.join(self.directory, "state")
        self.log_path = os.path.join(self.directory, "sluiced.log")
        self.port_dir = os.path.join(self.directory, "ports")
        memory_backed = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.arena_dir = tempfile.mkdtemp(prefix="sluice-arena-", dir=memory_backed)
        os.mkdir(self.port_dir)
        os.mkdir(self.state_dir)
        self._workers = worker_cores() if workers is None else str(workers)
        self._memory = memory
        self._args = [str(one) for one in args] + (["--user", user] if user else [])
        if user:
            for folder in (self.directory, self.state_dir, self.port_dir):
                shutil.chown(folder, user)
        self._config = config
        self._netns = netns
        self._process = None
        if start:
            try:
                self.start()
                if document is not None:
                    self.apply(document)
            except BaseException:
                self._end_hard()
                self._remove_folders()
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self._process is not None and kind is None:
                self.stop()
            elif self._process is not None:
                print(f"--- sluiced's log ---\n{self.log_tail()}")  # Shown by pytest beside the failure.
        finally:
            self._end_hard()
            self._remove_folders()

    def _remove_folders(self):
        for folder in (self.directory, self.arena_dir):
            shutil.rmtree(folder, ignore_errors=True)

    # Life

    def command(self):
        """The command line that start() runs."""
        line = [program("sluiced"), "--socket", self.admin_socket, "--state-dir", self.state_dir, "--no-huge",
                "--memory", str(self._memory), "--workers", self._workers, *self._args]
        if "--arena" not in self._args:
            line += ["--arena", self.arena_dir]
        if self._config is not None:
            path = os.path.join(self.directory, "host.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self._config, file)
            line += ["--config", path]
        if self._netns is not None:  # nsenter becomes sluiced: the process is the same.
            line = ["nsenter", f"--net=/run/netns/{self._netns}", *line]
        return line

    def start(self, timeout=START_TIMEOUT):
        """Starts (again) on the same folders and returns when the admin socket accepts connections."""
        self.launch()
        eventually(self.serves, "admin socket of sluiced", timeout)

    def launch(self):
        """As start(), without waiting for anything."""
        assert self._process is None, "sluiced is running already"
        self._process = processes.launch(self.command(), self.log_path)

    def serves(self):
        """Whether the admin socket accepts connections; AssertionError if the process has ended."""
        code = self._process.poll()
        assert code is None, f"sluiced ended with code {code}:\n{self.log_tail()}"
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.admin_socket) == 0

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout=STOP_TIMEOUT):
        """SIGTERM; asserts exit code 0, no admin socket and no process left behind."""
        process, self._process = self._process, None
        code = process.poll()
        assert code is None, f"sluiced had ended by itself with code {code}:\n{self.log_tail()}"
        in_time = processes.end(process, timeout)
        assert in_time, f"sluiced did not stop within {timeout} s:\n{self.log_tail()}"
        code = process.returncode
        deadline = time.monotonic() + HELPER_GRACE
        while _processes_of_session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        left = self._end_session(process.pid)
        assert code == 0, f"sluiced stopped with code {code}:\n{self.log_tail()}"
        assert not os.path.exists(self.admin_socket), "sluiced left its admin socket behind"
        assert not left, f"sluiced left processes behind: {left}"

    def kill(self):
        """SIGKILL, as a crash. start() brings it up again."""
        process, self._process = self._process, None
        process.kill()
        process.wait()
        self._end_session(process.pid)

    def restart(self):
        self.stop()
        self.start()

    def _end_hard(self):
        if self._process is not None:
            self.kill()

    @staticmethod
    def _end_session(session):
        left = _processes_of_session(session)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return left

    def log_tail(self, lines=40):
        """The last lines that it logged."""
        return processes.log_tail(self.log_path, lines)

    # Commands

    def cli(self, *arguments, stdin=None):
        """Runs `sluice -o json ARGUMENTS` and returns its JSON (None if it printed nothing). CliError if it fails."""
        arguments = [str(one) for one in arguments]
        done = subprocess.run([program("sluice"), "--socket", self.admin_socket, "-o", "json", *arguments], input=stdin,
                              capture_output=True, text=True, timeout=CLI_TIMEOUT, check=False)
        if done.returncode != 0:
            raise CliError(arguments, done.returncode, _error_in(done.stderr) or _error_in(done.stdout), done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def cli_error(self, *arguments, stdin=None):
        """As cli, for a command that must fail: the CliError."""
        try:
            result = self.cli(*arguments, stdin=stdin)
        except CliError as error:
            return error
        raise AssertionError(f"sluice {' '.join(map(str, arguments))} succeeded: {result}")

    def apply(self, document):
        """Applies the document (a dict, or text as it is); {"changed", "generation"}. CliError if it is refused."""
        return self.cli("apply", "-", stdin=document if isinstance(document, str) else json.dumps(document))

    def apply_error(self, document):
        """As apply, for a document that must be refused: the CliError."""
        return self.cli_error("apply", "-", stdin=document if isinstance(document, str) else json.dumps(document))

    def text(self, *arguments):
        """Runs the CLI for humans (table output) and returns what it printed."""
        done = subprocess.run([program("sluice"), "--socket", self.admin_socket, *map(str, arguments)], text=True,
                              capture_output=True, timeout=CLI_TIMEOUT, check=False)
        if done.returncode != 0:
            raise CliError(list(map(str, arguments)), done.returncode, {}, done.stderr)
        return done.stdout

    def rpc(self, method, params=None, timeout=30.0):
        """One JSON-RPC request on a connection of its own: the whole response, error or result. Faster than cli."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(self.admin_socket)
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answer:
                return json.loads(answer.readline())

    # What tests often ask

    def vhost_socket(self, name):
        """Path for the vhost-user socket of port `name`, in this daemon's folder."""
        return os.path.join(self.port_dir, f"{name}.sock")

    def port(self, name, port_group, **fields):
        """A vhost port of the document, with its socket in this daemon's folder."""
        return {"name": name, "port_group": port_group, "kind": "vhost", "socket": self.vhost_socket(name), **fields}

    def drops(self, port=None):
        """{reason: count} of the host or of one port, without zeroes."""
        return {reason: count for reason, count in self.cli("show", "drops", *([port] if port else [])).items() if count}

    def wait_port(self, name, state="up", timeout=5.0):
        """Waits until `show ports` gives `state` for the port, and returns its row."""
        def row():
            return next((p for p in self.cli("show", "ports") if p["name"] == name and p["state"] == state), None)
        return eventually(row, f"port {name} {state}", timeout)

    def assert_books_balance(self, timeout=5.0):
        """`show drops --audit` accounts for every frame, at the latest when those under way have arrived."""
        audit = {}

        def balanced():
            audit.update(self.cli("show", "drops", "--audit"))
            return audit["unaccounted"] == 0 and audit["held"] == 0
        try:
            eventually(balanced, "balanced books", timeout)
        except AssertionError:
            raise AssertionError(f"books do not balance: {audit}") from None
        return audit


def _error_in(text):
    """The error object in what the CLI printed; {} if there is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value.get("error", {}) if isinstance(value, dict) else {}
