# SPDX-License-Identifier: Apache-2.0
"""Policy that answers back, writes down and learns: reject, the firewall log, groups that follow tags at the next packet,
SpoofGuard auto with bindings. Frames are read by scapy, which knows nothing of the switch."""

import json
import os
import signal

import pytest
from conditions import eventually
from packets import frame
from scapy.all import ICMP, IP, TCP, Ether, ICMPv6DestUnreach, IPv6
from scene import Scene, ip6_of, ip_of, mac_of

GROUPS = [{"name": "red", "tags": {"colour": "red"}}]


@pytest.fixture(name="scene", scope="module", params=["cached", "uncached"])
def _scene(request):
    args = ["--no-flow-cache"] if request.param == "uncached" else []
    with Scene(vms=("vm1", "vm2", "vm3"), ports={"vm1": {"tags": {"colour": "red"}}}, args=args) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def policy(*rules, default="allow", exclude=(), **section):
    return {"default": default, "exclude": list(exclude), "sections": [{"name": "app", "rules": list(rules), **section}]}


def rule(name, action="allow", **fields):
    return {"name": name, "action": action, **fields}


def with_right_checksums(data):
    """The frame as scapy reads it; asserts that lengths and checksums are as scapy would have made them."""
    read = Ether(bytes(data))
    again = Ether(bytes(data))
    for layer in (IP, IPv6, TCP, ICMP, ICMPv6DestUnreach):
        for field in {"chksum", "cksum", "len", "plen"} & {one.name for one in layer.fields_desc}:
            if layer in again:
                delattr(again[layer], field)
    assert bytes(again) == bytes(data), f"{read.show(dump=True)}\nis not\n{again.show(dump=True)}"
    return read


# Reject

@pytest.mark.parametrize("where", [{}, {"direction": "in", "applied_to": ["vm2"]}], ids=["everywhere", "at the other end"])
def test_a_refused_syn_is_answered_with_a_reset(scene, where):
    scene.fresh(dfw=policy(rule("no", "reject", services=["tcp/80"], **where)))
    for number in range(3):
        scene.vm1.send(scene.tcp("vm1", "vm2", 4000, 80, "S", seq=1000 + number))
        answer = with_right_checksums(scene.vm1.receive(1)[0].frame)
        assert (answer.src, answer.dst) == (mac_of("vm2"), mac_of("vm1"))
        assert (answer[IP].src, answer[IP].dst) == (ip_of("vm2"), ip_of("vm1"))
        assert (answer[TCP].sport, answer[TCP].dport, str(answer[TCP].flags)) == (80, 4000, "RA")
        assert (answer[TCP].seq, answer[TCP].ack) == (0, 1001 + number)
    scene.conversation("vm1", "vm2", dport=81)
    assert scene.daemon.drops("vm1")["dfw_reject"] >= 3


def test_a_running_connection_is_reset_when_a_rule_comes(scene):
    scene.fresh()
    scene.conversation("vm1", "vm2")
    scene.apply(dfw=policy(rule("no", "reject", services=["tcp/80"])))
    scene.vm1.send(scene.tcp("vm1", "vm2", 4000, 80, "A", seq=106, ack=501))
    answer = with_right_checksums(scene.vm1.receive(1)[0].frame)
    assert (str(answer[TCP].flags), answer[TCP].seq) == ("R", 501)
    assert scene.daemon.cli("show", "conns") == []


def test_other_protocols_are_answered_with_unreachable(scene):
    scene.fresh(dfw={"default": "reject"})
    refused = scene.udp("vm1", "vm2", payload=b"q" * 700)
    scene.vm1.send(refused)
    answer = with_right_checksums(scene.vm1.receive(1)[0].frame)
    assert (answer[IP].src, answer[IP].dst) == (ip_of("vm2"), ip_of("vm1"))
    assert (answer[ICMP].type, answer[ICMP].code) == (3, 13)
    assert len(answer[IP]) == 576 and bytes(answer[ICMP].payload) == bytes(refused)[14:14 + 548]
    refused = scene.ether("vm1", "vm2").ipv6(ip6_of("vm1"), ip6_of("vm2")).icmpv6(128)
    scene.vm1.send(refused)
    answer = with_right_checksums(scene.vm1.receive(1)[0].frame)
    assert (answer[IPv6].src, answer[IPv6].dst) == (ip6_of("vm2"), ip6_of("vm1"))
    assert (answer[ICMPv6DestUnreach].type, answer[ICMPv6DestUnreach].code) == (1, 1)
    assert bytes(answer[ICMPv6DestUnreach].payload) == bytes(refused)[14:]


