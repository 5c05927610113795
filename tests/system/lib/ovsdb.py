# SPDX-License-Identifier: Apache-2.0
"""Databases of a fleet for a test: real ovsdb-servers in a temporary folder, standalone, clustered and relayed.

    with Databases(cluster=3, relays=2) as databases:
        databases.config.leader().kill()
        Connection(databases.config.remotes).transact("Sluice_Config", [...])

Each process is ended by its own pid, at the latest when its owner's block is left. Sockets are Unix sockets, reachable from
every network namespace; for TLS, `arguments` name files (pki.py) and listeners.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

import processes
from conditions import eventually
from ovsdb_client import CONFIG, STATUS, Connection, rows_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCHEMAS = os.path.join(ROOT, "controller-agent", "schema")
SCHEMA = {CONFIG: os.path.join(SCHEMAS, "sluice-config.ovsschema"), STATUS: os.path.join(SCHEMAS, "sluice-status.ovsschema")}
RBAC = os.path.join(SCHEMAS, "sluice-status-rbac.json")
ELECTION_MS = 1000  # RAFT's election timer: its own default, and the least that a loaded machine keeps.
START_TIMEOUT = 20.0


def run(*command, timeout=60):
    """Runs a command that must succeed; its output."""
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr.strip()}"
    return done.stdout


def free_port():
    """A TCP port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One ovsdb-server process in `directory`, on a Unix socket. `databases`: what it serves, as its command line has it.
    `stays`: it outlives the process that started it. start() may be called again after kill() and stop()."""

    def __init__(self, directory, databases, database, arguments=(), stays=False):
        self.directory, self.database = directory, database
        os.makedirs(directory, exist_ok=True)
        self.socket_path = os.path.join(directory, "db.sock")
        self.log_path = os.path.join(directory, "ovsdb-server.log")
        self._databases, self._arguments, self._stays = list(databases), list(arguments), stays
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.kill()

    @property
    def remotes(self):
        return f"unix:{self.socket_path}"

    @property
    def pid(self):
        return self._process.pid

    @property
    def is_running(self):
        return self._process is not None and self._process.poll() is None

    def start(self, wait=True):
        assert self._process is None, "the server is running already"
        for name in ("db.sock", "ctl.sock"):
            if os.path.exists(os.path.join(self.directory, name)):
                os.unlink(os.path.join(self.directory, name))
        command = ["ovsdb-server", "--no-chdir", f"--unixctl={self.directory}/ctl.sock", f"--remote=punix:{self.socket_path}",
                   "-vconsole:warn", *self._arguments, *self._databases]
        self._process = processes.launch(command, self.log_path, self._stays)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=START_TIMEOUT):
        """Until clients are served: the database is there and connected (to its cluster, or its source)."""
        eventually(self.is_ready, f"{self.database} served by {self.directory}", timeout, 0.02)

    def is_ready(self):
        assert self._process.poll() is None, f"ovsdb-server ended:\n{self.log_tail()}"
        row = self.server_row()
        return row is not None and row["connected"] and row.get("schema")

    def server_row(self):
        """The row of `_Server.Database` about its database; None: it does not answer, or has no such database."""
        try:
            with Connection(self.remotes, timeout=2.0) as connection:
                rows = connection.select("_Server", "Database")
        except (OSError, RuntimeError):
            return None
        return next((row for row in rows if row["name"] == self.database), None)

    def is_leader(self):
        row = self.server_row()
        return row is not None and row["connected"] and row["leader"]

    def stop(self):
        """SIGTERM."""
        process, self._process = self._process, None
        processes.end(process)

    def kill(self):
        """SIGKILL, frozen or not. Nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self):
        """It keeps its connections and says nothing, until thaw()."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def control(self, *arguments):
        """A command of its control socket (ovs-appctl)."""
        return run("ovs-appctl", "--timeout=20", "-t", f"{self.directory}/ctl.sock", *arguments)

    def connect(self, timeout=10.0):
        return Connection(self.remotes, timeout=timeout)

    def log_tail(self, lines=40):
        return processes.log_tail(self.log_path, lines)


def standalone(directory, database, schema=None, **options):
    """A Server with a database file of its own."""
    os.makedirs(directory, exist_ok=True)
    file = os.path.join(directory, f"{database}.db")
    if not os.path.exists(file):
        run("ovsdb-tool", "create", file, schema or SCHEMA[database])
    return Server(directory, [file], database, **options)


def relay(directory, database, source, **options):
    """A Server that repeats the database of `source` (remotes, comma-separated)."""
    return Server(directory, [f"relay:{database}:{source}"], database, **options)


class Cluster:
    """`count` servers of one RAFT database, each with a folder of its own below `directory`."""

    def __init__(self, directory, database, count=3, schema=None, **options):
        self.directory, self.database = directory, database
        self._schema, self._options = schema or SCHEMA[database], options
        self.servers = []
        for number in range(1, count + 1):
            folder = os.path.join(directory, f"n{number}")
            file = os.path.join(folder, f"{database}.db")
            self.servers.append(Server(folder, [file], database, **options))
            if os.path.exists(file):
                continue
            if number == 1:
                run("ovsdb-tool", f"--election-timer={ELECTION_MS}", "create-cluster", file, self._schema, self._raft(1))
            else:
                run("ovsdb-tool", "join-cluster", file, database, self._raft(number), self._raft(1))

    def _raft(self, number):
        return f"unix:{self.directory}/n{number}/raft.sock"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for server in self.servers:
            server.kill()

    def start(self):
        """The first makes the cluster, the others join it."""
        for server in self.servers:
            server.start(wait=False)
        self.wait_ready()

    def wait_ready(self, timeout=START_TIMEOUT):
        for server in self.servers:
            server.wait_ready(timeout)
        self.leader(timeout)

    @property
    def remotes(self):
        return ",".join(server.remotes for server in self.servers)

    def leader(self, timeout=START_TIMEOUT, but=None):
        """The server that leads; `but`: one that does not count (a frozen one)."""
        def leading():
            return next((one for one in self.servers if one is not but and one.is_running and one.is_leader()), None)
        return eventually(leading, f"a leader of {self.database}", timeout, 0.05)

    def followers(self):
        leader = self.leader()
        return [server for server in self.servers if server is not leader]

    def replace(self, server):
        """`server` (which does not run, and was kicked) begins again with an empty disk, at an address of its own."""
        file = os.path.join(server.directory, f"{self.database}.db")
        for name in os.listdir(server.directory):
            if name.startswith((f"{self.database}.db", ".")):
                os.unlink(os.path.join(server.directory, name))
        others = [f"unix:{one.directory}/raft.sock" for one in self.servers if one is not server]
        run("ovsdb-tool", "join-cluster", file, self.database, f"unix:{server.directory}/raft.sock", *others)
        server.start()

    def cluster_id(self):
        return self.leader().server_row()["cid"]


class Databases:
    """What a fleet has: Sluice_Config (clustered if `cluster` is not 1, with `relays` before it) and Sluice_Status, which
    the former names. `directory`: an own temporary folder if None."""

    def __init__(self, cluster=3, relays=2, directory=None, stays=False):
        self._is_own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="sluice-fleet-")
        if cluster == 1:
            self.config = standalone(f"{self.directory}/config", CONFIG, stays=stays)
        else:
            self.config = Cluster(f"{self.directory}/config", CONFIG, cluster, stays=stays)
        self.status = standalone(f"{self.directory}/status", STATUS, stays=stays)
        self.relays = [relay(f"{self.directory}/relay{number}", CONFIG, self.config.remotes, stays=stays)
                       for number in range(1, relays + 1)]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for one in [*self.relays, self.status]:
            one.kill()
        self.config.__exit__(None, None, None)
        if self._is_own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        self.config.start()
        self.status.start()
        for one in self.relays:
            one.start()
        self.introduce()

    def mend(self):
        """Everything runs again, whatever was done to it."""
        for one in self.servers:
            if one.is_running:
                one.thaw()
            else:
                one.kill()
                one.start(wait=False)
        for one in self.servers:
            one.wait_ready()

    def introduce(self):
        """The one row of Global: where the status database is."""
        with Connection(self.config.remotes, leader_only=CONFIG) as connection:
            if not connection.select(CONFIG, "Global"):
                row = {"generation": 0, "epoch": 0, "status_remotes": self.status.remotes}
                connection.transact(CONFIG, [{"op": "insert", "table": "Global", "row": row}])

    @property
    def servers(self):
        """All processes."""
        config = self.config.servers if isinstance(self.config, Cluster) else [self.config]
        return [*config, *self.relays, self.status]

    @property
    def db(self):
        """Value of `sluice --db`: where the configuration is written."""
        return self.config.remotes

    @property
    def source(self):
        """Value of `sluiced --source`: the relays, if there are any."""
        return "ovsdb:" + (",".join(one.remotes for one in self.relays) or self.config.remotes)

    def rows(self, database, table, columns=None):
        """All rows of a table, as their server has them now."""
        remotes = self.config.remotes if database == CONFIG else self.status.remotes
        return rows_of(remotes, database, table, columns)

    def host_row(self, host):
        """Row of Sluice_Status.Host, None if there is none."""
        return next((row for row in self.rows(STATUS, "Host") if row["host"] == host), None)

    def wait_host(self, host, timeout=30.0, **columns):
        """Until the row of `host` has these values."""
        def row():
            found = self.host_row(host)
            return found if found and all(found[name] == value for name, value in columns.items()) else None
        return eventually(row, f"host {host} reports {columns}", timeout, 0.05)
