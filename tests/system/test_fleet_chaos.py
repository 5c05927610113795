# SPDX-License-Identifier: Apache-2.0
"""A cluster of three, two relays, two hosts whose VMs talk all the time, and everything that can happen to a database. After
each: the hosts run what the database says, what did not change was not touched, and the VMs lost nothing."""

import contextlib
import itertools
import os
import shutil
import time

import pytest
from conditions import eventually
from fleet import Fleet, guest_mac, host_name
from ovsdb import SCHEMA, Cluster, run
from ovsdb import relay as relay_of
from ovsdb_client import CONFIG, rows_of
from ovsdb_stream import Stream

_numbers = itertools.count(1)
RELAY_PATIENCE = 30.0  # So long a relay says that it is connected when it is no more (ovsdb/relay.c).
MANY = 150  # Objects enough for the guard of mass deletions to look at their share.


def address_sets(number):
    return [{"name": "seen", "members": [f"10.9.0.{number}/32"]},
            *[{"name": f"set{one}", "members": [f"10.8.0.{one}/32"]} for one in range(MANY)]]


@pytest.fixture(name="whole_fleet", scope="module")
def _whole_fleet():
    with Fleet(hosts=2) as fleet:
        fleet.apply(address_sets=address_sets(0))
        fleet.attach()
        yield fleet
        for daemon in fleet.daemons.values():
            daemon.assert_books_balance()


@pytest.fixture(name="fleet")
def _fleet(whole_fleet):
    """Every process runs and nothing is on its way, whatever the test before left behind."""
    whole_fleet.databases.mend()
    whole_fleet.wait_settled()
    return whole_fleet


@contextlib.contextmanager
def undisturbed(fleet, timeout=40.0):
    """The VMs talk for the length of the block and lose nothing; no host's snapshot or view changes; afterwards hosts are
    live, know each other's VMs, and a change of the document reaches them."""
    before, views, claims = fleet.snapshots(), fleet.views(), fleet.claims()
    with fleet.talk():
        yield
        fleet.wait_state("live", timeout=timeout)
        assert fleet.snapshots() == before, "what did not change was applied again"
    assert fleet.views() == views
    assert fleet.claims() == claims
    sees_changes(fleet)


def sees_changes(fleet, db=None):
    """A change of the document, written at `db`, is what every host runs."""
    wanted = address_sets(next(_numbers))
    fleet.apply(db=db, address_sets=wanted)
    fleet.wait_realized()
    for view in fleet.views().values():
        assert next(one for one in view["address_sets"] if one["name"] == "seen") == wanted[0]


def wait_remote(fleet, server):
    """Every host has its rows from this server."""
    def is_there(host):
        source = fleet.status(host)
        return source["remote"] == server.remotes and source["state"] in ("reconcile", "live")
    for host in fleet.hosts:
        eventually(lambda host=host: is_there(host), f"host {host} is at {server.directory}", 30.0, 0.05)


def relays_agree(fleet, stream):
    for relay in fleet.databases.relays:
        eventually(lambda relay=relay: not stream.difference(rows_of(relay.remotes, CONFIG, "Port")),
                   "the relay holds what the cluster does", 20.0, 0.1)


def test_leader_killed_under_transactions(fleet):
    config = fleet.databases.config
    with undisturbed(fleet), Stream(fleet.databases.db) as stream:
        stream.wait_more(200)
        leader = config.leader()
        leader.kill()
        stream.wait_more(200)
        leader.start()
        stream.wait_more(200)
        stream.stop()
        stream.assert_kept(fleet.databases.rows(CONFIG, "Port"))
        relays_agree(fleet, stream)
        print(f"{stream.count} transactions, {stream.failures} failed")


def test_leader_frozen_for_ten_seconds(fleet):
    config = fleet.databases.config
    with undisturbed(fleet), Stream(fleet.databases.db) as stream:
        stream.wait_more(100)
        leader, end = config.leader(), time.monotonic() + 10.0
        leader.freeze()
        try:
            assert config.leader(but=leader) is not leader
            stream.wait_more(200)
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            leader.thaw()
        config.wait_ready()
        stream.wait_more(100)
        stream.stop()
        stream.assert_kept(fleet.databases.rows(CONFIG, "Port"))
        relays_agree(fleet, stream)


def test_each_relay_killed_in_turn(fleet):
    for relay in fleet.databases.relays:
        with undisturbed(fleet):
            users = [host for host in fleet.hosts if fleet.status(host)["remote"] == relay.remotes]
            relay.kill()
            for host in users:
                eventually(lambda host=host: fleet.status(host)["state"] == "live" and
                           fleet.status(host)["remote"] != relay.remotes, f"host {host} went to another relay", 30.0, 0.05)
            relay.start()


def test_a_relay_that_lags(fleet):
    """A host whose relay dies goes to one that is behind, and can't say so: it goes on with the newer state that it has
    until that one has caught up."""
    first, second = fleet.databases.relays
    leader, follower = fleet.databases.config.leader(), fleet.databases.config.followers()[-1]
    with contextlib.ExitStack() as stack:
        first.kill()
        prompt = stack.enter_context(relay_of(first.directory, CONFIG, leader.remotes))
        second.kill()
        wait_remote(fleet, prompt)
        lagging = stack.enter_context(relay_of(second.directory, CONFIG, follower.remotes))
        stack.callback(follower.thaw)
        follower.freeze()
        sees_changes(fleet, leader.remotes)
        before, views = fleet.snapshots(), fleet.views()
        with fleet.talk():
            prompt.kill()
            wait_remote(fleet, lagging)
            for host in fleet.hosts:
                eventually(lambda host=host: any("behind" in alarm for alarm in fleet.status(host)["alarms"]),
                           f"host {host} says that it waits", 20.0, 0.05)
                assert fleet.status(host)["state"] == "reconcile"
            assert fleet.snapshots() == before and fleet.views() == views
            follower.thaw()
            fleet.wait_state("live")
            assert fleet.snapshots() == before, "an older state was applied"
            assert fleet.views() == views
    first.start()
    second.start()
    fleet.wait_state("live")
    sees_changes(fleet)


