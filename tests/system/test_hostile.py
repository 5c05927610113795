# SPDX-License-Identifier: Apache-2.0
"""Hostile guests: attacks whose exact outcome is known, while two other guests exchange counted frames.

Each must leave the daemon alive, the other pair without a loss, and the books balanced; the port itself comes back with a
reset, a new connection, or a new guest. All the other attacks of the front-end run in tests/torture/part_guest.py, which
asks no more than that of them.
"""

import processes
import pytest
from conditions import eventually
from frontend import FrontendError, FrontendProcess, program
from scene import Scene

SEED = 7
PAIR_FRAMES = 240  # Fewer than a receive ring has entries: even a guest that is not scheduled takes them all.
# Attacks on descriptors and frames that the switch can only answer by dropping: a named counter must rise.
COUNTED = {
    "short_header": {"bad_descriptor"}, "tiny_frame": {"truncated_frame", "bad_descriptor"},
    "header_only": {"bad_descriptor", "truncated_frame"}, "oversize_frame": {"oversize_frame", "bad_descriptor"},
    "address_out_of_range": {"bad_descriptor"},
    "head_out_of_range": {"bad_descriptor"}, "chain_loop": {"bad_descriptor"},
    "mac_flood": {"forged_transmit", "spoofed_mac"},
}
# Available indices that no driver can have: the ring is broken, and little of what it claims is looked at.
JUMPS = ["avail_index_jump", "avail_index_half_way", "avail_index_back", "avail_index_one_back"]
JUMP_FRAMES_MAX = 600  # A full ring and a few bursts.


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(vms=("vm1", "vm2", "vm3")) as scene:
        scene.vms.pop("vm3").close()  # Its place is taken by the hostile ones.
        scene.daemon.wait_port("vm3", "down")
        yield scene


@pytest.fixture(name="hostile_process")
def _hostile_process():
    """The hostile guest lives in a process of its own, so that the others' exchange goes on beside it."""
    with FrontendProcess() as process:
        yield process


def connect(scene, process):
    guest = process.open("vm3", scene.daemon.vhost_socket("vm3"), timeout=10)
    scene.daemon.wait_port("vm3")
    return guest


def recover(scene, process, guest):
    """The port works again: after a reset, else a new connection, else with a new guest."""
    for attempt in (guest.reset, lambda: guest.reconnect(2.0), None):
        try:
            if attempt is None:
                guest.close(abrupt=True)
                guest = connect(scene, process)
            else:
                attempt()
            one = scene.udp("vm3", "vm2", sport=3)
            guest.send(one, timeout=1.0)
            scene.vm2.expect(one, alone=False)
            return guest
        except (FrontendError, AssertionError) as error:
            last = error
    raise AssertionError(f"port does not come back: {last}")


def rise(scene, before):
    """Reasons whose counter has risen at the hostile port."""
    return {reason for reason, count in scene.daemon.drops("vm3").items() if count > before.get(reason, 0)}


def ring_detail(scene):
    """What `show port` says of the hostile guest's rings, if it says that one is broken."""
    detail = scene.daemon.cli("show", "port", "vm3")["detail"]
    return detail if "ring_broken" in detail else ""


def test_the_program_knows_attacks(hostile_process):
    names = hostile_process.attacks()
    assert program("sluice-frontend") and len(names) >= 60 and len(set(names)) == len(names)
    assert all(hostile_process.attack_sentences().values())


