# SPDX-License-Identifier: Apache-2.0
"""What scripts/fleet runs: starts a fleet that outlives this program, tells of it, takes it down by the pids that it wrote down.

Everything is in one folder (--directory): run.json says which processes (with their start times, so that a pid that went to
somebody else is left alone) and which namespaces are ours.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

from conditions import eventually
from fleet import NET, UNDERLAY_MTU, guest_ip, host_name, playground_document, plug
from frontend import program
from network import Namespace, Namespaces
from ovsdb import Databases

DIRECTORY = "/run/sluice-fleet"
PREFIX = "slf-"
TERM_GRACE_S = 10.0


def start_time(pid):
    """When the process began, in the kernel's ticks; None: there is none, or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Run:
    """What was started; written at each addition, so that `down` finds it whatever happens."""

    def __init__(self, directory):
        self.directory = directory
        self.path = os.path.join(directory, "run.json")
        self.content = {"processes": [], "namespaces": [], "hosts": 0}

    @staticmethod
    def load(directory):
        found = Run(directory)
        try:
            with open(found.path, encoding="utf-8") as file:
                found.content = json.load(file)
        except FileNotFoundError:
            return None
        return found

    def save(self):
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            json.dump(self.content, file, indent=1)
        os.replace(f"{self.path}.new", self.path)

    def add_process(self, name, pid):
        self.content["processes"].append({"name": name, "pid": pid, "started": start_time(pid)})
        self.save()

    def living(self):
        return [one for one in self.content["processes"] if start_time(one["pid"]) == one["started"]]

    def take_down(self):
        """Hosts first, databases after them, then namespaces and the folder."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for one in reversed(self.living()):
                os.kill(one["pid"], signal.SIGCONT)
                os.kill(one["pid"], number)
            deadline = time.monotonic() + TERM_GRACE_S
            while self.living() and time.monotonic() < deadline:
                time.sleep(0.02)
        for name in self.content["namespaces"]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


class Named(Namespaces):
    """Namespaces whose names are PREFIX and their short name."""

    def __init__(self, prefix, record):
        super().__init__()
        self._prefix, self._record = prefix, record

    def make(self, name):
        full = self._prefix + name
        self._record.content["namespaces"].append(full)
        self._record.save()
        self._made[name] = Namespace(full)


def sluice(databases, *arguments, stdin=None):
    return subprocess.run([program("sluice"), "--db", databases.db, *arguments], input=stdin, text=True, check=False)


def start_databases(record, cluster, relays):
    databases = Databases(cluster, relays, directory=record.directory, stays=True)
    try:
        databases.start()
    finally:
        for server in databases.servers:
            if server.is_running:
                record.add_process(f"ovsdb-server {os.path.relpath(server.directory, record.directory)}", server.pid)
    return databases


def start_host(record, net, host, source):
    folder = os.path.join(record.directory, host_name(host))
    os.makedirs(os.path.join(folder, "state"))
    with open(os.path.join(folder, "host.json"), "w", encoding="utf-8") as file:
        json.dump({"host": {"name": host_name(host)}}, file)
    cores = sorted(os.sched_getaffinity(0))
    command = ["nsenter", f"--net=/run/netns/{net[f'h{host}'].name}", program("sluiced"), "--socket", f"{folder}/sluiced.sock",
               "--state-dir", f"{folder}/state", "--config", f"{folder}/host.json", "--source", source, "--no-huge",
               "--memory", "128", "--arena", "none", "--workers", str(cores[host % len(cores)])]
    with open(f"{folder}/sluiced.log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def serves():
        if process.poll() is not None:
            with open(f"{folder}/sluiced.log", encoding="utf-8", errors="replace") as log:
                raise AssertionError(f"sluiced of {host_name(host)} ended:\n{log.read()[-2000:]}")
        return os.path.exists(f"{folder}/sluiced.sock")
    try:
        eventually(serves, f"sluiced of {host_name(host)}", 20.0)
    finally:
        if process.poll() is None:
            record.add_process(f"sluiced {host_name(host)}", process.pid)


def start_all(record, options):
    hosts = range(1, options.hosts + 1)
    net = Named(options.prefix, record)
    for name in ["fabric", *[f"h{host}" for host in hosts], *[f"h{host}{one}" for host in hosts for one in NET]]:
        net.make(name)
    net["fabric"].ip("link", "add", "br0", "mtu", UNDERLAY_MTU, "up", "type", "bridge", "mcast_snooping", "0")
    databases = start_databases(record, options.cluster, options.relays)
    for host in hosts:
        plug(net, f"h{host}", f"c-h{host}")
        start_host(record, net, host, databases.source)
    path = os.path.join(record.directory, "fleet.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(playground_document(options.hosts, options.prefix), file, indent=1)
    done = sluice(databases, "apply", path, "--wait", "30")
    assert done.returncode == 0, f"the fleet's document could not be applied: {path}"
    for host in hosts:
        for one in NET:
            guest = net[f"h{host}{one}"]
            eventually(lambda guest=guest: "eth0" in guest.interfaces(), f"the interface of {guest.name}", 20.0)
            guest.ip("route", "replace", "default", "via", f"10.0.{NET[one]}.254")
    return databases


def up(options):
    if Run.load(options.directory) is not None:
        sys.exit(f"error: a fleet is up in {options.directory}; scripts/fleet down takes it down")
    os.makedirs(options.directory, mode=0o755, exist_ok=True)
    record = Run(options.directory)
    record.content["hosts"] = options.hosts
    record.save()
    try:
        databases = start_all(record, options)
    except (AssertionError, RuntimeError, OSError) as error:
        record.take_down()
        sys.exit(f"error: {error}")
    record.content["db"] = databases.db
    record.save()
    show(record, options.prefix)
    return 0


def show(record, prefix):
    tool, db = program("sluice"), record.content["db"]
    last = record.content["hosts"]
    print(f"""
{last} hosts are up, each with a guest in "web" and one in "db". To try:

  DB={shlex.quote(db)}
  {tool} --db $DB fleet hosts
  {tool} --db $DB export > fleet.json          # edit it, then
  {tool} --db $DB apply fleet.json --wait 30
  {tool} --db $DB fleet realized
  {tool} --socket {record.directory}/host-1/sluiced.sock show bindings
  ip netns exec {prefix}h1web ping {guest_ip(last)}             # the same network, another host
  ip netns exec {prefix}h1web ping {guest_ip(last, 'db')}             # the other network, by the router

