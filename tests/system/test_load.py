# SPDX-License-Identifier: Apache-2.0
"""sluice-load against the daemon: every mode gives a valid result, and the switch's books agree with the load's counts.

Short runs on shared cores: what is asserted is counts, never speed.
"""

import json
import subprocess

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import program

MACS = {"a": "02:00:00:00:00:01", "b": "02:00:00:00:00:02"}
A_IPS = [f"10.0.1.{number}" for number in range(1, 17)]
KEYS = {"mode", "seconds", "tsc_hz", "sent", "received", "lost", "load_cycles_per_packet", "load_idle_share"}
ALLOW = {"default": "drop", "limits": {"connections_per_port": 0}, "sections": [{"name": "app", "rules": [
    {"name": "web", "action": "allow", "services": ["tcp/80-99"]}, {"name": "any-udp", "action": "allow", "services": ["udp"]}]}]}
DENY = {"default": "drop", "sections": [{"name": "app", "rules": [{"name": "ssh", "action": "allow", "services": ["tcp/22"]}]}]}


def document(daemon, firewall, socket_mode="server"):
    """Two vNICs with slots 0 to 2 on."""
    def port(name, ips):
        return daemon.port(name, "net", mac=MACS[name], ips=ips, socket_mode=socket_mode)
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0", "spoofguard": "manual"}],
            "ports": [port("a", A_IPS), port("b", ["10.0.0.2"])],
            "acls": [{"name": "hardening", "rules": [{"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}]}],
            "dfw": firewall}


@pytest.fixture(name="daemon", scope="module")
def _daemon():
    with Daemon() as daemon:
        yield daemon


@pytest.fixture(name="switch")
def _switch(daemon):
    """The daemon with a policy that lets the load pass, and no connection of an earlier test."""
    daemon.apply(document(daemon, ALLOW))
    daemon.cli("flush", "conns")
    return daemon


def load(daemon, mode, *words, listen=False, seconds=0.5):
    """One run: the finished process."""
    tail = ",listen" if listen else ""
    ends = ["--a", f"{daemon.vhost_socket('a')},mac={MACS['a']},ip={A_IPS[0]}-{A_IPS[-1]}{tail}",
            "--b", f"{daemon.vhost_socket('b')},mac={MACS['b']},ip=10.0.0.2{tail}"]
    return subprocess.run([program("sluice-load"), mode, *ends, "--seconds", str(seconds), "--warmup", "0.1", "--json", *words],
                          capture_output=True, text=True, timeout=100, check=False)


def run(daemon, mode, *words, **more):
    """A run that must be valid: its JSON, after the daemon has let go of the guests and its books were compared."""
    before = daemon.assert_books_balance()
    done = load(daemon, mode, *words, **more)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert KEYS <= set(result) and result["mode"] == mode
    for name in MACS:
        daemon.wait_port(name, "down")
    after = daemon.assert_books_balance()
    assert after["received"] - before["received"] == result["sent_total"], (before, after, result)
    if "received_total" in result:
        delivered = after["sent"] - before["sent"] + after["created"] - before["created"]
        assert result["received_total"] <= delivered, (before, after, result)
    return result


def refusal(daemon, mode, *words):
    done = load(daemon, mode, "--start-timeout", "1", *words)
    assert done.returncode == 1 and done.stdout == "", done
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_flood_moves_every_frame(switch):
    result = run(switch, "flood", "--flows", "2000", "--gaps")
    assert result["received"] > 0 and result["lost"] == 0
    assert result["pps"] > 0 and result["gbps"] > 0 and result["gap_max_us"] >= 0


@pytest.mark.parametrize("words", [("--both",), ("--size", "imix"), ("--size", "1518", "--no-mergeable", "--no-offloads"),
                                   ("--checksum", "partial"), ("--pps", "20000"), ("--flows", "50000")])
def test_flood_in_other_shapes(switch, words):
    result = run(switch, "flood", *words)
    assert result["received"] > 0 and result["lost"] == 0


def test_flood_of_connections_that_were_opened(switch):
    for _ in range(2):  # The second run uses the same 5-tuples: the first has closed them.
        result = run(switch, "flood", "--proto", "tcp", "--handshake", "--flows", "500", "--both")
        assert result["connections"] == 500 and result["lost"] == 0
    assert "tcp_window" not in switch.drops()


def test_connections_are_opened_and_closed(switch):
    before = {rule["name"]: rule["hits"] for rule in switch.cli("show", "rules")}
    result = run(switch, "crr", "--port", "80-99", "--parallel", "64")
    assert result["opened"] > 0 and result["closed"] > 0 and result["failed"] == 0 and result["stray"] == 0
    assert result["connections_per_second"] > 0

    def hits():
        now = {rule["name"]: rule["hits"] for rule in switch.cli("show", "rules")}
        return now["web"] - before["web"] >= result["closed"]
    eventually(hits, "the rule was hit once a connection at least")


def test_latency_has_percentiles(switch):
    one_way = run(switch, "latency")
    both_ways = run(switch, "latency", "--round-trip", "--size", "512")
    for result in (one_way, both_ways):
        assert result["lost"] == 0 and result["samples"] + result["discarded"] == result["received"]
        assert 0 < result["p50_ns"] <= result["p99_ns"] <= result["p999_ns"]


def test_large_segments_arrive_whole(switch):
    for words in ((), ("--flows", "4", "--queue-size", "1024"), ("--no-mergeable",)):
        result = run(switch, "tso", *words)
        assert result["lost"] == 0 and result["gbps"] > 0 and result["frame_bytes"] == 60054, (words, result)
    assert "tcp_window" not in switch.drops()


def test_the_switch_connects_to_a_load_that_listens(daemon):
    daemon.apply(document(daemon, ALLOW, socket_mode="client"))
    assert run(daemon, "flood", listen=True)["lost"] == 0


def test_a_policy_in_the_way_is_no_result(daemon):
    daemon.apply(document(daemon, DENY))
    daemon.cli("flush", "conns")
    assert "no connection that a opened to b was answered within 1000 ms" in refusal(daemon, "crr")
    assert "no frame that a sent arrived at b within 1000 ms" in refusal(daemon, "flood")
    assert "no frame that a sent arrived at b" in refusal(daemon, "latency")
    assert "no connection that a opened" in refusal(daemon, "tso")
    daemon.assert_books_balance()


def test_a_policy_that_rejects_is_no_result(daemon):
    daemon.apply(document(daemon, {**DENY, "default": "reject"}))
    assert "the switch resets the connections" in refusal(daemon, "crr")


def test_no_switch_is_no_result(daemon):
    done = subprocess.run([program("sluice-load"), "flood", "--a", daemon.vhost_socket("none"), "--b", daemon.vhost_socket("b"),
                           "--start-timeout", "0.3"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "no switch took the vNIC" in done.stderr