@pytest.mark.parametrize("name", COUNTED)
def test_attack(scene, hostile_process, name):
    for vm in (scene.vm1, scene.vm2):
        while vm.receive(256, 0.002):
            pass
    guest = connect(scene, hostile_process)
    drops = scene.daemon.drops("vm3")
    scene.vm1.start_flood(scene.udp("vm1", "vm2"), count=PAIR_FRAMES, pps=3000,
                          senders={scene.vm2: [scene.udp("vm2", "vm1")]}, drain_ms=3000)
    try:
        guest.attack(name, SEED, frame=scene.udp("vm3", "vm1", sport=9))
        eventually(lambda: rise(scene, drops) & COUNTED[name], f"drop counter of {name}")
    finally:
        result = scene.vm1.finish_flood(let_it_end=True)
    assert scene.daemon.alive, scene.daemon.log_tail()
    for sender, receiver in (("vm1", "vm2"), ("vm2", "vm1")):
        assert result[sender]["sent"] == PAIR_FRAMES and result[sender]["unsent"] == 0, result
        assert 0 <= result[receiver]["received"] - result[sender]["sent"] <= 2, result
    recover(scene, hostile_process, guest)
    scene.daemon.assert_books_balance()
    buffers = scene.daemon.cli("status")["buffers"]
    assert buffers["free"] == buffers["total"], buffers


@pytest.mark.parametrize("name", ["checksum_beyond_frame", "gso_size_zero", "gso_type_unknown"])
def test_impossible_offload_wishes_are_not_believed(scene, hostile_process, name):
    """A whole frame passes without its wish; one whose checksum was left to the device is dropped for that."""
    guest = connect(scene, hostile_process)
    scene.vm1.drain()
    whole = scene.tcp("vm3", "vm1", sport=9, payload=b"whole")
    guest.attack(name, SEED, frame=whole)
    got = scene.vm1.expect(whole)
    assert got.header["flags"] == got.header["gso_type"] == got.header["gso_size"] == 0
    partial, _ = scene.tcp("vm3", "vm1", sport=10, payload=b"partial").offload()
    before = scene.daemon.drops("vm3")
    guest.attack(name, SEED, frame=partial)
    reasons = eventually(lambda: rise(scene, before), "drop of the unfinished frame")
    assert reasons <= {"bad_l4_checksum", "bad_offload"}
    recover(scene, hostile_process, guest)


@pytest.mark.parametrize("name", JUMPS)
def test_an_index_that_jumps_breaks_the_ring(scene, hostile_process, name):
    guest = connect(scene, hostile_process)
    before = scene.daemon.wait_port("vm3")["rx_packets"]
    guest.attack(name, SEED, frame=scene.udp("vm3", "vm2", sport=9))
    eventually(lambda: ring_detail(scene), "the ring is said to be broken")
    assert scene.daemon.wait_port("vm3")["rx_packets"] - before <= JUMP_FRAMES_MAX
    recover(scene, hostile_process, guest)
    assert not ring_detail(scene)
    scene.vm2.drain()
    scene.daemon.assert_books_balance()


def test_an_index_that_jumps_in_a_receive_ring_breaks_it(scene, hostile_process):
    guest = connect(scene, hostile_process)
    guest.attack("receive_index_jump", SEED, frame=None)
    for number in range(64):  # One send in sixteen looks.
        scene.vm2.send(scene.udp("vm2", "vm3", sport=number))
    eventually(lambda: ring_detail(scene), "the ring is said to be broken")
    recover(scene, hostile_process, guest)
    scene.passes(scene.udp("vm1", "vm2", sport=76), "vm1", "vm2")


def test_a_call_that_blocks_is_interrupted(scene, hostile_process):
    """The worker serves the others on, and the guest whose call descriptor blocks is cut off."""
    guest = connect(scene, hostile_process)
    guest.attack("call_full_later", SEED, frame=scene.udp("vm3", "vm2", sport=9))
    guest.wait_disconnected()
    assert "the guest's call descriptor blocks" in processes.log_tail(scene.daemon.log_path)
    scene.vm2.drain()
    scene.passes(scene.udp("vm1", "vm2", sport=75), "vm1", "vm2")
    recover(scene, hostile_process, guest)


def test_the_daemon_has_not_been_restarted(scene):
    assert scene.daemon.alive
    scene.passes(scene.udp("vm1", "vm2", sport=77), "vm1", "vm2")
    scene.passes(scene.udp("vm2", "vm1", sport=78), "vm2", "vm1")