Files and logs: {record.directory}. scripts/fleet down takes all of it down.""")


def status(options):
    record = Run.load(options.directory)
    if record is None:
        print("no fleet is up")
        return 1
    living = [one["pid"] for one in record.living()]
    for one in record.content["processes"]:
        print(f"{one['name']:32} pid {one['pid']:<8} {'runs' if one['pid'] in living else 'has ended'}")
    if "db" in record.content:
        subprocess.run([program("sluice"), "--db", record.content["db"], "fleet", "hosts"], check=False)
    return 0 if len(living) == len(record.content["processes"]) else 1


def down(options):
    record = Run.load(options.directory)
    if record is None:
        print("no fleet is up")
        return 0
    record.take_down()
    left = record.living()
    for one in left:
        print(f"error: {one['name']} (pid {one['pid']}) does not end", file=sys.stderr)
    return 1 if left else 0


def count_of(least, most):
    def count(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not within {least}..{most}")
        return value
    return count


def main():
    parser = argparse.ArgumentParser(prog="scripts/fleet")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function, about in (("up", up, "start databases and hosts"), ("status", status, "what runs"),
                                  ("down", down, "end all of it")):
        command = commands.add_parser(name, help=about)
        command.set_defaults(run=function)
        command.add_argument("--directory", default=DIRECTORY, help="where it lives (%(default)s)")
        command.add_argument("--prefix", default=PREFIX, help="of its network namespaces (%(default)s)")
        if name == "up":
            command.add_argument("hosts", type=count_of(1, 50), help="how many hosts, 1 to 50")
            command.add_argument("--cluster", type=count_of(1, 7), default=3, help="servers of Sluice_Config (%(default)s)")
            command.add_argument("--relays", type=count_of(0, 16), default=2, help="relays before them (%(default)s)")
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
