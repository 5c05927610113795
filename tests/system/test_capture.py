# SPDX-License-Identifier: Apache-2.0
"""sluice capture: files that other tools read, frames byte by byte, why they were dropped, clean ends."""

import json
import os
import signal
import subprocess

import pytest
from conditions import eventually
from frontend import program
from packets import frame
from scapy.utils import RawPcapNgReader
from scene import Scene, ip_of, mac_of

CAPTURE_MAX = 4  # limits.h
NO_DNS = [{"name": "no-dns", "action": "drop", "services": ["udp/53"]}]
NO_WEB_IN = [{"name": "no-web", "action": "drop", "direction": "in", "services": ["udp/80"], "applied_to": ["vm2"]}]


class Capture:
    """A running `sluice capture`; the constructor returns when it is in force."""

    def __init__(self, scene, *arguments, options=()):
        line = [program("sluice"), "--socket", scene.daemon.admin_socket, *options, "capture", *map(str, arguments)]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.first = self.process.stderr.readline().decode()

    def __enter__(self):
        assert self.first.startswith("capturing on"), self.first
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def wait(self):
        """Until it has ended by itself: (standard output, standard error)."""
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        return out.decode(), self.first + err.decode()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()


def rules(*lists):
    return {"sections": [{"name": "s", "rules": [rule for each in lists for rule in each]}]}


def read(path):
    """[(bytes, comment)] by scapy's reader."""
    reader = RawPcapNgReader(str(path))
    return [(data, (meta.comment or b"").decode()) for data, meta in reader]


@pytest.fixture(name="scene", scope="module", params=[[], ["--no-flow-cache"]], ids=["cached", "walked"])
def _scene(request):
    with Scene(vms=("vm1", "vm2", "vm3"), args=request.param) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def test_file_holds_every_frame_with_its_reason(scene, tmp_path):
    scene.fresh(dfw=rules(NO_DNS, NO_WEB_IN))
    path = tmp_path / "vm1.pcapng"
    good, dns, web = scene.udp("vm1", "vm2"), scene.udp("vm1", "vm2", dport=53), scene.udp("vm1", "vm2", dport=80)
    back = scene.udp("vm2", "vm1", 2000, 1000, payload=b"x" * 1400)
    with Capture(scene, "vm1", "-w", path, "-c", 7) as capture:
        for _ in range(2):  # First packet, then by the flow table.
            scene.passes(good, "vm1", "vm2")
        scene.vm1.send([dns, dns, web, web])
        scene.passes(back, "vm2", "vm1")
        _, err = capture.wait()
    assert "7 frames captured, 0 missed" in err
    assert read(path) == [
        (bytes(good), ""), (bytes(good), ""),
        (bytes(dns), "dropped: dfw_deny (slot 2 dfw)"), (bytes(dns), "dropped: dfw_deny (slot 2 dfw)"),
        (bytes(web), "dropped: dfw_deny (slot 2 dfw of vm2)"), (bytes(web), "dropped: dfw_deny (slot 2 dfw of vm2)"),
        (bytes(back), "")]


def test_tcpdump_reads_the_file(scene, tmp_path):
    scene.fresh()
    path = tmp_path / "vm2.pcapng"
    with Capture(scene, "vm2", "-w", path, "-c", 1) as capture:
        scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
        capture.wait()
    line = subprocess.run(["tcpdump", "-n", "-r", str(path)], capture_output=True, text=True, check=True).stdout
    assert f"IP {ip_of('vm1')}.1000 > {ip_of('vm2')}.2000: UDP, length 21" in line


def test_directions(scene):
    """to-vm of the receiver holds what arrived and what was dropped on its way there; from-vm only what it sent."""
    scene.fresh(dfw=rules(NO_DNS, NO_WEB_IN))
    with Capture(scene, "vm2", "--direction", "to-vm", "-c", 2) as to_vm, \
            Capture(scene, "vm2", "--direction", "from-vm", "-c", 1) as from_vm:
        scene.is_dropped(scene.udp("vm1", "vm2", dport=53), "vm1", "vm2", "dfw_deny")
        scene.is_dropped(scene.udp("vm1", "vm2", dport=80), "vm1", "vm2", "dfw_deny")
        scene.passes(scene.udp("vm2", "vm1"), "vm2", "vm1")
        received, _ = to_vm.wait()
        sent, _ = from_vm.wait()
    # The marker behind the first frame, which vm1's own chain dropped; then the second frame.
    assert "ethertype 0x88b5" in received.splitlines()[0]
    assert "10.0.0.2.80: UDP" in received.splitlines()[1]
    assert received.splitlines()[1].endswith("dropped: dfw_deny (slot 2 dfw)")
    assert len(sent.splitlines()) == 1 and "10.0.0.2.1000 > 10.0.0.1.2000: UDP" in sent


