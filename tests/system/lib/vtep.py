# SPDX-License-Identifier: Apache-2.0
"""Controllers of the schema hardware_vtep for tests: its database, vtep-ctl, and OVN's chain that ends in it; hosts and Linux
machines on one underlay.

    with Fabric("a", "b", "p") as fabric, vtep_database(folder) as database:
        ctl(database, "list-ps")
"""

import contextlib
import os
import shutil
import subprocess
import tempfile

import processes
from daemon import Daemon
from network import Namespaces
from ovsdb import Server, run

SCHEMAS = {"hardware_vtep": "/usr/share/openvswitch/vtep.ovsschema", "OVN_Northbound": "/usr/share/ovn/ovn-nb.ovsschema",
           "OVN_Southbound": "/usr/share/ovn/ovn-sb.ovsschema"}
UNDERLAY_MTU = 1550  # What inner packets of 1500 bytes need.


@contextlib.contextmanager
def databases(*names):
    """A running server with empty databases of these names, in a folder of its own that is short enough for sockets."""
    folder = tempfile.mkdtemp(prefix="sluice-vtep-", dir="/tmp")
    files = []
    try:
        for name in names:
            files.append(os.path.join(folder, f"{name}.db"))
            run("ovsdb-tool", "create", files[-1], SCHEMAS[name])
        with Server(folder, files, names[0]) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Control:
    """vtep-ctl, ovn-nbctl or ovn-sbctl on one server: control("add-ls", "web")."""

    def __init__(self, program, server):
        self._command = [program, "--timeout=20", f"--db={server.remotes}"]

    def __call__(self, *words):
        return run(*self._command, *words)


class Process:
    """A daemon of OVN in the foreground, with its sockets in `folder`."""

    def __init__(self, folder, *command):
        self.log_path = os.path.join(folder, f"{command[0]}.log")
        environment = {**os.environ, "OVN_RUNDIR": folder, "OVS_RUNDIR": folder}
        self._process = processes.launch([*command, "--no-chdir", "-vconsole:warn"], self.log_path, environment=environment)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        processes.end(self._process)


class Fabric:
    """Namespaces of hosts and machines, each with an interface `up0` on one switch, and one namespace "vm-NAME" each for a stack
    behind it."""

    def __init__(self, *names):
        self.names = names

    def __enter__(self):
        self.net = Namespaces("wire", *self.names, *(f"vm-{name}" for name in self.names))
        self.net.__enter__()
        try:
            wire = self.net["wire"]
            wire.ip("link", "add", "br0", "type", "bridge")
            wire.ip("link", "set", "br0", "mtu", UNDERLAY_MTU, "up")
            for name in self.names:
                self.net.veth("wire", f"to-{name}", name, "up0")
                wire.ip("link", "set", f"to-{name}", "mtu", UNDERLAY_MTU, "master", "br0")
                self.net[name].ip("link", "set", "up0", "mtu", UNDERLAY_MTU)
        except BaseException as error:
            self.net.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.net.__exit__(kind, value, trace)

    def daemon(self, name, vtep, server, *ports, **options):
        """A host that offers `ports` (host-NAME) to the controllers of `server`."""
        config = {"host": {"name": f"host-{name}"},
                  "uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
                  "vteps": [{"name": "tep0", "ip": f"{vtep}/24", "uplink": "up", "mtu": UNDERLAY_MTU}],
                  "ports": list(ports)}
        return Daemon(config=config, netns=self.net[name].name, args=["--source", f"vtep:{server.remotes}"], **options)

    def kernel_port(self, name, interface, stack, mac, address):
        """A port that is a stack of its own, without a port group: the controller gives it one."""
        return {"name": name, "kind": "kernel", "interface": interface, "netns": self.net[stack].name, "mac": mac,
                "addresses": [f"{address}/24"]}

    def linux(self, name, address):
        """Gives a machine its address on the underlay."""
        self.net[name].ip("addr", "add", f"{address}/24", "dev", "up0")

    def linux_vtep(self, name, address, vni, mac, inner, remotes):
        """Makes a machine an end of a VXLAN with a stack in it; it floods to `remotes`."""
        machine = self.net[name]
        machine.ip("link", "add", "vxlan0", "address", mac, "mtu", 1500, "type", "vxlan", "id", vni, "local", address,
                   "dstport", 4789)
        for remote in remotes:
            run("bridge", "-n", machine.name, "fdb", "append", "00:00:00:00:00:00", "dev", "vxlan0", "dst", remote)
        machine.ip("addr", "add", f"{inner}/24", "dev", "vxlan0")
        machine.ip("link", "set", "vxlan0", "up")

    def pings(self, stack, address, count=1):
        done = subprocess.run(["ip", "netns", "exec", self.net[stack].name, "ping", "-n", "-q", "-c", str(count), "-i", "0.05",
                               "-W", "1", address], capture_output=True, check=False, timeout=60)
        return done.returncode == 0
