# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch as a peer: ovsdb-server and ovs-vswitchd of its own in a network namespace, userspace datapath.

    with OpenVSwitch(netns, directory) as ovs:
        ovs.add_bridge("br0", "trunk0")
        ovs.add_flow("br0", "in_port=trunk0,dl_vlan=101,actions=mod_vlan_vid:102,IN_PORT")

All its files are in `directory`; leaving the block ends both processes.
"""

import os
import subprocess

from conditions import eventually

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVSwitch:
    """One Open vSwitch. The namespace is the caller's."""

    def __init__(self, netns, directory):
        self._netns = netns
        self._directory = str(directory)
        self._processes = []
        self._environment = {**os.environ, **{f"OVS_{name}DIR": self._directory for name in ("RUN", "LOG", "DB", "SYSCONF")}}

    def __enter__(self):
        try:
            self._run("ovsdb-tool", "create", self._path("conf.db"), SCHEMA)
            self._spawn("ovsdb-server", self._path("conf.db"), f"--remote=punix:{self._path('db.sock')}", "--unixctl",
                        self._path("db.ctl"))
            eventually(lambda: os.path.exists(self._path("db.sock")), "ovsdb-server's socket")
            self._vsctl("--no-wait", "init")
            self._spawn("ovs-vswitchd", f"unix:{self._path('db.sock')}", "--unixctl", self._path("vs.ctl"))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def add_bridge(self, name, *interfaces):
        """A bridge that forwards nothing but what add_flow() says, with interfaces of the namespace."""
        ports = [word for one in interfaces for word in ("--", "add-port", name, one)]
        self._vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail-mode=secure", *ports)

    def add_flow(self, bridge, flow):
        self._run("ovs-ofctl", "--timeout=10", "add-flow", self._path(f"{bridge}.mgmt"), flow)

    def _vsctl(self, *arguments):
        self._run("ovs-vsctl", "--timeout=20", f"--db=unix:{self._path('db.sock')}", *arguments)

    def _path(self, name):
        return os.path.join(self._directory, name)

    def _run(self, *command):
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"

    def _spawn(self, program, *arguments):
        with open(self._path(f"{program}.log"), "ab") as log:
            self._processes.append(subprocess.Popen(
                ["ip", "netns", "exec", self._netns, program, *arguments], env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log))
