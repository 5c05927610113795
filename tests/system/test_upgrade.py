# SPDX-License-Identifier: Apache-2.0
"""`sluice upgrade`: a new process takes over guests, kernel ports and uplinks, or the old one goes on."""

import json
import os
import socket
import subprocess
import urllib.request

import pytest
from frontend import program
from network import run
from scene import mac_of
from uplinks import UplinkStage, from_far, to_far
from upgrades import UpgradableDaemon, UpgradableScene

LOOSE_GAP_MS = 1000.0  # The promise is 50 ms; a loaded machine must not fail the test.


@pytest.fixture(name="scene")
def _scene():
    server = {"vm3": {"socket_mode": "server"}}
    with UpgradableScene(vms=("vm1", "vm2", "vm3"), ports=server, guests={"vm3": {"mode": "client"}}) as scene:
        yield scene


def works(scene, payload=b"payload of a datagram"):
    for one, other in (("vm1", "vm2"), ("vm2", "vm3"), ("vm3", "vm1")):
        scene.passes(scene.udp(one, other, payload=payload), one, other)


def test_guests_go_on_in_another_process(scene):
    """Three times: no guest is disconnected, rings go on where they were, in both socket modes; nothing is left."""
    works(scene)
    pids = {scene.daemon.pid}
    for number in range(3):
        done = scene.daemon.upgrade()
        assert done["gap_ms"] < LOOSE_GAP_MS
        pids.add(done["pid"])
        works(scene, b"behind upgrade %d" % number)
        assert scene.ports_up() == {"vm1": "up", "vm2": "up", "vm3": "up"}
    assert len(pids) == 4
    for vm in scene.vms.values():
        assert vm.call("stats")["connected"] is not False
    scene.daemon.assert_books_balance()
    # And the last one is a daemon like any other.
    scene.vm3.drop()
    scene.daemon.wait_port("vm3", "down")
    scene.vm3.reconnect()
    scene.daemon.wait_port("vm3")
    works(scene)
    scene.apply(port_groups=[{"name": "net", "switch": "dvs0", "vlan": {"mode": "access", "id": 7}}])
    works(scene)