def test_quorum_lost(fleet):
    """Hosts without a database keep what they have: lost, then headless; then live again."""
    config = fleet.databases.config
    with undisturbed(fleet):
        dead = config.servers[:2]
        for server in dead:
            server.kill()
        try:
            fleet.wait_state("headless", timeout=RELAY_PATIENCE + 60.0)
            for host in fleet.hosts:
                source = fleet.status(host)
                assert source["since_s"] >= 0 and source["why"], source
        finally:
            for server in dead:
                server.start(wait=False)
        config.wait_ready()


def test_a_server_that_lost_its_disk_rejoins(fleet):
    config = fleet.databases.config
    with undisturbed(fleet), Stream(fleet.databases.db, per_second=50) as stream:
        stream.wait_more(20)
        lost = config.followers()[-1]
        sid = lost.control("cluster/sid", CONFIG).strip()
        lost.kill()
        stream.wait_more(20)
        config.leader().control("cluster/kick", CONFIG, sid[:4])
        config.replace(lost)
        stream.wait_more(20)
        stream.stop()
        stream.assert_kept(rows_of(lost.remotes, CONFIG, "Port"))


def test_a_schema_with_a_new_column(fleet, tmp_path):
    """Converted while everybody is connected; what is new does not disturb hosts that do not know it."""
    wider = tmp_path / "wider.ovsschema"
    with open(SCHEMA[CONFIG], encoding="utf-8") as file:
        text = file.read()
    assert text.count('"scope": {') > 1
    wider.write_text(text.replace('"version": "1.', '"version": "2.').replace(
        '"scope": {', '"comment": {"type": "string"}, "scope": {'), encoding="utf-8")
    with undisturbed(fleet):
        run("ovsdb-client", "convert", fleet.databases.config.leader().remotes, wider)
        fleet.databases.config.wait_ready()
        row = fleet.databases.rows(CONFIG, "Port_Group")[0]
        assert row["comment"] == ""


def test_an_emptied_database_is_held(fleet):
    """Somebody deletes everything: hosts hold what they run, say so, and go on when it is back."""
    before, views = fleet.snapshots(), fleet.views()
    with fleet.talk():
        fleet.edit([{"op": "delete", "table": table, "where": []} for table in packed_tables()])
        for host in fleet.hosts:
            eventually(lambda host=host: fleet.status(host)["alarms"], f"host {host} raises an alarm", 20.0, 0.05)
            pass
        assert fleet.snapshots() == before and fleet.views() == views
        fleet.apply(address_sets=views[1]["address_sets"])
        fleet.wait_state("live")
        for host in fleet.hosts:
            assert not fleet.status(host)["alarms"]
        assert fleet.views() == views
        assert fleet.snapshots() == before, "what did not change was applied again"
    sees_changes(fleet)


def test_a_mass_deletion_that_is_meant(fleet):
    """With the next epoch the guard lets it pass."""
    fleet.edit([*[{"op": "delete", "table": table, "where": []} for table in ("Address_Set", "Address_Set_Member")],
                {"op": "mutate", "table": "Global", "where": [], "mutations": [["epoch", "+=", 1], ["generation", "+=", 1]]}])
    for host in fleet.hosts:
        daemon = fleet.daemons[host]
        eventually(lambda daemon=daemon: not daemon.cli("export").get("address_sets"), f"host {host} has no sets", 20.0, 0.05)
    sees_changes(fleet)


def test_a_database_made_anew(fleet):
    """Every server and its disk is lost; a new cluster (another id) gets the document that was exported."""
    databases = fleet.databases
    document, old = fleet.sluice("export"), databases.config.cluster_id()
    with undisturbed(fleet):
        folder = databases.config.directory
        databases.config.__exit__(None, None, None)
        shutil.rmtree(folder)
        os.makedirs(folder)
        databases.config = Cluster(folder, CONFIG, 3)
        databases.config.start()
        assert databases.config.cluster_id() != old
        databases.introduce()
        for relay in databases.relays:  # They take no other cluster's id while they run.
            relay.kill()
            relay.start()
        fleet.apply(document, wait=False)
        fleet.wait_realized(60.0)


def packed_tables():
    return ["Host", "Uplink", "Vtep", "Switch", "Port_Group", "Port", "Address_Set", "Address_Set_Member", "Group", "ACL",
            "ACL_Rule", "Section", "Rule", "Router", "Route", "Binding", "Member"]


def test_where_everybody_is(fleet):
    """The status database tells where each VM is, and hosts know it as taught by the controller."""
    assert fleet.claims() == {guest_mac(host): host_name(host) for host in fleet.hosts}
    for host, other in ((1, 2), (2, 1)):
        rows = fleet.daemons[host].cli("show", "macs")
        assert "controller" in [row["source"] for row in rows if row["mac"] == guest_mac(other)], rows
