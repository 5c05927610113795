# SPDX-License-Identifier: Apache-2.0
"""Two uplinks that LACP joins, against the bond of an Open vSwitch (userspace datapath, in the namespace "fabric")."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from conditions import eventually
from packets import BROADCAST, frame, mac
from uplinks import FAR, UplinkStage, from_far, ip_of, mac_of, to_far

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
VSWITCHD = "/usr/lib/openvswitch-switch/ovs-vswitchd"
TEAMING = {"policy": "ip_hash", "lacp": "active"}


class OpenVSwitch:
    """A bridge with a bond of the switch's ends of the cables, lacp=active, and the machine's cable."""

    def __init__(self, stage):
        self.folder = tempfile.mkdtemp(prefix="ovs-")
        self.netns = stage.net["fabric"].name
        self._environment = {**os.environ, **{f"OVS_{one}DIR": self.folder for one in ("RUN", "LOG", "DB", "SYSCONF")}}
        self._programs = []
        self._run("ovsdb-tool", "create", self._path("conf.db"), SCHEMA)
        self._start("ovsdb-server", self._path("conf.db"), f"--remote=punix:{self._path('db.sock')}")
        eventually(lambda: os.path.exists(self._path("db.sock")), "ovsdb-server's socket")
        self.vsctl("--no-wait", "init")
        self._start("nsenter", f"--net=/run/netns/{self.netns}", VSWITCHD, f"unix:{self._path('db.sock')}",
                    "--unixctl", self._path("vs.ctl"))
        self.vsctl("--timeout=20", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                   "--", "add-bond", "br0", "bond0", "sw0", "sw1", "lacp=active", "bond_mode=balance-tcp",
                   "other_config:lacp-time=fast", "--", "add-port", "br0", "m0")

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _run(self, *command):
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def _start(self, *command):
        with open(self._path("log"), "ab") as log:
            self._programs.append(subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, cwd=self.folder))

    def vsctl(self, *words):
        return self._run("ovs-vsctl", f"--db=unix:{self._path('db.sock')}", *words)

    def appctl(self, *words):
        return self._run("ovs-appctl", "-t", self._path("vs.ctl"), *words)

    def close(self):
        for program in reversed(self._programs):
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class LacpStage(UplinkStage):
    def __init__(self, teaming):
        super().__init__(2, teaming, make_fabric=LacpStage.make_bond)

    def make_bond(self):
        self.ovs = OpenVSwitch(self)

    def __exit__(self, kind, value, trace):
        try:
            super().__exit__(kind, value, trace)
        finally:
            if hasattr(self, "ovs"):
                self.ovs.close()

    def wait_lag(self, *members, timeout=30.0):
        """Waits until exactly these members distribute here and are enabled there."""
        def agreed():
            here = {name for name, row in self.uplinks().items() if row["lacp"]["state"] == "distributing"}
            there = self.ovs.appctl("bond/show", "bond0")
            enabled = {f"up{number}" for number in range(2)
                       if f"sw{number}: enabled" in there or f"slave sw{number}: enabled" in there
                       or f"member sw{number}: enabled" in there}
            return here == set(members) == enabled
        try:
            eventually(agreed, f"a LAG of {members}", timeout, 0.05)
        except AssertionError as error:
            rows = {name: row["lacp"] for name, row in self.uplinks().items()}
            raise AssertionError(f"{error}\n{rows}\n{self.ovs.appctl('lacp/show')}\n"
                                 f"{self.ovs.appctl('bond/show', 'bond0')}") from None


@pytest.fixture(name="stage", scope="module")
def _stage():
    if not os.access(VSWITCHD, os.X_OK):
        pytest.skip("no Open vSwitch here")
    with LacpStage(TEAMING) as stage:
        stage.wait_lag("up0", "up1")
        yield stage
        stage.daemon.assert_books_balance()


def flow(port, payload=b"a flow"):
    return frame(src=mac_of("vm1"), dst=FAR).ipv4(ip_of("vm1"), "10.0.0.99").udp(port, 2000, payload)


def senders(frames):
    return [one for one in frames if one[6:12] == mac(mac_of("vm1")) and one[12:14] == b"\x08\x00"]


def test_both_ends_agree(stage):
    rows = stage.uplinks()
    partner = rows["up0"]["lacp"]["partner"]
    assert partner and partner == rows["up1"]["lacp"]["partner"]
    assert rows["up0"]["lacp"]["partner_port"] != rows["up1"]["lacp"]["partner_port"]
    shown = stage.ovs.appctl("lacp/show", "bond0")
    assert shown.count("collecting") >= 2 and "defaulted" not in shown
    assert "distributing with " + partner in stage.daemon.text("show", "uplinks")


def test_flows_spread_over_both_and_each_keeps_its_member(stage):
    stage.drain()
    for _ in range(2):
        stage.vm("vm1").send([flow(port) for port in range(1000, 1032)])
    eventually(lambda: sum(row["tx_packets"] for row in stage.uplinks().values()) >= 64, "all frames sent")
    time.sleep(0.1)
    seen = [senders(stage.wires[wire].drain()) for wire in ("sw0", "sw1")]
    assert len(seen[0]) + len(seen[1]) == 64 and min(len(each) for each in seen) >= 16
    for each in seen:
        assert all(each.count(one) == 2 for one in each), "both frames of a flow by one member"
    assert len(senders(stage.wires["eth0"].drain())) == 64


def test_both_ways_and_broadcasts_once(stage):
    stage.drain()
    stage.vm("vm1").send(to_far("vm1"))
    stage.wires["eth0"].expect(to_far("vm1"))
    stage.wires["eth0"].send(from_far(BROADCAST), from_far(mac_of("vm1"), b"the end"))
    found, others = stage.vm("vm1").receive_until(b"the end")
    assert found and sum(1 for one in others if one.frame == bytes(from_far(BROADCAST))) == 1


def test_link_loss_moves_flows_to_the_other_member(stage):
    stage.drain()
    stage.vm("vm1").start_flood([flow(port) for port in range(1000, 1032)], pps=2000)
    try:
        stage.first_matching("sw1", senders_test)
        begun = time.monotonic()
        stage.cut(1)
        eventually(lambda: stage.uplinks()["up1"]["lacp"]["state"] == "down", "the member gone", 5.0)
        took = time.monotonic() - begun
        count = len(senders(stage.wires["eth0"].drain()))
        eventually(lambda: len(senders(stage.wires["eth0"].drain())) > 0 or count, "frames by the other", 5.0)
    finally:
        stage.vm("vm1").finish_flood()
    print(f"member out {took * 1000:.0f} ms after `ip link set down` began")
    stage.wait_lag("up0")
    stage.drain()
    stage.vm("vm1").send([flow(port, b"by one") for port in range(1000, 1016)])
    eventually(lambda: len(seen := senders(stage.wires["sw0"].drain())) and seen, "frames by up0")
    stage.join(1)
    stage.wait_lag("up0", "up1")


def senders_test(one):
    return bool(senders([one]))


def test_a_silent_partner_takes_the_lag_down_and_it_returns(stage):
    stage.ovs.vsctl("set", "port", "bond0", "lacp=off")
    eventually(lambda: not any(row["works"] for row in stage.uplinks().values()), "no member used", 15.0, 0.05)
    before = stage.daemon.drops("vm1").get("no_uplink", 0)
    stage.vm("vm1").send(to_far("vm1"))
    eventually(lambda: stage.daemon.drops("vm1").get("no_uplink", 0) > before, "a drop no_uplink")
    stage.ovs.vsctl("set", "port", "bond0", "lacp=active")
    stage.wait_lag("up0", "up1")


def test_passive_and_back_to_single_uplinks(stage):
    stage.teaming = {**TEAMING, "lacp": "passive"}
    stage.apply()
    stage.wait_lag("up0", "up1")
    stage.drain()
    stage.vm("vm1").send(to_far("vm1", b"passive"))
    stage.wires["eth0"].expect(to_far("vm1", b"passive"))
    stage.teaming = {"policy": "explicit", "active": ["up1", "up0"]}
    stage.apply()
    stage.wait_works("up0", "up1")
    assert stage.uplinks()["up0"]["lacp"] is None and stage.uplink_of("vm1") == "up1"
    stage.drain()
    stage.vm("vm1").send(to_far("vm1", b"alone"))
    stage.wires["sw1"].expect(to_far("vm1", b"alone"))
    stage.teaming = TEAMING
    stage.apply()
    stage.wait_lag("up0", "up1")
