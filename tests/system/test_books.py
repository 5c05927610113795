# SPDX-License-Identifier: Apache-2.0
"""Books balance: two guests exchange 64-byte frames both ways with slots 0-2 on, and every frame is accounted for.

SLUICE_BOOKS_SECONDS shortens the exchange (default 60 s).
"""

import os

import pytest
from conditions import eventually
from scene import Scene, ip_of

SECONDS = float(os.environ.get("SLUICE_BOOKS_SECONDS", "60"))
FRAME_SIZE = 60  # 64 bytes on the wire: the FCS is not in the buffer.

GROUP = {"name": "net", "switch": "dvs0", "spoofguard": "manual"}
ACL = {"name": "hardening", "applied_to": ["net"], "rules": [
    {"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}, {"name": "rest", "action": "permit"}]}
FIREWALL = {"default": "drop", "sections": [{"name": "app", "rules": [
    {"name": "dns", "action": "allow", "direction": "both", "services": ["udp/53"]}]}]}


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(port_groups=[GROUP]) as scene:
        scene.apply(acls=[ACL], dfw=FIREWALL)
        yield scene


def small(scene, source, target, sport=1000, dport=53):
    return scene.udp(source, target, sport, dport, payload=b"?").pad(FRAME_SIZE)


def wait_all_free(scene):
    """Every packet buffer is back in the pool."""
    def full():
        buffers = scene.daemon.cli("status")["buffers"]
        return buffers["free"] == buffers["total"]
    eventually(full, "every packet buffer free")


def test_buffers_are_free_at_the_start(scene):
    wait_all_free(scene)


def test_every_frame_is_accounted_for(scene):
    """Both guests send as fast as they can; what a full receive ring refuses is a named drop."""
    before = scene.daemon.assert_books_balance()
    result = scene.vm1.flood(small(scene, "vm1", "vm2"), seconds=SECONDS, flows=100,
                             senders={scene.vm2: [small(scene, "vm2", "vm1", sport=2000)]})
    books = scene.daemon.assert_books_balance()
    sent = result["vm1"]["sent"] + result["vm2"]["sent"]
    received = result["vm1"]["received"] + result["vm2"]["received"]
    print(f"{sent} frames in, {received} out, {sent / SECONDS / 1e6:.2f} M/s offered; {books}; {scene.daemon.drops()}")
    assert result["vm1"]["unsent"] == 0 and result["vm2"]["unsent"] == 0, (result, scene.daemon.drops(), books)
    assert received > 0
    assert books["received"] - before["received"] == sent
    assert books["sent"] - before["sent"] == received
    assert books["dropped"] - before["dropped"] == sent - received
    assert set(scene.daemon.drops()) <= {"tx_queue_full"}
    wait_all_free(scene)


def test_slots_were_on(scene):
    slots = scene.daemon.cli("show", "chain", "vm1")["slots"]
    assert [slot["name"] for slot in slots[:3]] == ["dvfilter", "swsec", "dfw"]
    for slot in slots[:3]:
        assert slot["state"] == "active" and slot["from_vm"]["packets"] > 0, slot


def test_a_paced_exchange_loses_nothing(scene):
    """Each turn is fewer frames than a receive ring takes, so that a guest that is not scheduled loses none either."""
    for vm in scene.vms.values():
        vm.drain()
    for _ in range(20):
        result = scene.vm1.flood(small(scene, "vm1", "vm2"), count=240, pps=20000, seconds=30, drain_ms=2000,
                                 senders={scene.vm2: [small(scene, "vm2", "vm1", sport=2000)]})
        assert result["vm1"]["sent"] == result["vm2"]["received"] == 240, result
        assert result["vm2"]["sent"] == result["vm1"]["received"] == 240, result


def test_drops_of_all_three_slots_are_in_the_books(scene):
    """One frame for each slot to refuse, among others, each under its own name."""
    def refused(one, reason):
        """SpoofGuard refuses a marker without IP too: the end is a datagram that passes."""
        before, last = scene.daemon.drops("vm1").get(reason, 0), small(scene, "vm1", "vm2", sport=9)
        scene.vm1.send([one, last])
        scene.vm2.expect(last)
        assert scene.daemon.drops("vm1")[reason] == before + 1

    for vm in scene.vms.values():
        vm.drain()
    foreign = scene.ether("vm1", "vm2").ipv4("10.9.9.9", ip_of("vm2")).udp(1, 53)
    refused(scene.tcp("vm1", "vm2", dport=23), "acl_deny")
    refused(foreign, "spoofed_ip")
    refused(small(scene, "vm1", "vm2", dport=54), "dfw_deny")
    scene.daemon.assert_books_balance()
    wait_all_free(scene)


def test_held_receive_buffers_are_drops_and_not_losses(scene):
    """A guest that gives no buffer back: its frames are dropped under tx_queue_full, nothing is kept for it."""
    scene.vm2.hold_buffers()
    before = scene.daemon.drops("vm1").get("tx_queue_full", 0)
    scene.vm1.send([small(scene, "vm1", "vm2") for _ in range(200)])
    scene.vm1.send([small(scene, "vm1", "vm2") for _ in range(200)])
    scene.vm2.receive(400, 0.2)
    assert scene.daemon.drops("vm1").get("tx_queue_full", 0) > before
    scene.vm2.hold_buffers(False)
    scene.daemon.assert_books_balance()
    wait_all_free(scene)
    scene.passes(small(scene, "vm1", "vm2", sport=7), "vm1", "vm2")
