# SPDX-License-Identifier: Apache-2.0
"""What survives the daemon: connections, bindings, numbers and figures; and what begins anew, with a sentence why."""

import os
import shutil

import pytest

from conditions import eventually
from daemon import Daemon
from scene import Scene, mac_of

WEB = {"default": "drop", "sections": [{"name": "web", "rules": [
    {"name": "web", "action": "allow", "services": ["tcp/80"]}]}]}


@pytest.fixture
def scene():
    with Scene(vms=("vm1", "vm2", "vm3")) as made:
        yield made


def die_and_come_back(scene, clean=False):
    """The daemon goes, by SIGKILL or in order, and comes again; the guests go on with their rings."""
    if clean:
        scene.daemon.stop()
    else:
        scene.daemon.kill()
    scene.daemon.start()
    for name, vm in scene.vms.items():
        vm.reconnect(timeout=10.0, clear=False)
        scene.daemon.wait_port(name)


def arena(scene):
    return scene.daemon.cli("status")["arena"]


def more(scene, sport=4000, seq=106):
    """Data on the connection that conversation() opened, both ways."""
    scene.passes(scene.tcp("vm2", "vm1", 80, sport, "PA", seq=501, ack=seq, payload=b"hello"), "vm2", "vm1")
    scene.passes(scene.tcp("vm1", "vm2", sport, 80, "PA", seq=seq, ack=506, payload=b"again"), "vm1", "vm2")


@pytest.mark.parametrize("clean", [False, True], ids=["killed", "restarted"])
def test_connections_go_on_and_nothing_else_does(scene, clean):
    scene.fresh(dfw=WEB)
    scene.conversation()
    die_and_come_back(scene, clean)
    found = arena(scene)
    assert found["connections"] == 1 and found["dropped"] == 0 and found["why"] == "", found
    assert scene.daemon.cli("status")["connections"] == 1
    more(scene)
    scene.is_dropped(scene.tcp("vm1", "vm2", 4999, 80, "PA", seq=1, ack=1, payload=b"x"), "vm1", "vm2", "tcp_no_connection")
    scene.is_dropped(scene.tcp("vm2", "vm1", 80, 4998, "PA", seq=1, ack=1, payload=b"x"), "vm2", "vm1")
    scene.conversation(sport=4001)
    scene.daemon.assert_books_balance()


def test_figures_go_on(scene):
    scene.fresh(dfw=WEB)
    scene.conversation()
    for _ in range(3):
        scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")

    def figures():
        rule = next(row for row in scene.daemon.cli("show", "rules") if row["name"] == "web")
        ports = {row["name"]: (row["rx_packets"], row["tx_packets"]) for row in scene.daemon.cli("show", "ports")}
        return rule["packets"], scene.daemon.drops("vm1"), ports
    before = figures()
    assert before[0] >= 4
    path = os.path.join(scene.daemon.arena_dir, "counters")
    written = os.stat(path).st_mtime_ns
    eventually(lambda: os.stat(path).st_mtime_ns > written, "figures are written twice", 5.0)
    written = os.stat(path).st_mtime_ns
    eventually(lambda: os.stat(path).st_mtime_ns > written, "figures are written twice", 5.0)
    die_and_come_back(scene)
    assert figures() == before
    scene.daemon.assert_books_balance()


def test_a_rule_and_a_port_that_went_meanwhile(scene):
    """Numbers stay with their names: what is gone takes its connections along, the others keep theirs."""
    scene.fresh(dfw=WEB)
    scene.conversation("vm1", "vm2")
    scene.conversation("vm3", "vm2", sport=5000)
    before = {row["name"]: row for row in scene.daemon.cli("show", "ports")}
    scene.daemon.cli("port", "del", "vm1")
    scene.daemon.kill()
    scene.daemon.start()
    scene.vm2.reconnect(timeout=10.0, clear=False)
    scene.vm3.reconnect(timeout=10.0, clear=False)
    for name in ("vm2", "vm3"):
        scene.daemon.wait_port(name)
    rows = scene.daemon.cli("show", "conns")
    assert {row["sport"] for row in rows} == {5000}, rows
    assert before.keys() - {row["name"] for row in scene.daemon.cli("show", "ports")} == {"vm1"}
    scene.passes(scene.tcp("vm3", "vm2", 5000, 80, "PA", seq=106, ack=501, payload=b"again"), "vm3", "vm2")


def test_bindings_come_back_with_source_and_time(scene):
    groups = [{"name": "net", "switch": "dvs0", "spoofguard": "auto"}]
    ports = [scene.daemon.port(name, "net", mac=mac_of(name)) for name in ("vm1", "vm2")]
    scene.daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": groups, "ports": ports})
    scene.vm1.send(scene.ether("vm1", "vm2").arp("10.0.0.1", "10.0.0.2"))
    before = eventually(lambda: scene.daemon.cli("show", "bindings"), "a binding")
    scene.daemon.kill()
    scene.daemon.start()
    after = scene.daemon.cli("show", "bindings")
    assert [(row["port"], row["ip"], row["source"]) for row in after] == [(row["port"], row["ip"], row["source"]) for row in before]
    assert scene.daemon.cli("status")["arena"]["bindings"] == len(before)


def test_an_arena_that_is_of_no_use_begins_anew_and_says_why(scene):
    scene.fresh(dfw=WEB)
    scene.conversation()
    scene.daemon.kill()
    with open(os.path.join(scene.daemon.arena_dir, "header"), "r+b") as header:
        header.seek(40)
        header.write(b"?")
    scene.daemon.start()
    found = arena(scene)
    assert found["connections"] == 0 and found["why"] == "its header is damaged", found
    assert "begins empty: its header is damaged" in scene.daemon.log_tail()
    scene.daemon.kill()
    os.truncate(os.path.join(scene.daemon.arena_dir, "names"), 0)
    scene.daemon.start()
    assert "its names are lost" in scene.daemon.log_tail()


def test_two_daemons_do_not_share_one(scene):
    with Daemon(args=("--arena", scene.daemon.arena_dir), memory=64) as second:
        assert arena(scene)["dir"] == scene.daemon.arena_dir
        assert second.cli("status")["arena"]["dir"] == "none"
        assert "belongs to another sluiced" in second.log_tail()


def test_none_keeps_nothing():
    with Scene(args=("--arena", "none")) as scene:
        scene.fresh(dfw=WEB)
        scene.conversation()
        die_and_come_back(scene)
        assert arena(scene)["dir"] == "none" and scene.daemon.cli("status")["connections"] == 0
        scene.is_dropped(scene.tcp("vm1", "vm2", 4000, 80, "PA", seq=106, ack=501, payload=b"x"), "vm1", "vm2")
        assert os.listdir(scene.daemon.arena_dir) == []


def test_a_full_tmpfs_costs_survival_and_nothing_else(tmp_path):
    """A folder without room is refused at the start with a sentence, and the daemon runs without an arena."""
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m none {small}") != 0:
        pytest.skip("can't mount a tmpfs here")
    try:
        with Scene(args=("--arena", str(small / "arena"))) as scene:
            scene.fresh(dfw=WEB)
            scene.conversation()
            assert arena(scene)["dir"] == "none"
            assert "an arena needs" in scene.daemon.log_tail()
    finally:
        os.system(f"umount {small}")
        shutil.rmtree(small, ignore_errors=True)
