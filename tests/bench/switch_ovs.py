# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch with DPDK as a contestant: an ovsdb-server and an ovs-vswitchd of its own. `normal`: the bridge is a plain
learning switch; `ct`: the policy as OpenFlow rules with connection tracking. docs/benchmark.md says why it is set so."""

import os
import pathlib
import re
import shutil
import subprocess

from machine import LOAD_CORE, WORKER_CORE, Failure, Program, wait_for
from places import (HOST, OWN_VTEP, REMOTE_VTEP, UNDERLAY_BITS, UNDERLAY_MTU, UPLINK, VNI, VTEP_MAC, vtep_mac_of)
from policy import LONG_S, MACS, ZONE
from switch import JsonRpc, Switch, wait_listening

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
RUNTIME = pathlib.Path("/var/run/dpdk")
MEMORY_MB = 512
CONNECTIONS_MAX = 4_000_000
NUMBERS = {"a": 1, "b": 2}  # OpenFlow ports.
PREFIX = f"sluice-bench-{os.getpid()}"
OTHER_CONFIG = {
    "dpdk-init": "true", "pmd-cpu-mask": f"{1 << WORKER_CORE:#x}", "dpdk-lcore-mask": f"{1 << LOAD_CORE:#x}",
    "dpdk-socket-mem": MEMORY_MB, "dpdk-extra": f"--in-memory --no-telemetry --no-pci --file-prefix={PREFIX}", "vhost-sock-dir": ".",
    "max-idle": LONG_S * 1000, "flow-limit": 2_000_000, "tx-flush-interval": 0,
    "n-handler-threads": 1, "n-revalidator-threads": 1}
# What is tried, the best counts: exact-match cache as it comes (one flow in a hundred is put in), with the signature-match
# cache beside it, and without the exact-match cache.
VARIANTS = {"default": {"smc-enable": "false", "emc-insert-inv-prob": 100},
            "smc": {"smc-enable": "true", "emc-insert-inv-prob": 100},
            "no-emc": {"smc-enable": "false", "emc-insert-inv-prob": 0},
            "smc-only": {"smc-enable": "true", "emc-insert-inv-prob": 0}}
_FIELD = re.compile(r"^\s+(?P<name>[a-z][^:]*): (?P<value>[0-9]+)", re.MULTILINE)


def parse_pmd_stats(text):
    """(busy, idle, packets) of the only PMD thread in what `dpif-netdev/pmd-stats-show` prints."""
    parts = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    threads = [part for part in parts if part.startswith("pmd thread")]
    if len(threads) != 1:
        raise Failure(f"pmd-stats-show: {len(threads)} PMD threads, expected one")
    fields = {match["name"]: int(match["value"]) for match in _FIELD.finditer(threads[0])}
    try:
        return fields["processing cycles"], fields["idle cycles"], fields["packets received"]
    except KeyError as missing:
        raise Failure(f"pmd-stats-show: no {missing}") from None


class OpenVSwitch(Switch):
    worker_threads = ("pmd-",)
    hugepages_mb = MEMORY_MB + 4

    def __init__(self, folder, name, binaries):
        super().__init__(folder, name, binaries)
        self._environment = {**os.environ, **{f"OVS_{one}DIR": str(self.folder) for one in ("RUN", "LOG", "DB", "SYSCONF")}}
        self._rpc = JsonRpc(self.folder / "vs.ctl")
        self.variant = None
        self._next_port = 10

    def start(self):
        if not os.access(VSWITCHD, os.X_OK):
            raise Failure(f"{VSWITCHD} is missing: install openvswitch-switch-dpdk")
        self._run("ovsdb-tool", "create", self._path("conf.db"), SCHEMA)
        database = Program([shutil.which("ovsdb-server"), self._path("conf.db"), f"--remote=punix:{self._path('db.sock')}",
                            "--unixctl", self._path("db.ctl")], self.folder / "ovsdb.log", self._environment)
        self.programs = [database]
        wait_for(lambda: os.path.exists(self._path("db.sock")), "ovsdb-server's socket")
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f'other_config:{key}="{value}"' for key, value in
                                                             {**OTHER_CONFIG, **VARIANTS["default"]}.items()))
        # Its bridge is an interface of the host, too: in a network namespace that ends with it.
        daemon = Program(["unshare", "--net", VSWITCHD, f"unix:{self._path('db.sock')}", "--unixctl", self._path("vs.ctl")],
                         self.folder / "vswitchd.log", self._environment)
        self.programs = [database, daemon]
        wait_listening(self._rpc, daemon)
        wait_for(self._is_initialized, "ovs-vswitchd has started DPDK", 40, 0.05)
        self._place = None
        self._arrange(HOST)

    def _is_initialized(self):
        self.programs[-1].check()
        return self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized") == "true"

    def _arrange(self, place):
        """Its bridges, made anew if the guests are elsewhere than before."""
        if place == self._place:
            return
        for bridge in self.vsctl("list-br").split():
            self.vsctl("del-br", bridge)
        self._place = None  # Until all of it is there.
        self._make_bridge(place)
        if place.fabric:
            self._add_tunnel(place)
        if self.name != "ct":
            self.run_ofctl("replace-flows", place.openflow(NUMBERS))
        self._place = place
        self.settle()  # The PMD thread is another one.

    def _make_bridge(self, place):
        mode = "secure" if self.name == "ct" else "standalone"
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", f"fail-mode={mode}",
                   "other-config:mac-aging-time=3600")
        guests = {guest: number for guest, number in NUMBERS.items() if guest != place.fabric}
        for guest, number in guests.items():
            self.vsctl(*self._add_port_words(guest, number))
        wait_for(lambda: self.rpc("dpif-netdev/pmd-stats-show", "-pmd", str(WORKER_CORE)), "a PMD thread")
        if self.name == "ct":
            self.rpc("dpctl/ct-set-maxconns", str(CONNECTIONS_MAX))
            self.vsctl("--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch", ".",
                       "datapaths:netdev=@d")
            timeouts = (f"udp_{one}={LONG_S}" for one in ("first", "single", "multiple"))
            self.vsctl("add-zone-tp", "netdev", f"zone={ZONE}", *timeouts)
        for guest in guests:  # What a learning switch knows after the first answer: no flooding to all ports.
            self.rpc("fdb/add", "br0", guest, "0", MACS[guest])

    def _add_tunnel(self, place):
        """An underlay bridge with the uplink and the VTEP's address, and the guest behind the fabric."""
        self.vsctl("add-br", "underlay", "--", "set", "bridge", "underlay", "datapath_type=netdev",
                   f'other-config:hwaddr="{VTEP_MAC}"', "other-config:mac-aging-time=3600")
        self.vsctl("set", "Interface", "underlay", f"mtu_request={UNDERLAY_MTU}")
        self.vsctl("add-port", "underlay", UPLINK, "--", "set", "Interface", UPLINK, "type=dpdk", f"mtu_request={UNDERLAY_MTU}",
                   f"options:dpdk-devargs=net_vhost0,iface={self.socket_path(UPLINK)},client=1")
        for words in (["address", "replace", f"{OWN_VTEP}/{UNDERLAY_BITS}", "dev", "underlay"], ["link", "set", "underlay", "up"]):
            self._run("nsenter", "--net", f"--target={self.programs[-1].process.pid}", "ip", *words)
        wait_for(lambda: "underlay" in self.rpc("ovs/route/lookup", REMOTE_VTEP), "the underlay's route")
        self.vsctl("add-port", "br0", "tunnel", "--", "set", "Interface", "tunnel", "type=vxlan", f"options:key={VNI}",
                   f"options:remote_ip={REMOTE_VTEP}", f"options:local_ip={OWN_VTEP}")
        self.rpc("tnl/neigh/set", "underlay", REMOTE_VTEP, vtep_mac_of(place.fabric))
        self.rpc("tnl/neigh/aging", "3600")
        self.rpc("fdb/add", "underlay", UPLINK, "0", vtep_mac_of(place.fabric))
        self.rpc("fdb/add", "br0", "tunnel", "0", MACS[place.fabric])

    def _add_port_words(self, name, number):
        return ["add-port", "br0", name, "--", "set", "Interface", name, "type=dpdkvhostuserclient",
                f"options:vhost-server-path={self.socket_path(name)}", f"ofport_request={number}"]

    def stop(self):
        super().stop()
        shutil.rmtree(RUNTIME / PREFIX, ignore_errors=True)  # DPDK leaves it, empty.

    def configure(self, policy, place=HOST):
        self._arrange(place)
        if self.name == "ct":
            self.run_ofctl("replace-flows", policy.openflow(NUMBERS))

    def use_variant(self, name):
        """Other settings of the flow caches (VARIANTS)."""
        if name != self.variant:
            self.vsctl("set", "Open_vSwitch", ".", *(f"other_config:{key}={value}" for key, value in VARIANTS[name].items()))
            self.variant = name

    def counters(self):
        return parse_pmd_stats(self.rpc("dpif-netdev/pmd-stats-show", "-pmd", str(WORKER_CORE)))

    def forget_connections(self):
        if self.name == "ct":
            self.rpc("dpctl/flush-conntrack")

    def add_port(self, name):
        self._next_port += 1
        self.vsctl(*self._add_port_words(name, self._next_port))

    def rpc(self, method, *params):
        """As ovs-appctl."""
        return self._rpc.ask(method, list(params))

    def vsctl(self, *arguments):
        return self._run("ovs-vsctl", "--timeout=30", f"--db=unix:{self._path('db.sock')}", *arguments)

    def run_ofctl(self, command, flows):
        """Gives ovs-ofctl a file of flows."""
        self._run("ovs-ofctl", "--timeout=60", "-O", "OpenFlow14", command, self._path("br0.mgmt"), "-",
                  stdin="\n".join(flows) + "\n")

    def _path(self, name):
        return str(self.folder / name)

    def _run(self, *command, stdin=None):
        try:
            done = subprocess.run(command, env=self._environment, input=stdin, capture_output=True, text=True, timeout=90,
                                  check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(f"{command[0]}: {error}") from None
        if done.returncode:
            raise Failure(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return done.stdout.strip()