def test_slot_shows_only_what_it_judged(scene):
    """Slot 2 never sees what slot 0 denied. A JSON line a frame."""
    denied = {"name": "no-telnet", "action": "deny", "services": ["udp/23"]}
    scene.fresh(dfw=rules(NO_DNS), acls=[{"name": "hard", "applied_to": ["vm1"], "rules": [denied]}])
    good = scene.udp("vm1", "vm2")
    with Capture(scene, "vm1", "--slot", 2, "-c", 2, options=["-o", "json"]) as dfw, \
            Capture(scene, "vm1", "--slot", 0, "-c", 3, options=["-o", "json"]) as acl:
        scene.vm1.send([scene.udp("vm1", "vm2", dport=23), scene.udp("vm1", "vm2", dport=53), good])
        scene.vm2.expect(good)
        by_dfw = [json.loads(line) for line in dfw.wait()[0].splitlines()]
        by_acl = [json.loads(line) for line in acl.wait()[0].splitlines()]
    assert [row.get("dropped") for row in by_dfw] == ["dfw_deny", None]
    assert (by_dfw[0]["slot"], by_dfw[0]["slot_name"], by_dfw[0]["slot_port"]) == (2, "dfw", "vm1")
    assert [row.get("dropped") for row in by_acl] == ["acl_deny", "dfw_deny", None]
    assert by_acl[2]["size"] == len(bytes(good))


def test_filter_and_snaplen(scene, tmp_path):
    scene.fresh()
    path = tmp_path / "dns.pcapng"
    wanted = scene.udp("vm1", "vm2", dport=53, payload=b"question" * 20)
    with Capture(scene, "vm1", "--filter", "udp dst port 53", "--snaplen", 60, "-c", 1, "-w", path) as capture:
        scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
        scene.passes(wanted, "vm1", "vm2")
        capture.wait()
    reader = RawPcapNgReader(str(path))
    data, meta = next(iter(reader))
    assert (data, meta.wirelen) == (bytes(wanted)[:60], len(bytes(wanted)))


def test_a_copy_of_a_broadcast_is_seen_at_each_port(scene):
    scene.fresh()
    cry = frame(src=mac_of("vm1"), dst="ff:ff:ff:ff:ff:ff").ipv4(ip_of("vm1"), "255.255.255.255").udp(1, 2)
    with Capture(scene, "vm2", "-c", 2) as two, Capture(scene, "vm3", "-c", 2) as three:
        for _ in range(2):
            scene.vm1.send(cry)
            scene.vm2.expect(cry)
            scene.vm3.expect(cry)
        for each in (two, three):
            lines = each.wait()[0].splitlines()
            assert len(lines) == 2 and all(" to-vm " in line and "255.255.255.255" in line for line in lines)


@pytest.mark.parametrize("arguments,sentence", [
    (["vm1", "--filter", "tcp prt 80"], "filter: tcp prt 80: can't parse filter expression: syntax error"),
    (["vm9"], "port vm9 does not exist"),
    (["vm1", "--slot", 16], "capture: slot 16 is outside 0..15"),
    (["vm1", "--direction", "up"], "capture: direction up is not from-vm, to-vm or both"),
    (["vm1", "--snaplen", 0], "capture: snaplen 0 is outside 1..262144"),
    (["vm1", "-w", "/nowhere/x.pcapng"], "capture: cannot write /nowhere/x.pcapng: No such file or directory"),
])
def test_bad_requests_are_one_sentence(scene, arguments, sentence):
    error = scene.daemon.cli_error("capture", *arguments)
    assert error.exit_code == 1 and error.error["message"] == sentence


