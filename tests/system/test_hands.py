# SPDX-License-Identifier: Apache-2.0
"""Hands: edits of one object by the CLI, the same checks as apply; lists that are filtered and paged; top."""

import json
import subprocess
import time

import pytest
from daemon import Daemon
from frontend import program
from scene import Scene

EDIT_COUNT = 200
EDIT_LIMIT_S = 0.1  # What an operator may wait; the median must keep it with room.


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene() as scene:
        yield scene
        scene.daemon.assert_books_balance()


@pytest.fixture(name="daemon")
def _daemon():
    """No guests: documents only."""
    with Daemon() as daemon:
        daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}]})
        yield daemon


def section(daemon, name="app"):
    return next(one for one in daemon.cli("export")["dfw"]["sections"] if one["name"] == name)


def rule_names(daemon):
    return [rule["name"] for rule in section(daemon).get("rules", [])]


def test_port_lives_by_hand(daemon):
    socket_path = daemon.vhost_socket("vm9")
    done = daemon.cli("port", "add", "vm9", "--port-group", "net", "--socket", socket_path, "--mac", "02:00:00:00:00:09",
                      "--ip", "10.0.0.9", "--ip", "10.0.0.10,2001:db8::9", "--tag", "app=web", "--tag", "a.b/c=1",
                      "--vlan", "7", "--disabled")
    assert done["changed"] == 1
    port = daemon.cli("export")["ports"][0]
    assert port["ips"] == ["10.0.0.9", "10.0.0.10", "2001:db8::9"]
    assert port["tags"] == {"app": "web", "a.b/c": "1"}
    assert port["overrides"]["vlan"] == {"mode": "access", "id": 7}
    assert port["enabled"] is False
    generation = daemon.cli("port", "set", "vm9", "enabled=true", "overrides.vlan.id=101", "ips=10.0.0.8", "tags.app=db",
                            "tags.a.b/c=")["generation"]
    assert generation == done["generation"] + 1
    port = daemon.cli("export")["ports"][0]
    assert port["overrides"]["vlan"]["id"] == 101 and port["ips"] == ["10.0.0.8"] and port["tags"] == {"app": "db"}
    assert "enabled" not in port
    assert daemon.cli("show", "port", "vm9")["vlan"] == "access 101"
    again = daemon.cli("port", "set", "vm9", "enabled=true")
    assert again == {"changed": 0, "generation": generation}
    assert daemon.text("port", "del", "vm9") == f"changed 1 object, generation {generation + 1}\n"
    assert daemon.cli("show", "ports") == []


def test_rules_keep_the_order_that_was_asked_for(daemon):
    daemon.cli("section", "add", "app")
    daemon.cli("rule", "add", "app", "b", "--action", "drop", "--direction", "in", "--service", "tcp/80,tcp/443")
    daemon.cli("rule", "add", "app/d", "action=allow", "source=10.0.0.0/24")
    daemon.cli("rule", "add", "app", "a", "--first")
    daemon.cli("rule", "add", "app", "c", "--before", "d", "--applied-to", "net")
    assert rule_names(daemon) == ["a", "b", "c", "d"]
    daemon.cli("rule", "set", "app/a", "--last")
    daemon.cli("rule", "set", "app/d", "--after", "a")
    daemon.cli("rule", "set", "app", "b", "services=udp/53", "--action", "allow")
    assert rule_names(daemon) == ["b", "c", "a", "d"]
    assert section(daemon)["rules"][0]["services"] == ["udp/53"]
    daemon.cli("rule", "del", "app/c")
    daemon.cli("rule", "del", "app", "a")
    assert rule_names(daemon) == ["b", "d"]