def test_padding_is_not_quoted(scene):
    scene.fresh(dfw={"default": "reject"})
    scene.vm1.send(scene.udp("vm1", "vm2", payload=b"x").pad(90))
    answer = with_right_checksums(scene.vm1.receive(1)[0].frame)
    assert len(answer[IP]) == 20 + 8 + 20 + 8 + 1


def test_nobody_answers_resets_errors_and_groups(scene):
    scene.fresh(dfw={"default": "reject"})
    error = bytes(scene.udp("vm2", "vm1"))[14:]
    quiet = [scene.tcp("vm1", "vm2", 4000, 80, "R", seq=5),
             scene.ipv4("vm1", "vm2").icmp(3, 3, 0, 0, error),
             frame(src=mac_of("vm1")).ipv4(ip_of("vm1"), "10.0.0.255").udp(1000, 2000, b"all")]
    for one in quiet:
        scene.vm1.send(one)
    scene.vm2.send(scene.marker("vm2", "vm1"))
    scene.vm1.expect(scene.marker("vm2", "vm1"))


# Log

def log_lines(scene, path=None):
    try:
        with open(path or os.path.join(scene.daemon.state_dir, "firewall.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def wait_line(scene, path=None, **wanted):
    """The first line that has these values."""
    def found():
        return next((line for line in log_lines(scene, path) if wanted.items() <= line.items()), None)
    return eventually(found, f"a line with {wanted}")


def test_a_line_for_each_connection_and_each_refused_flow(scene):
    scene.fresh(groups=GROUPS, dfw=policy(rule("web", services=["tcp/80"], source=["red"], log=True),
                                          rule("no-dns", "drop", services=["udp/53"], direction="in", log=True),
                                          rule("no-telnet", "reject", services=["tcp/23"], log=True)))
    scene.conversation("vm1", "vm2", sport=4711)
    line = wait_line(scene, rule="web", sport=4711)
    assert line == {**line, "event": "open", "section": "app", "port": "vm1", "direction": "out", "proto": "tcp",
                    "src": ip_of("vm1"), "dst": ip_of("vm2"), "dport": 80}
    assert line["time"].endswith("Z")
    scene.is_dropped(scene.udp("vm3", "vm2", 4712, 53), "vm3", "vm2", "dfw_deny")
    line = wait_line(scene, rule="no-dns", sport=4712)
    assert (line["event"], line["port"], line["direction"], line["proto"]) == ("drop", "vm2", "in", "udp")
    scene.vm1.send(scene.tcp("vm1", "vm2", 4713, 23))
    assert wait_line(scene, rule="no-telnet", sport=4713)["event"] == "reject"
    assert sum(line.get("sport") == 4711 for line in log_lines(scene)) == 1, "one line a connection"


def test_the_log_goes_on_after_it_was_moved(scene):
    scene.fresh(dfw=policy(rule("all", log=True)))
    path = os.path.join(scene.daemon.state_dir, "firewall.log")
    scene.passes(scene.udp("vm1", "vm2", 5001), "vm1", "vm2")
    wait_line(scene, sport=5001)
    os.rename(path, path + ".old")
    os.kill(scene.daemon.pid, signal.SIGHUP)
    scene.passes(scene.udp("vm1", "vm2", 5002), "vm1", "vm2")

    def moved_on():
        scene.passes(scene.udp("vm1", "vm2", 5003, next(ports)), "vm1", "vm2")
        return any(line["sport"] == 5003 for line in log_lines(scene))
    ports = iter(range(6000, 7000))
    eventually(moved_on, "a new file")
    assert any(line["sport"] == 5001 for line in log_lines(scene, path + ".old"))


def test_a_full_disk_costs_lines_only():
    with Scene(args=["--firewall-log", "/dev/full"]) as scene:
        scene.apply(dfw=policy(rule("all", log=True)))
        for sport in range(1000, 1020):
            scene.passes(scene.udp("vm1", "vm2", sport), "vm1", "vm2")
        eventually(lambda: "No space left" in scene.daemon.log_tail(), "a warning")
        scene.conversation()
        assert scene.daemon.log_tail().count("No space left") == 1


def test_what_is_too_much_is_counted(tmp_path):
    path = tmp_path / "log"
    sent = 12000
    with Scene(args=["--firewall-log", path, "--no-flow-cache"]) as scene:
        scene.apply(dfw=policy(rule("no", "drop", log=True)))
        scene.vm1.flood([scene.udp("vm1", "vm2")], count=sent)

        def all_told():
            lines = log_lines(scene, path)
            left_out = sum(line["count"] for line in lines if line["event"] == "left_out")
            return left_out > 0 and left_out + sum(line["event"] == "drop" for line in lines) == sent
        eventually(all_told, "every refusal written or counted", 10.0)
        assert sum(line["event"] == "drop" for line in log_lines(scene, path)) < sent


def test_a_log_that_can_not_be_opened_is_an_error_at_start(tmp_path):
    with pytest.raises(AssertionError, match="firewall log /no/such/folder/log: open: No such file"):
        Scene(args=["--firewall-log", "/no/such/folder/log"]).__enter__()


# Groups

def test_a_tag_that_changes_counts_at_the_next_packet(scene):
    def apply(colours, **fields):
        document = scene.document(groups=GROUPS, dfw=policy(rule("reds", services=["tcp/80", "udp"], **fields), default="drop"))
        for port in document["ports"]:
            port["tags"] = {"colour": colours.get(port["name"], "none")}
        scene.daemon.apply(document)

    scene.fresh()
    apply({"vm1": "red"}, source=["red"])
    scene.conversation("vm1", "vm2")
    apply({"vm3": "red"}, source=["red"])
    scene.is_dropped(scene.tcp("vm2", "vm1", 80, 4000, "A", seq=501, ack=106), "vm2", "vm1")
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.udp("vm3", "vm2"), "vm3", "vm2")
    apply({"vm1": "red"}, source=["red"], negate_source=True)
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.udp("vm3", "vm2"), "vm3", "vm2")
    apply({"vm2": "red"}, destination=["red"], negate_destination=True)
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.udp("vm1", "vm3"), "vm1", "vm3")


