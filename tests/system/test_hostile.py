# SPDX-License-Identifier: Apache-2.0
"""Hostile guests: every attack of the front-end against one port, while two others exchange frames.

Each attack must leave the daemon alive, the other pair without a loss, and the books balanced; the port itself comes
back with a reset, a new connection, or, where the guest destroyed its own memory, a new guest.
"""

import subprocess

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
}


def attack_names():
    with FrontendProcess() as process:
        return process.attacks()


def names_at_collection():
    """The list comes from the program, so that a new attack is a new test; none where it is not built."""
    try:
        return attack_names()
    except (OSError, subprocess.SubprocessError):
        return []


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


def test_the_program_knows_attacks():
    assert program("sluice-frontend") and len(attack_names()) >= 40


@pytest.mark.parametrize("name", names_at_collection())
def test_attack(scene, hostile_process, name):
    for vm in (scene.vm1, scene.vm2):
        while vm.receive(256, 0.002):
            pass
    guest = connect(scene, hostile_process)
    drops = scene.daemon.drops("vm3")
    scene.vm1.start_flood(scene.udp("vm1", "vm2"), count=PAIR_FRAMES, pps=3000,
                          senders={scene.vm2: [scene.udp("vm2", "vm1")]})
    try:
        guest.attack(name, SEED, frame=scene.udp("vm3", "vm1", sport=9) if name in COUNTED else None)
        if name in COUNTED:
            eventually(lambda: rise(scene, drops) & COUNTED[name], f"drop counter of {name}")
    finally:
        result = scene.vm1.finish_flood(let_it_end=True)
    assert scene.daemon.alive, scene.daemon.log_tail()
    for sender, receiver in (("vm1", "vm2"), ("vm2", "vm1")):
        assert result[sender]["sent"] == PAIR_FRAMES and result[sender]["unsent"] == 0, result
        stray = 2 if name in COUNTED else 300  # Frames of the attacker to everyone that were fine.
        assert 0 <= result[receiver]["received"] - result[sender]["sent"] <= stray, result
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


def test_the_daemon_has_not_been_restarted(scene):
    assert scene.daemon.alive
    scene.passes(scene.udp("vm1", "vm2", sport=77), "vm1", "vm2")
    scene.passes(scene.udp("vm2", "vm1", sport=78), "vm2", "vm1")