@pytest.mark.parametrize("program_,why", [
    ([[6, 0, 0]], "filter: not a BPF program: expected a list of [code, jt, jf, k]"),
    ([[6, 0, 0, 1]] * 513, "filter: 513 BPF instructions are more than the limit of 512: say less"),
    ([[0, 0, 0, 1]], "filter: the BPF program is not valid"),        # Does not end.
    ([[21, 9, 9, 1], [6, 0, 0, 1]], "filter: the BPF program is not valid"),  # Jumps past its end.
    ([[5, 0, 0, 2**32 - 1], [6, 0, 0, 1]], "filter: the BPF program is not valid"),  # Jumps back: never ends.
])
def test_the_daemon_runs_no_bad_program(scene, program_, why):
    answer = scene.daemon.rpc("capture.start", {"port": "vm1", "filter": program_})
    assert answer["error"]["data"]["message"] == why


def captures_run(scene):
    """How many further captures find no place."""
    running = [Capture(scene, "vm1") for _ in range(CAPTURE_MAX)]
    refused = sum(not each.first.startswith("capturing on") for each in running)
    for each in running:
        each.__exit__()
    return refused


def test_a_killed_client_leaves_nothing_behind(scene):
    """Every place is taken; the clients are killed in the middle of traffic; every place is free again."""
    scene.fresh()
    running = [Capture(scene, "vm1") for _ in range(CAPTURE_MAX)]
    assert all(each.first.startswith("capturing on") for each in running)
    refusal = scene.daemon.cli_error("capture", "vm1")
    assert refusal.error["message"].startswith("capture: 4 captures run already, which is the limit")
    scene.vm1.send([scene.udp("vm1", "vm2", sport=1000 + i) for i in range(200)])
    for each in running:
        each.__exit__()
    eventually(lambda: captures_run(scene) == 0, "places of killed captures are free")
    scene.fresh()
    scene.passes(scene.udp("vm1", "vm2", sport=7), "vm1", "vm2")
    scene.daemon.assert_books_balance()


def test_a_capture_is_its_connections_own(scene):
    with Capture(scene, "vm1"):
        for method in ("capture.next", "capture.stop"):
            for number in range(1, 40):
                answer = scene.daemon.rpc(method, {"capture": number})
                assert answer["error"]["data"]["message"] == f"capture: this connection has no capture {number}"


def test_ends_when_its_port_goes(scene):
    document = scene.document()
    spare = scene.daemon.port("spare", document["port_groups"][0]["name"])
    scene.daemon.apply({**document, "ports": [*document["ports"], spare]})
    with Capture(scene, "spare") as capture:
        scene.apply()
        _, err = capture.process.communicate(timeout=20)
    assert capture.process.returncode == 1
    assert err.decode().splitlines()[-1] == "sluice: capture: port spare was removed"


def test_interrupted_capture_ends_its_file(scene, tmp_path):
    scene.fresh()
    path = tmp_path / "cut.pcapng"
    with Capture(scene, "vm1", "-w", path) as capture:
        size = os.path.getsize(path)
        scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
        eventually(lambda: os.path.getsize(path) > size, "the frame is in the file")
        _, err = capture.interrupt()
    assert "1 frames captured, 0 missed" in err
    blocks = path.read_bytes()
    assert int.from_bytes(blocks[-4:], "little") < len(blocks)
    kinds, at = [], 0
    while at < len(blocks):
        kind, length = int.from_bytes(blocks[at:at + 4], "little"), int.from_bytes(blocks[at + 4:at + 8], "little")
        assert length % 4 == 0 and blocks[at + length - 4:at + length] == blocks[at + 4:at + 8]
        kinds.append(kind)
        at += length
    assert kinds == [0x0a0d0d0a, 1, 6, 5], "section, interface, packet, statistics"


def test_a_flood_is_captured_or_counted(scene):
    """What the client could not take is missed, never lost from sight: captured + missed = sent."""
    scene.fresh()
    with Capture(scene, "vm1", "--direction", "from-vm", "--filter", "udp dst port 2000", "-w", "/dev/null") as capture:
        sent = scene.vm1.flood(scene.udp("vm1", "vm2"), count=20000, pps=20000, seconds=30)["vm1"]["sent"]
        last = scene.udp("vm1", "vm2", dport=2001)
        scene.vm1.send(last)
        scene.vm2.drain()
        _, err = capture.interrupt()
    words = err.split()
    captured, missed = int(words[words.index("frames") - 1]), int(words[words.index("missed") - 1])
    assert captured + missed == sent, err
    scene.daemon.assert_books_balance()