def test_excluded_groups_are_touched_by_no_rule(scene):
    scene.fresh(groups=GROUPS, dfw=policy(default="drop", exclude=["red", "vm2"]))
    scene.passes(scene.tcp("vm1", "vm2", 4000, 80, "A", seq=7, ack=9), "vm1", "vm2")
    scene.is_dropped(scene.udp("vm1", "vm3"), "vm1", "vm3", "dfw_deny")
    scene.apply(groups=GROUPS, dfw=policy(default="drop", exclude=["vm2"]))
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")


# SpoofGuard auto

def guarded(mode, **bindings):
    return [{"name": "net", "switch": "dvs0", "spoofguard": mode, "bindings": bindings}]


def announce(scene, address, name="vm1"):
    return frame(src=mac_of(name)).arp(address, address)


@pytest.fixture(name="auto", params=["cached", "uncached"])
def _auto(request):
    args = ["--no-flow-cache"] if request.param == "uncached" else []
    with Scene(ports={"vm1": {"ips": []}}, port_groups=guarded("auto", arp=1, nd=3), args=args) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def bindings(scene, port="vm1"):
    return {(row["ip"], row["source"]) for row in scene.daemon.cli("show", "bindings", port)}


def refused(scene, one, reason):
    """Dropped for this reason alone. What passes next finds nothing before it."""
    wanted = scene.daemon.drops("vm1")
    wanted[reason] = wanted.get(reason, 0) + 1
    scene.vm1.send(one)
    eventually(lambda: scene.daemon.drops("vm1") == wanted, f"one {reason}")


