# SPDX-License-Identifier: Apache-2.0
"""What operators ask of a running daemon about single packets and rules: `trace`, `show acls`, the firewall log."""

import json
import os

import pytest
from conditions import eventually
from daemon import CliError
from scene import Scene, ip_of, mac_of

RULES = {"default": "allow", "sections": [{"name": "app", "rules": [
    {"name": "web", "action": "allow", "services": ["tcp/80"], "log": True},
    {"name": "no", "action": "drop", "services": ["tcp/81"], "log": True}]}]}
ACLS = [{"name": "edge", "applied_to": ["vm1"], "rules": [
    {"name": "seen", "action": "count"},
    {"name": "no-push", "action": "deny", "tcp_flags": "psh,!ack"},
    {"name": "mark", "action": "permit", "direction": "out", "services": ["udp/53"], "set_dscp": 46}]}]


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(vms=("vm1", "vm2")) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def log_lines(scene):
    path = os.path.join(scene.daemon.state_dir, "firewall.log")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def test_trace_names_what_decides(scene):
    scene.fresh(dfw=RULES, acls=ACLS)
    passed = scene.daemon.cli("trace", "vm1", "--dst", ip_of("vm2"), "--dport", "80")
    assert (passed["verdict"], passed["reason"]) == ("delivered", "")
    said = " / ".join(f"{step['where']} {step['slot']} {step['detail']}" for step in passed["steps"])
    assert "rule acl edge/seen" in said and "vm2 dfw to the VM, rule app/web" in said
    assert set(passed["steps"][0]) == {"host", "where", "slot", "what", "detail"}
    dropped = scene.daemon.cli("trace", "vm1", "--to-mac", mac_of("vm2"), "--src", ip_of("vm1"), "--dst", ip_of("vm2"),
                               "--proto", "tcp", "--sport", "5", "--dport", "81")
    assert (dropped["verdict"], dropped["reason"]) == ("dropped", "dfw_deny")
    assert any("app/no" in step["detail"] and step["what"] == "drop" for step in dropped["steps"])
    flags = scene.daemon.cli("trace", "vm1", "--dst", ip_of("vm2"), "--dport", "80", "--flags", "psh,syn")
    assert flags["reason"] == "acl_deny"
    assert scene.daemon.cli("show", "conns") == []
    assert scene.daemon.cli("show", "acls")[0]["packets"] == 0


def test_trace_says_what_it_lacks(scene):
    scene.fresh(dfw=RULES)
    for arguments, words in ((("vm9", "--dst", "10.0.0.2"), "vm9 does not exist"),
                             (("vm1",), "dst is not given"),
                             (("vm1", "--dst", "10.0.0.77"), "give to_mac"),
                             (("vm1", "--dst", "10.0.0.2", "--proto", "tpc"), "proto tpc is not"),
                             (("vm1", "--dst", "10.0.0.2", "--icmp-type", "3"), "can't be traced")):
        with pytest.raises(CliError, match=words):
            scene.daemon.cli("trace", *arguments)


def test_acl_rules_count_and_mark(scene):
    scene.fresh(acls=ACLS)
    scene.vm1.send(scene.udp("vm1", "vm2", 1000, 53))
    assert scene.vm2.receive()[0].frame[15] >> 2 == 46
    rows = {row["name"]: row for row in scene.daemon.cli("show", "acls", "vm1")}
    assert [rows[name]["packets"] for name in ("seen", "no-push", "mark")] == [1, 0, 1]
    assert rows["mark"]["acl"] == "edge" and rows["seen"]["action"] == "count"
    assert scene.daemon.cli("show", "acls", "vm2") == []


def test_a_logged_connection_has_a_start_and_an_end(scene):
    scene.fresh(dfw=RULES)
    before = len(log_lines(scene))
    scene.conversation("vm1", "vm2", dport=80)
    scene.daemon.cli("flush", "conns")
    lines = eventually(lambda: [line for line in log_lines(scene)[before:] if line["event"] == "end"],
                       "the end of the connection in the log")
    start = [line for line in log_lines(scene)[before:] if line["event"] == "open"]
    assert len(start) == len(lines) == 1
    assert (lines[0]["source"], lines[0]["destination"]) == ("vm1", "vm2")
    assert (lines[0]["section"], lines[0]["rule"], lines[0]["why"]) == ("app", "web", "flushed")
    assert lines[0]["packets"] >= 3 and lines[0]["bytes"] > 0 and lines[0]["duration_ms"] >= 0
