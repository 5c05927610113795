# SPDX-License-Identifier: Apache-2.0
"""VTEPs on a cable: two daemons, each in a namespace of its own, watch each other by BFD and echo; then a Linux host in
place of one, without BFD and with FRRouting's.

The VTEPs are 172.16.0.1 ("one") and 172.16.0.2 ("two"), their cables' ends are called up0.
"""

import os
import shutil
import subprocess
import tempfile
import time

import pytest
from conditions import eventually
from daemon import Daemon
from network import Namespaces, run

UPLINK = "net_af_packet0,iface=up0"
ADDRESS = {"one": "172.16.0.1", "two": "172.16.0.2"}
ADDRESS6 = {"one": "2001:db8:9::1", "two": "2001:db8:9::2"}
FRR = "/usr/lib/frr"


def document(name, addresses, length, **bfd):
    other = {"one": "two", "two": "one"}[name]
    return {"uplinks": [{"name": "up0", "device": UPLINK}],
            "vteps": [{"name": "tep0", "ip": f"{addresses[name]}/{length}", "uplink": "up0", "mtu": 1600}],
            "switches": [{"name": "dvs0", "uplinks": ["up0"], "remote_vteps": [addresses[other]],
                          "bfd": {"interval_ms": 200, "multiplier": 3, **bfd}}],
            "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}]}


def remote(daemon):
    rows = [row for row in daemon.cli("show", "vteps") if row["kind"] == "remote"]
    assert len(rows) == 1, rows
    return rows[0]


def wait_state(daemon, state, timeout=20.0):
    return eventually(lambda: (row := remote(daemon))["state"] == state and row, f"remote VTEP {state}", timeout)


def assert_books_balance(daemon):
    eventually(lambda: daemon.cli("show", "drops", "--audit")["unaccounted"] == 0, "books balance")


@pytest.fixture(scope="module")
def net():
    with Namespaces("one", "two") as namespaces:
        namespaces.veth("one", "up0", "two", "up0")
        run("ip", "netns", "exec", namespaces["one"].name, "ethtool", "-K", "up0", "tx", "off")
        yield namespaces


class Pair:
    """Both daemons."""

    def __init__(self, net, addresses=None, length=24, **bfd):
        self.addresses = addresses or ADDRESS
        self.daemons = {name: Daemon(netns=net[name].name) for name in ("one", "two")}
        for name, daemon in self.daemons.items():
            daemon.apply(document(name, self.addresses, length, **bfd))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for daemon in self.daemons.values():
            daemon.__exit__(kind, value, trace)

    def __getitem__(self, name):
        return self.daemons[name]


def test_vteps_find_each_other_and_notice_a_crash(net):
    with Pair(net) as pair:
        row = wait_state(pair["one"], "up")
        wait_state(pair["two"], "up")
        assert row["bfd"]["state"] == "up" and row["bfd"]["interval_ms"] == 200 and row["bfd"]["multiplier"] == 3
        assert row["next_hop"] == ADDRESS["two"] and row["source"] == "static"
        row = eventually(lambda: (now := remote(pair["one"]))["rtt_us"] and now, "round trip")
        assert row["loss_percent"] == 0 and 0 < row["rtt_us"] < 1_000_000
        local = [row for row in pair["one"].cli("show", "vteps") if row["kind"] == "local"]
        assert [(row["vtep"], row["ip"], row["uplink"], row["state"]) for row in local] == [
            ("tep0", "172.16.0.1/24", "up0", "up")]

        pair["two"].kill()
        begun = time.monotonic()
        row = wait_state(pair["one"], "down")
        print(f"down after {time.monotonic() - begun:.2f} s")
        assert row["bfd"]["diag"] == "detection_time_expired"
        pair["two"].start()
        wait_state(pair["one"], "up")
        wait_state(pair["two"], "up")
        for name in ("one", "two"):
            assert_books_balance(pair[name])
            assert "bad_bfd" not in {reason for reason, count in pair[name].cli("show", "drops").items() if count}


def test_a_cable_that_is_cut_and_joined_again(net):
    with Pair(net) as pair:
        wait_state(pair["one"], "up")
        wait_state(pair["two"], "up")
        net["two"].ip("link", "set", "up0", "down")
        wait_state(pair["one"], "down")
        net["two"].ip("link", "set", "up0", "up")
        wait_state(pair["one"], "up")
        wait_state(pair["two"], "up")


def test_vteps_find_each_other_over_ipv6(net):
    with Pair(net, ADDRESS6, 64) as pair:
        row = wait_state(pair["one"], "up")
        wait_state(pair["two"], "up")
        assert row["ip"] == ADDRESS6["two"]
        eventually(lambda: remote(pair["two"])["rtt_us"], "round trip")


def test_bfd_turned_off_on_one_side_is_no_failure(net):
    with Pair(net) as pair:
        wait_state(pair["one"], "up")
        pair["two"].apply(document("two", ADDRESS, 24, enabled=False))
        row = eventually(lambda: (now := remote(pair["one"]))["bfd"]["state"] != "up" and now, "BFD is off")
        assert row["state"] in ("admin_down", "unanswered", "init")
        eventually(lambda: remote(pair["two"])["state"] == "up", "echo says that it is there")
        eventually(lambda: remote(pair["two"])["bfd"] is None, "nobody is told any more", 10.0)


@pytest.fixture
def linux(net):
    """The machine "two" as a plain Linux host."""
    net["two"].ip("addr", "add", "172.16.0.2/24", "dev", "up0")
    yield net["two"]
    net["two"].ip("addr", "flush", "dev", "up0")


def test_a_linux_host_without_bfd_is_used_and_answers_echo(net, linux):
    with Daemon(netns=net["one"].name, document=document("one", ADDRESS, 24)) as daemon:
        row = wait_state(daemon, "unanswered")
        row = eventually(lambda: (now := remote(daemon))["rtt_us"] and now, "round trip")
        assert row["loss_percent"] == 0
        assert row["next_hop_mac"] == linux.interfaces()["up0"][1]
        with linux.inside():
            done = subprocess.run(["ping", "-c", "3", "-i", "0.2", "-s", "1400", "-W", "5", ADDRESS["one"]],
                                  capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_books_balance(daemon)


class Frr:
    """FRRouting's bfdd, and the zebra that it gets its interfaces from, in a namespace."""

    def __init__(self, namespace, configuration):
        self.directory = tempfile.mkdtemp(prefix="sluice-frr-")
        os.chmod(self.directory, 0o755)
        shutil.chown(self.directory, "frr", "frr")
        self.processes = []
        zserv = os.path.join(self.directory, "zserv.api")
        self._start(namespace, "zebra", "", zserv)
        eventually(lambda: os.path.exists(zserv), "zebra", 20.0)
        self._start(namespace, "bfdd", configuration, zserv, "--bfdctl", os.path.join(self.directory, "bfdd.sock"))

    def _start(self, namespace, name, configuration, zserv, *more):
        path = os.path.join(self.directory, f"{name}.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(configuration)
        log = os.path.join(self.directory, f"{name}.log")
        with open(log, "wb") as output:
            self.processes.append(subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{namespace.name}", f"{FRR}/{name}", "-f", path, "-z", zserv,
                 "-i", os.path.join(self.directory, f"{name}.pid"), "--vty_socket", self.directory, "-A", "127.0.0.1",
                 "-P", "0", *more], stdin=subprocess.DEVNULL, stdout=output, stderr=output))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.processes = []


@pytest.mark.skipif(not os.path.exists(f"{FRR}/bfdd"), reason="FRRouting is not installed")
def test_frrouting_takes_our_bfd(net, linux):
    peer = "bfd\n peer 172.16.0.1 interface up0\n  receive-interval 200\n  transmit-interval 200\n" \
           "  detect-multiplier 3\n  no shutdown\n"
    with Daemon(netns=net["one"].name, document=document("one", ADDRESS, 24)) as daemon:
        with Frr(linux, peer) as frr:
            row = wait_state(daemon, "up", 30.0)
            assert row["bfd"]["remote_state"] == "up"
            frr.stop()
            wait_state(daemon, "down")
        assert "bad_bfd" not in {reason for reason, count in daemon.cli("show", "drops").items() if count}
        assert_books_balance(daemon)