def test_first_use_is_trusted_shown_and_forgotten(auto):
    assert bindings(auto) == set()
    assert bindings(auto, "vm2") == {(ip_of("vm2"), "static"), (ip6_of("vm2"), "static")}
    refused(auto, auto.udp("vm1", "vm2"), "spoofed_ip")
    auto.passes(announce(auto, ip_of("vm1")), "vm1", "vm2")
    auto.passes(auto.udp("vm1", "vm2"), "vm1", "vm2")
    refused(auto, announce(auto, "10.0.0.99"), "spoofed_arp")
    refused(auto, auto.ether("vm1", "vm2").ipv4("10.0.0.99", ip_of("vm2")).udp(1, 2), "spoofed_ip")
    assert bindings(auto) == {(ip_of("vm1"), "arp")}
    row = auto.daemon.cli("show", "bindings", "vm1")[0]
    assert (row["port"], row["mac"], row["expires_s"]) == ("vm1", mac_of("vm1"), None)
    arps = auto.daemon.cli("show", "arps")
    assert {"switch": "dvs0", "ip": ip_of("vm1"), "mac": mac_of("vm1"), "port": "vm1"}.items() <= arps[0].items()
    assert auto.daemon.cli("flush", "bindings", "vm1") == {"removed": 1}
    refused(auto, auto.udp("vm1", "vm2"), "spoofed_ip")
    auto.passes(announce(auto, "10.0.0.99"), "vm1", "vm2")
    assert bindings(auto) == {("10.0.0.99", "arp")}
    error = auto.daemon.cli_error("flush", "bindings", "vm9")
    assert "port vm9 does not exist" in error.error["message"]


def test_neighbour_discovery_is_trusted_up_to_its_limit(auto):
    def solicit(source):
        return auto.ether("vm1", "vm2").ipv6(source, ip6_of("vm2"), hop_limit=255).nd_solicit(ip6_of("vm2"), mac_of("vm1"))

    own = ["fe80::1", ip6_of("vm1"), "2001:db8::a1"]
    for address in own:
        auto.passes(solicit(address), "vm1", "vm2")
        auto.passes(auto.ether("vm1", "vm2").ipv6(address, ip6_of("vm2")).udp(1, 2), "vm1", "vm2")
    refused(auto, solicit("2001:db8::a2"), "spoofed_nd")
    refused(auto, auto.ether("vm1", "vm2").ipv6("2001:db8::a2", ip6_of("vm2")).udp(1, 2), "spoofed_ip")
    assert bindings(auto) == {(address, "nd") for address in own}


def test_an_idle_binding_ages(auto):
    auto.apply(port_groups=guarded("auto", arp=1, nd=3, age_s=1))
    auto.passes(announce(auto, ip_of("vm1")), "vm1", "vm2")
    assert auto.daemon.cli("show", "bindings", "vm1")[0]["expires_s"] is not None
    eventually(lambda: bindings(auto) == set(), "the binding's end")
    refused(auto, auto.udp("vm1", "vm2"), "spoofed_ip")


def test_bindings_are_snooped_where_nothing_is_guarded(auto):
    auto.apply(port_groups=guarded("off"))
    auto.passes(announce(auto, ip_of("vm1")), "vm1", "vm2")
    assert bindings(auto) == {(ip_of("vm1"), "arp")}
    auto.apply(port_groups=guarded("auto"))
    auto.passes(auto.udp("vm1", "vm2"), "vm1", "vm2")


def test_a_vnic_in_another_vlan_claims_anew(auto):
    def apply(vlan):
        auto.apply(port_groups=[{**guarded("auto", arp=1)[0], "vlan": vlan}])

    auto.passes(announce(auto, ip_of("vm1")), "vm1", "vm2")
    apply({"mode": "access", "id": 10})
    assert bindings(auto) == set()
    refused(auto, auto.udp("vm1", "vm2"), "spoofed_ip")
    auto.passes(announce(auto, "10.0.0.99"), "vm1", "vm2")
    assert [(row["ip"], row["vlan"]) for row in auto.daemon.cli("show", "bindings", "vm1")] == [("10.0.0.99", 10)]
