# SPDX-License-Identifier: Apache-2.0
"""Several uplinks of one switch on a learning bridge: who uses which, failure, return, announcements, beacons."""

import time

import pytest
from packets import BROADCAST, mac
from uplinks import UplinkStage, from_far, mac_of, to_far

LINK_LOSS_S = 0.1  # The promise; asserted with much room, the machine may be loaded.


@pytest.fixture(name="stage", scope="module")
def _stage():
    with UplinkStage(2, {"policy": "port_id", "failback_hold_s": 1}, vms=("vm1", "vm2", "vm3", "vm4")) as stage:
        stage.wait_works("up0", "up1")
        yield stage
        stage.daemon.assert_books_balance()


@pytest.fixture(autouse=True)
def _whole(stage):
    for number in range(2):
        stage.join(number)
    stage.wait_works("up0", "up1")
    stage.drain()


def number_of(uplink):
    return int(uplink[2:])


def is_from(name):
    own = mac(mac_of(name))
    return lambda one: one[6:12] == own and one[12:14] == b"\x08\x00"


def test_each_vm_uses_one_uplink_and_shows_it(stage):
    for name in stage.names:
        number = number_of(stage.uplink_of(name))
        stage.vm(name).send(to_far(name))
        stage.wires[f"sw{number}"].expect(to_far(name))
        stage.wires["eth0"].expect(to_far(name))
        assert not any(is_from(name)(one) for one in stage.wires[f"sw{1 - number}"].drain())
    rows = stage.uplinks()
    assert sum(row["vnics"] for row in rows.values()) == 4
    assert [row["role"] for row in rows.values()] == ["active", "active"]
    assert "active" in stage.daemon.text("show", "uplinks")


def test_a_broadcast_of_the_fabric_comes_once(stage):
    """The bridge floods it to both uplinks; then one that must come, alone."""
    stage.wires["eth0"].send(from_far(BROADCAST))
    for name in stage.names:
        stage.wires["eth0"].send(from_far(mac_of(name), b"the end"))
        found, others = stage.vm(name).receive_until(b"the end")
        assert found and sum(1 for one in others if one.frame == bytes(from_far(BROADCAST))) == 1, name


def test_broadcasts_of_vms_are_not_seen_again(stage):
    before = stage.daemon.drops().get("reflected", 0)
    frame = from_far(BROADCAST)
    own = bytes(frame)[:6] + mac(mac_of("vm1")) + bytes(frame)[12:]
    stage.vm("vm1").send(own)
    stage.wires["eth0"].expect(own)
    stage.wires["eth0"].send(from_far(mac_of("vm2"), b"the end"))
    found, others = stage.vm("vm2").receive_until(b"the end")
    assert found and sum(1 for one in others if one.frame == own) == 1
    assert stage.daemon.drops().get("reflected", 0) > before


def test_link_loss_moves_traffic_and_the_fabric_is_told(stage):
    name = stage.names[0]
    number = number_of(stage.uplink_of(name))
    stage.wires["eth0"].send(from_far(mac_of(name), b"before"))
    stage.vm(name).expect(from_far(mac_of(name), b"before"), alone=False)
    stage.vm(name).start_flood([to_far(name)], pps=2000)
    try:
        stage.first_matching(f"sw{number}", is_from(name))
        stage.wires[f"sw{1 - number}"].drain()
        begun = time.monotonic()
        stage.cut(number)
        stage.first_matching(f"sw{1 - number}", is_from(name))
        took = time.monotonic() - begun
    finally:
        stage.vm(name).finish_flood()
    print(f"first frame by the other uplink {took * 1000:.0f} ms after `ip link set down` began")
    assert took < 10 * LINK_LOSS_S
    stage.expect_announced(name, f"sw{1 - number}")
    rows = stage.wait_works(f"up{1 - number}")
    assert "has no carrier" in rows[f"up{number}"]["why_unused"] and rows[f"up{number}"]["vnics"] == 0
    stage.drain()
    stage.wires["eth0"].send(from_far(mac_of(name), b"after"))
    stage.vm(name).expect(from_far(mac_of(name), b"after"), alone=False)