def test_connections_and_figures_go_along(scene):
    """Under a default of drop only what was open goes on; rows of the figures do not fall."""
    scene.apply(dfw={"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "web", "action": "allow", "services": ["tcp/80"]}]}]})
    scene.conversation("vm1", "vm2")
    before = {row["name"]: row["rx_packets"] for row in scene.daemon.cli("show", "ports")}
    sent = 106
    for kind in ("upgrade", "crashes_after_go", "upgrade", "stops_after_go"):
        if kind == "upgrade":
            scene.daemon.upgrade()
        else:
            scene.daemon.upgrade_fails(getattr(scene.daemon, kind)(), within=1)
        scene.passes(scene.tcp("vm1", "vm2", 4000, 80, "PA", seq=sent, ack=501, payload=b"more."), "vm1", "vm2")
        scene.passes(scene.tcp("vm2", "vm1", 80, 4000, "A", seq=501, ack=sent + 5), "vm2", "vm1")
        sent += 5
        scene.is_dropped(scene.tcp("vm1", "vm2", 4001, 80, "A", seq=1, ack=1), "vm1", "vm2")
        after = {row["name"]: row["rx_packets"] for row in scene.daemon.cli("show", "ports")}
        assert all(after[name] >= count for name, count in before.items()), (before, after)
        before = after
    [row] = scene.daemon.cli("show", "conns")
    assert row["sport"] == 4000 and row["state"] == "established", row
    scene.daemon.assert_books_balance()


def test_says_how_far_it_is(scene):
    said = subprocess.run([program("sluice"), "--socket", scene.daemon.admin_socket, "upgrade"], capture_output=True,
                          text=True, timeout=60, check=True)
    lines = said.stderr.splitlines()
    assert lines[0].startswith("starting /") and "is prepared" in lines[1], lines
    assert "has taken over" in said.stdout and "nothing was forwarded for" in said.stdout
    pid = int(lines[1].rsplit(" ", 1)[1])
    from upgrades import Successor
    scene.daemon._process.wait(10)
    scene.daemon._process = Successor(pid)
    works(scene)


@pytest.mark.parametrize("kind,why", [("crashes_at_start", "cannot open libnew.so: no such file"),
                                      ("hangs", "is not prepared in time"),
                                      ("crashes_after_go", "has ended"),
                                      ("stops_after_go", "is not healthy in time")])
def test_comes_back_from_a_bad_build(scene, kind, why):
    works(scene)
    for _ in range(2):
        said = scene.daemon.upgrade_fails(getattr(scene.daemon, kind)(), within=1)
        assert why in said and "this daemon goes on" in said, said
        works(scene)
        assert scene.ports_up() == {"vm1": "up", "vm2": "up", "vm3": "up"}
    scene.daemon.assert_books_balance()
    scene.daemon.upgrade()
    works(scene)


def test_refuses_what_it_can_not_start(scene):
    folder = scene.daemon.directory
    loose = scene.daemon.script("loose", "exit 0\n")
    os.chmod(loose, 0o777)
    text = os.path.join(folder, "text")
    with open(text, "w", encoding="utf-8") as file:
        file.write("no program")
    for binary, why in ((os.path.join(folder, "none"), "No such file"), (loose, "others may write it"),
                        (text, "is no program")):
        assert why in scene.daemon.upgrade_fails(binary)
    assert scene.daemon.cli_error("upgrade", "--within", 0).exit_code == 1
    works(scene)


def test_a_stranger_may_not(scene):
    """Uid 65534 reads, and changes nothing."""
    os.chmod(scene.daemon.directory, 0o755)
    done = subprocess.run([program("sluice"), "--socket", scene.daemon.admin_socket, "upgrade"], capture_output=True, text=True,
                          user=65534, group=65534, extra_groups=[], timeout=30, check=False)
    assert done.returncode == 1 and "may only read" in done.stderr, done
    works(scene)


def test_a_client_that_connects_meanwhile_waits():
    """Metrics and admin clients see no refusal: their sockets go from process to process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with UpgradableScene(args=["--metrics", f"127.0.0.1:{port}"]) as scene:
        inode = os.stat(scene.daemon.admin_socket).st_ino
        for _ in range(2):
            scene.daemon.upgrade()
            assert os.stat(scene.daemon.admin_socket).st_ino == inode
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                assert b"sluice_" in answer.read()


def test_kernel_port_and_uplink():
    """The TAP stays the same interface; frames of the cable come once, also behind a new process that failed."""
    import uplinks
    plain, uplinks.Daemon = uplinks.Daemon, UpgradableDaemon
    try:
        stage = UplinkStage(1, {"policy": "explicit", "active": ["up0"]})
        stage.__enter__()
    finally:
        uplinks.Daemon = plain
    try:
        document = stage.document()
        document["ports"].append({"name": "vmk0", "port_group": "net", "kind": "kernel", "interface": "vmk0",
                                  "netns": stage.net["machine"].name, "mac": "02:00:00:00:00:77", "ips": ["10.0.0.77"],
                                  "addresses": ["10.0.0.77/24"]})
        stage.daemon.apply(document)
        stage.daemon.wait_port("vmk0")
        stage.wait_works("up0")
        index = run("ip", "-n", stage.net["machine"].name, "-j", "link", "show", "vmk0")
        for number, step in enumerate(["nothing", "upgrade", "sluiced-foreign", "crashes_after_go", "upgrade"]):
            if step == "upgrade":
                stage.daemon.upgrade()
            elif step == "sluiced-foreign":  # It has opened the uplink, and leaves it as it was.
                assert "hands over by schema" in stage.daemon.upgrade_fails(program(step))
            elif step == "crashes_after_go":
                stage.daemon.upgrade_fails(stage.daemon.crashes_after_go())
            stage.wait_works("up0")
            stage.drain()
            one = to_far("vm1", b"number %d" % number)
            stage.vm("vm1").send(one)
            stage.wires["eth0"].expect(bytes(one))
            back = from_far(mac_of("vm1"), b"answer %d" % number)
            stage.wires["eth0"].send(bytes(back))
            stage.vm("vm1").expect(bytes(back), alone=False)
            marker = from_far(mac_of("vm1"), b"marker %d" % number)
            stage.wires["eth0"].send(bytes(marker))
            stage.vm("vm1").expect(bytes(marker))  # Nothing came twice in between.
            again = run("ip", "-n", stage.net["machine"].name, "-j", "link", "show", "vmk0")
            assert json.loads(again)[0]["ifindex"] == json.loads(index)[0]["ifindex"]
            assert stage.daemon.cli("show", "port", "vmk0")["state"] == "up"
        stage.daemon.assert_books_balance()
    except BaseException as error:
        stage.__exit__(type(error), error, None)
        raise
    stage.__exit__(None, None, None)