def test_every_noun_is_added_set_and_deleted(daemon):
    steps = (
        ("switch", "dvs1", ["--mtu", "2000"], "mtu=1400", lambda d: d["switches"][1]["mtu"] == 1400),
        ("port-group", "web", ["--switch", "dvs0", "--vlan", "10"], "limits.arp_pps=7",
         lambda d: d["port_groups"][1]["limits"]["arp_pps"] == 7 and d["port_groups"][1]["vlan"]["id"] == 10),
        ("address-set", "dbs", ["--member", "10.0.1.0/24"], "members=10.0.2.0/24",
         lambda d: d["address_sets"][0]["members"] == ["10.0.2.0/24"]),
        ("group", "webs", ["--tag", "app=web"], "tags.tier=1", lambda d: d["groups"][0]["tags"] == {"app": "web", "tier": "1"}),
        ("acl", "hard", ["--applied-to", "net"], "applied_to=any", lambda d: len(d["acls"]) == 1),
        ("section", "app", ["--stateless"], "stateful=true", lambda d: d["dfw"]["sections"][0].get("stateful", True)),
    )
    before = daemon.cli("export")
    for noun, name, options, setting, holds in steps:
        daemon.cli(noun, "add", name, *options)
        daemon.cli(noun, "set", name, setting)
        assert holds(daemon.cli("export")), noun
    daemon.cli("acl", "rule", "add", "hard", "telnet", "--action", "deny", "--service", "tcp/23")
    daemon.cli("acl", "rule", "set", "hard/telnet", "dscp=46")
    assert daemon.cli("export")["acls"][0]["rules"][0]["dscp"] == 46
    daemon.cli("acl", "rule", "del", "hard/telnet")
    daemon.cli("address-set", "add-member", "dbs", "10.0.3.1", "10.0.4.0/24")
    daemon.cli("address-set", "del-member", "dbs", "10.0.3.1")
    assert daemon.cli("export")["address_sets"][0]["members"] == ["10.0.2.0/24", "10.0.4.0/24"]
    daemon.cli("dfw", "set", "default=drop", "timeouts.udp_s=9")
    assert daemon.cli("export")["dfw"]["default"] == "drop"
    daemon.cli("dfw", "set", "default=", "timeouts=")
    for noun, name, *_ in reversed(steps):
        daemon.cli(noun, "del", name)
    assert daemon.cli("export") == before


WRONG = {
    "there already": (["section", "add", "s1"], "exists", "section s1 exists already: use `section set`"),
    "rule there already": (["rule", "add", "s1", "r1"], "exists", "rule s1/r1 exists already: use `rule set`"),
    "not there": (["port", "set", "vm77", "enabled=false"], "not_found", "port vm77 does not exist"),
    "section not there": (["rule", "add", "none", "r1"], "not_found", "section none does not exist"),
    "neighbour not there": (["rule", "set", "s1/r1", "--before", "zz"], "not_found",
                            "rule s1/r1: its neighbour zz does not exist"),
    "half a name": (["rule", "del", "s1"], "invalid", "SECTION/RULE"),
    "unknown key": (["rule", "set", "s1/r1", "colour=red"], "invalid", "colour"),
    "wrong type": (["rule", "set", "s1/r1", "services=7"], "invalid", "services 7 is not a list"),
    "a path through a word": (["rule", "set", "s1/r1", "action.x=7"], "invalid", 'action "drop" is not an object'),
    "renamed": (["section", "set", "s1", "name=s2"], "invalid", "name can't be changed"),
    "still in use": (["switch", "del", "dvs0"], "invalid", "dvs0"),
    "no member": (["address-set", "del-member", "set1", "10.0.0.1"], "not_found", "has no member"),
    "what it needs is missing": (["port", "add", "vm1"], "invalid", "port_group"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_edits_change_nothing(what):
    command, code, message = WRONG[what]
    with Daemon() as daemon:
        daemon.apply({"switches": [{"name": "dvs0"}],
                      "port_groups": [{"name": "a", "switch": "dvs0"}, {"name": "b", "switch": "dvs0"}],
                      "address_sets": [{"name": "set1", "members": ["10.0.0.0/24"]}],
                      "dfw": {"sections": [{"name": "s1", "rules": [{"name": "r1", "action": "drop"}]}]}})
        before = daemon.cli("export")
        error = daemon.cli_error(*command)
        assert error.exit_code == 1 and error.error["code"] == code, error
        assert message in error.error["message"] and "\n" not in error.error["message"]
        assert daemon.cli("export") == before and daemon.cli("status")["generation"] == 1
        assert daemon.cli("dfw", "set", "default=drop")["generation"] == 2  # The refused one left nothing behind.


def test_usage_is_exit_two(daemon):
    for command in (["port", "set", "vm1"], ["port", "add", "vm1", "nonsense"], ["port", "add"],
                    ["rule", "add", "a/b", "--first", "--last"], ["port", "add", "vm1", "--tag", "web"]):
        assert daemon.cli_error(*command).exit_code == 2, command


def test_edit_survives_restart_and_rolls_back(daemon):
    daemon.cli("section", "add", "kept")
    daemon.cli("rule", "add", "kept", "r1", "--action", "drop")
    document = daemon.cli("export")
    daemon.restart()
    assert daemon.cli("export") == document
    daemon.cli("rollback")
    assert daemon.cli("export")["dfw"]["sections"] == [{"name": "kept"}]


def test_own_objects_of_the_host_are_not_edited():
    own = {"host": {"name": "host-a"}, "ports": [{"name": "own1", "port_group": "net", "socket": "/tmp/sluice-own1.sock"}]}
    with Daemon(config=own) as daemon:
        daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}]})
        for command in (["port", "set", "own1", "enabled=false"], ["port", "del", "own1"], ["port", "add", "own1"]):
            assert "own configuration file" in daemon.cli_error(*command).error["message"]
        daemon.cli("port", "add", "vm1", "--socket", daemon.vhost_socket("vm1"))
        assert [port["name"] for port in daemon.cli("show", "ports")] == ["vm1", "own1"]
        assert [port["name"] for port in daemon.cli("export")["ports"]] == ["vm1"]