def test_a_recovered_uplink_waits_and_takes_its_vms_back(stage):
    name = stage.names[0]
    home = stage.uplink_of(name)
    stage.cut(number_of(home))
    stage.wait_works(f"up{1 - number_of(home)}")
    assert stage.uplink_of(name) != home
    stage.join(number_of(home))
    begun = time.monotonic()
    stage.wait_works("up0", "up1")
    assert time.monotonic() - begun > 0.5, "the hold is a second"
    assert stage.uplink_of(name) == home
    stage.expect_announced(name, f"sw{number_of(home)}")
    stage.drain()
    stage.vm(name).send(to_far(name, b"home"))
    stage.wires[f"sw{number_of(home)}"].expect(to_far(name, b"home"))


def test_without_any_uplink_frames_are_dropped_by_name(stage):
    for number in range(2):
        stage.cut(number)
    stage.wait_works()
    before = stage.daemon.drops("vm1").get("no_uplink", 0)
    stage.vm("vm1").send(to_far("vm1"))
    assert stage.daemon.drops("vm1").get("no_uplink", 0) == before + 1
    stage.join(1)
    stage.wait_works("up1", timeout=3.0)
    stage.vm("vm1").send(to_far("vm1", b"by the only one"))
    stage.wires["sw1"].expect(to_far("vm1", b"by the only one"))


def test_standby_and_no_failback(stage):
    try:
        stage.teaming = {"policy": "explicit", "active": ["up0"], "standby": ["up1"], "failback": False}
        stage.apply()
        assert [row["role"] for row in stage.uplinks().values()] == ["active", "standby"]
        assert {stage.uplink_of(name) for name in stage.names} == {"up0"}
        stage.cut(0)
        stage.wait_works("up1")
        assert {stage.uplink_of(name) for name in stage.names} == {"up1"}
        stage.join(0)
        row = stage.wait_works("up1")["up0"]
        assert row["state"] == "up" or "carrier" in row["why"]
        stage.vm("vm1").send(to_far("vm1", b"stays"))
        stage.wires["sw1"].expect(to_far("vm1", b"stays"))
        stage.cut(1)
        stage.wait_works("up0")
        assert {stage.uplink_of(name) for name in stage.names} == {"up0"}
    finally:
        stage.teaming = {"policy": "port_id", "failback_hold_s": 1}
        for number in range(2):
            stage.join(number)
        stage.apply()


def test_a_vm_that_comes_up_is_announced(stage):
    stage.vm("vm4").drop()
    stage.daemon.wait_port("vm4", "down")
    time.sleep(0.5)  # A look of the team watch, which must have seen it go.
    stage.drain()
    stage.vm("vm4").reconnect(timeout=10.0)
    stage.expect_announced("vm4")


def test_uplinks_come_and_go_by_the_document(stage):
    document = stage.document()
    document["uplinks"] = document["uplinks"][:1]
    document["switches"][0]["uplinks"] = ["up0"]
    stage.daemon.apply(document)
    assert {stage.uplink_of(name) for name in stage.names} == {"up0"}
    stage.apply()
    stage.wait_works("up0", "up1")
    assert {stage.uplink_of(name) for name in stage.names} <= {"up0", "up1"}


def test_beacons_find_an_uplink_that_is_cut_behind_its_link():
    teaming = {"policy": "explicit", "active": ["up0", "up1", "up2"], "failure_detection": "probe", "failback_hold_s": 1}
    with UplinkStage(3, teaming, vms=("vm1",)) as stage:
        stage.wait_works("up0", "up1", "up2")
        stage.first_matching("sw0", lambda one: one[12:14] == b"\x88\xb5")
        time.sleep(1.5)  # Each has been heard.
        fabric = stage.net["fabric"]
        fabric.ip("link", "set", "sw0", "nomaster")
        rows = stage.wait_works("up1", "up2", timeout=15.0)
        assert rows["up0"]["state"] == "up" and rows["up0"]["why_unused"] == "its beacons reach no other uplink"
        assert stage.uplink_of("vm1") == "up1"
        stage.vm("vm1").send(to_far("vm1"))
        stage.wires["eth0"].expect(to_far("vm1"))
        fabric.ip("link", "set", "sw0", "master", "br0")
        stage.wait_works("up0", "up1", "up2", timeout=15.0)
        assert stage.uplink_of("vm1") == "up0"
        stage.daemon.assert_books_balance()
