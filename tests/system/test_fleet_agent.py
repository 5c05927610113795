# SPDX-License-Identifier: Apache-2.0
"""A host under a fleet's databases, as its operator sees it: what `status` says, what is refused here, what a VM of
another host needs to be known, and what the host says of itself."""

import subprocess

import pytest
from conditions import eventually
from fleet import Fleet, guest_mac, host_name, vtep_ip
from frontend import program
from ovsdb_client import STATUS
from packets import frame


@pytest.fixture(name="fleet", scope="module")
def _fleet():
    with Fleet(hosts=2, cluster=1, relays=0) as fleet:
        fleet.apply()
        fleet.attach()
        fleet.wait_settled()
        yield fleet


def test_status(fleet):
    source = fleet.status(1)
    assert source["kind"] == "ovsdb" and source["state"] == "live"
    assert source["generation"] == fleet.generation()
    assert source["problems"] == 0 and source["alarms"] == []
    assert source["status"]["state"] == "live"
    text = fleet.daemons[1].text("status")
    assert "ovsdb (live)" in text and "remote" in text


def test_what_another_host_has_is_known_before_it_spoke(fleet):
    """vm2 has said nothing: an ARP question for it is answered on vm1's host, and vm2 hears nothing of it."""
    eventually(lambda: fleet.status(1)["bindings"] == 1, "vm2's binding on host 1", 15.0, 0.05)
    fleet.vms[2].drain()
    request = frame(src=guest_mac(1)).arp("10.0.1.1", "10.0.1.2")
    reply = frame(src=guest_mac(2), dst=guest_mac(1)).arp("10.0.1.2", "10.0.1.1", "reply")
    fleet.vms[1].send(request)
    fleet.vms[1].expect(reply, alone=False)
    fleet.passes(1, 2)
    rows = [row for row in fleet.daemons[1].cli("show", "macs") if row["mac"] == guest_mac(2)]
    assert [row["vtep"] for row in rows if row["source"] == "controller"] == [vtep_ip(2)], rows


@pytest.mark.parametrize("command", [["apply", "-"], ["rollback"], ["port", "del", "vm1"]])
def test_changes_are_refused_here(fleet, command):
    error = fleet.daemons[1].cli_error(*command, stdin="{}")
    assert f"the configuration comes from {fleet.databases.source}; change it there" in str(error)
    assert fleet.daemons[1].cli("export")["ports"], "and nothing changed"


def test_a_change_is_realized_and_told(fleet):
    fleet.apply(address_sets=[{"name": "some", "members": ["192.0.2.0/24"]}])
    assert fleet.daemons[1].cli("export")["address_sets"][0]["name"] == "some"
    row = fleet.databases.wait_host(host_name(1), state="live", generation=fleet.generation())
    assert row["problems"] == 0 and row["ports"] == 1


def test_an_object_that_can_not_run_is_told(fleet):
    """Its folder is not there: the port is left out with the reason, the rest runs."""
    bad = {**fleet.vm(1), "name": "vm9", "mac": "02:00:00:00:01:09", "ips": [], "socket": "/nowhere/at/all.sock"}
    fleet.apply({**fleet.document(), "ports": [*[fleet.vm(host) for host in fleet.hosts], bad]}, wait=False)
    fleet.databases.wait_host(host_name(1), generation=fleet.generation(), problems=1)
    (row,) = [row for row in fleet.databases.rows(STATUS, "Problem") if row["host"] == host_name(1)]
    assert "/nowhere/at" in row["items"]["port vm9"], row
    assert [port["name"] for port in fleet.daemons[1].cli("export")["ports"]] == ["vm1"]
    fleet.apply()
    fleet.databases.wait_host(host_name(1), generation=fleet.generation(), problems=0)


def test_headless_and_back(fleet):
    """What runs goes on, `status` says since when, and coming back changes nothing."""
    before = fleet.snapshots()
    with fleet.talk():
        fleet.databases.config.kill()
        fleet.wait_state("lost")
        fleet.wait_state("headless")
        source = fleet.status(1)
        assert source["why"] and source["generation"] == fleet.status(2)["generation"]
        fleet.databases.config.start()
        fleet.wait_state("live")
    assert fleet.snapshots() == before


def test_a_vm_moves(fleet):
    """Its MAC comes up on the other host: the higher sequence counts, and frames follow."""
    mac = guest_mac(1)
    fleet.vms[1].close()
    fleet.daemons[1].wait_port("vm1", "down")
    moved = {**fleet.vm(1), "host": host_name(2), "socket": fleet.daemons[2].vhost_socket("moved")}
    fleet.apply({**fleet.document(), "ports": [moved, fleet.vm(2)]}, wait=False)
    fleet.wait_realized()
    vm = fleet.guests.open("moved", fleet.daemons[2].vhost_socket("moved"), timeout=15.0)
    fleet.daemons[2].wait_port("vm1")
    eventually(lambda: fleet.claims().get(mac) == host_name(2), "host 2 claims it", 15.0, 0.05)
    vm.close()


@pytest.mark.parametrize("source, words", [
    ("ovsdb:", "remote"), ("nowhere", "expected local, ovsdb:"), ("ovsdb:tcp:h", "tcp:h"),
    ("ovsdb:ssl:127.0.0.1:6640", "needs --private-key, --certificate and --ca-cert")])
def test_sources_that_make_no_sense(source, words):
    done = subprocess.run([program("sluiced"), "--source", source], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2 and words in done.stderr, done.stderr