def test_the_log_names_who_edited_what(daemon):
    daemon.cli("section", "add", "app")
    daemon.cli_error("section", "add", "app")
    log = daemon.log_tail()
    assert "audit: edit (add section app) by uid 0" in log and ": ok" in log
    assert "exists: section app exists already" in log


def test_many_rule_edits_are_quick_and_lose_nothing(scene):
    daemon = scene.daemon
    document = daemon.cli("export")
    daemon.cli("section", "add", "busy", "--first")
    took = []
    for number in range(EDIT_COUNT):
        start = time.monotonic()
        answer = daemon.rpc("edit", {"op": "add", "kind": "rule", "name": f"busy/r{number}",
                                     "object": {"action": "drop", "services": [f"tcp/{number + 1000}"]},
                                     "position": "first"})
        took.append(time.monotonic() - start)
        assert answer["result"]["changed"] == 1, answer
        if number % 20 == 0:
            scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    took.sort()
    print(f"{EDIT_COUNT} edits: median {took[EDIT_COUNT // 2] * 1000:.1f} ms, slowest {took[-1] * 1000:.1f} ms")
    assert took[EDIT_COUNT // 2] < EDIT_LIMIT_S
    daemon.cli("section", "del", "busy")
    assert daemon.cli("export") == document


# Lists

FLOWS = 1500


@pytest.fixture(name="crowd", scope="module")
def _crowd(scene):
    """FLOWS UDP connections of vm1 to vm2 by rule crowd/dns, and one of TCP that is established."""
    scene.fresh(dfw={"default": "allow", "timeouts": {"udp_s": 3600},
                     "sections": [{"name": "crowd", "rules": [{"name": "dns", "action": "allow", "services": ["udp/53"]}]}]})
    scene.vm1.flood([scene.udp("vm1", "vm2", 10000, 53)], count=FLOWS, seconds=60, flows=FLOWS, pps=5000,
                    receivers=[scene.vm2])
    scene.conversation("vm2", "vm1", 4000, 80)
    return scene


def conns(scene, *options):
    return scene.daemon.cli("show", "conns", *options)


def test_connections_are_filtered_by_the_daemon(crowd):
    assert len(conns(crowd)) == FLOWS + 1
    assert len(conns(crowd, "--filter", "proto=udp rule=crowd/dns state=one_way initiator=out")) == FLOWS
    web = conns(crowd, "--filter", "proto=tcp src=10.0.0.2 dst=10.0.0.0/24 dport=80 state=established port=vm1")
    assert len(web) == 1 and web[0]["initiator"] == "in" and web[0]["port"] == "vm1"
    assert conns(crowd, "vm2", "--filter", "proto!=udp")[0]["initiator"] == "out"
    assert conns(crowd, "--filter", "proto=icmp") == []


def test_a_wrong_filter_is_one_sentence_with_its_position(crowd):
    error = crowd.daemon.cli_error("show", "conns", "--filter", "proto=tcp dport=http")
    assert error.exit_code == 1
    assert error.error["message"] == 'filter: at 17: "http" is not a port 0..65535 or a range of ports'
    assert "does not exist" in crowd.daemon.cli_error("show", "conns", "--filter", "rule=no/such").error["message"]


def test_lists_of_connections_are_paged(crowd):
    seen, cursor, pages = set(), 0, 0
    while cursor is not None:
        page = crowd.daemon.rpc("show.conns", {"cursor": cursor, "limit": 400})["result"]
        assert len(page["connections"]) <= 400
        seen |= {(row["proto"], row["src"], row["sport"], row["dport"]) for row in page["connections"]}
        cursor, pages = page["cursor"], pages + 1
    assert len(seen) == FLOWS + 1 and pages >= 4
    assert len(conns(crowd, "--limit", "10", "--offset", str(FLOWS - 5))) == 6
    assert len(conns(crowd, "--limit", "1200")) == 1200
    text = crowd.daemon.text("show", "conns")
    assert text.count("10.0.0.2") == 1000 and "stopped at 1,000 connections" in text
    assert "stopped" not in crowd.daemon.text("show", "conns", "--limit", "0")
    assert len(crowd.daemon.rpc("show.conns", {"limit": 7})["result"]) == 7


def test_top_shows_rates(crowd):
    crowd.vm1.start_flood([crowd.udp("vm1", "vm2", 5, 6)], pps=40000, receivers=[crowd.vm2])
    try:
        done = subprocess.run([program("sluice"), "--socket", crowd.daemon.admin_socket, "-o", "json", "top", "-n", "2", "-d",
                               "1", "--sort", "cycles"], capture_output=True, text=True, timeout=60, check=True)
        table = crowd.daemon.text("top", "-n", "1", "-d", "1")
    finally:
        crowd.vm1.finish_flood()
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == 2
    busiest = rounds[1]["ports"][0]
    assert busiest["port"] == "vm1"
    assert busiest["rx_packets_s"] > 100 and busiest["tx_packets_s"] == 0 and busiest["cycles_s"] > 0
    assert 0 < busiest["cycles_percent"] < 100 and busiest["cycles_per_packet"] > 0
    assert rounds[1]["ports"][1]["tx_packets_s"] > 100
    assert rounds[1]["workers"][0]["packets_s"] > 100 and "busy_percent" in rounds[1]["workers"][0]
    assert "2 ports by packets" in table and "CYCLES/PACKET" in table and "\x1b" not in table
    assert crowd.daemon.cli_error("top", "--sort", "colour").exit_code == 2


# Switches, groups, ports

def test_switches_and_groups_tell_what_is_in_force():
    with Daemon() as daemon:
        daemon.apply({"switches": [{"name": "dvs0", "mtu": 2000}, {"name": "empty"}],
                      "port_groups": [{"name": "a", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                                      {"name": "b", "switch": "dvs0"}],
                      "ports": [daemon.port("vm1", "a", tags={"app": "web"}, ips=["10.0.0.1"]), daemon.port("vm2", "a"),
                                daemon.port("vm3", "b", tags={"app": "web"}, enabled=False)],
                      "groups": [{"name": "webs", "tags": {"app": "web"}}]})
        first, second = daemon.cli("show", "switches")
        assert first["mtu"] == 2000 and first["port_groups"] == ["a", "b"] and first["ports"] == 3
        assert {one["vlan"]: one["ports"] for one in first["domains"]} == {10: 2, 0: 0}
        assert second["ports"] == 0 and second["domains"] == []
        assert "10: 2" in daemon.text("show", "switches")
        assert daemon.cli("show", "groups") == [{"name": "webs", "tags": {"app": "web"}, "ports": ["vm1", "vm3"],
                                                 "addresses": ["10.0.0.1/32"]}]
        port = daemon.cli("show", "port", "vm3")
        assert port["detail"] == "disabled" and port["limits"]["arp_pps"] > 0 and port["guards"]["bpdu"] is True
