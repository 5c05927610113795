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
