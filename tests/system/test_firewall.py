# SPDX-License-Identifier: Apache-2.0
"""The firewall as operators use it: sections, sets, groups, direction, applied_to; rule changes on running traffic; what
`show` says of it; ACLs and SpoofGuard beside it. Everything runs with the flow cache and without."""

import pytest
from packets import frame
from scene import Scene, ip6_of, ip_of, mac_of

TAGS = {"vm1": {"tags": {"app": "client"}}, "vm2": {"tags": {"app": "web"}}, "vm3": {"tags": {"app": "db"}}}
GROUPS = [{"name": "web-vms", "tags": {"app": "web"}}, {"name": "db-vms", "tags": {"app": "db"}}]


@pytest.fixture(name="scene", scope="module", params=["cached", "uncached"])
def _scene(request):
    args = ["--no-flow-cache"] if request.param == "uncached" else []
    with Scene(vms=("vm1", "vm2", "vm3"), ports=TAGS, args=args) as scene:
        assert scene.daemon.cli("status")["flow_cache"] == (request.param == "cached")
        yield scene
        scene.daemon.assert_books_balance()


def policy(*rules, default="drop", **section):
    return {"default": default, "sections": [{"name": "app", "rules": list(rules), **section}]}


def rule(name, action="allow", **fields):
    return {"name": name, "action": action, **fields}


def conns(scene):
    return [(row["src"], row["sport"], row["dport"], row["state"], row["rule"]) for row in scene.daemon.cli("show", "conns")]


# What a rule matches

def test_default_drop_and_default_allow(scene):
    scene.fresh(dfw={"default": "drop"})
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    scene.fresh(dfw={"default": "allow"})
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")


def test_groups_by_tag_and_services(scene):
    scene.fresh(groups=GROUPS, dfw=policy(rule("web", destination=["web-vms"], services=["tcp/80", "tcp/8000-8080"])))
    scene.conversation("vm1", "vm2", dport=80)
    scene.conversation("vm1", "vm2", sport=4001, dport=8080)
    scene.is_dropped(scene.tcp("vm1", "vm2", dport=8081), "vm1", "vm2", "dfw_deny")
    scene.is_dropped(scene.tcp("vm1", "vm3", dport=80), "vm1", "vm3", "dfw_deny")
    scene.is_dropped(scene.udp("vm1", "vm2", dport=80), "vm1", "vm2", "dfw_deny")


def test_address_sets_and_negation(scene):
    sets = [{"name": "clients", "members": ["10.0.0.1", "2001:db8::1"]}]
    scene.fresh(address_sets=sets, dfw=policy(rule("others", source=["clients"], negate_source=True), default="drop"))
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.udp("vm3", "vm2"), "vm3", "vm2")
    scene.fresh(address_sets=sets, dfw=policy(rule("clients-only", source=["clients"])))
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    scene.passes(scene.ether("vm1", "vm2").ipv6(ip6_of("vm1"), ip6_of("vm2")).udp(1, 2), "vm1", "vm2")
    scene.is_dropped(scene.udp("vm3", "vm2"), "vm3", "vm2", "dfw_deny")


def test_direction_and_applied_to(scene):
    """vm2 may be called and may not call; vm3, to which the rules do not apply, is judged by the default alone."""
    rules = (rule("no-calls", "drop", direction="out", applied_to=["vm2"]),)
    scene.fresh(dfw=policy(*rules, default="allow"))
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    scene.passes(scene.udp("vm2", "vm1", 2000, 1000), "vm2", "vm1")
    scene.is_dropped(scene.udp("vm2", "vm1", 2000, 1001), "vm2", "vm1", "dfw_deny")
    scene.passes(scene.udp("vm3", "vm1"), "vm3", "vm1")


def test_first_match_wins_across_sections(scene):
    sections = [{"name": "first", "rules": [rule("deny-53", "drop", services=["udp/53"])]},
                {"name": "second", "rules": [rule("allow-udp", services=["udp"])]}]
    scene.fresh(dfw={"default": "drop", "sections": sections})
    scene.is_dropped(scene.udp("vm1", "vm2", dport=53), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.udp("vm1", "vm2", dport=54), "vm1", "vm2")


def test_icmp_and_ipv6_are_stateful(scene):
    scene.fresh(dfw=policy(rule("ping", direction="both", source=[ip_of("vm1"), ip6_of("vm1")],
                                services=["icmp/8", "icmpv6/128"])))
    scene.passes(scene.ipv4("vm1", "vm2").icmp(ident=5), "vm1", "vm2")
    scene.passes(scene.ipv4("vm2", "vm1").icmp(kind=0, ident=5), "vm2", "vm1")
    scene.is_dropped(scene.ipv4("vm2", "vm1").icmp(ident=6), "vm2", "vm1", "dfw_deny")
    scene.passes(scene.ether("vm1", "vm2").ipv6(ip6_of("vm1"), ip6_of("vm2")).icmpv6(ident=5), "vm1", "vm2")
    scene.passes(scene.ether("vm2", "vm1").ipv6(ip6_of("vm2"), ip6_of("vm1")).icmpv6(kind=129, ident=5), "vm2", "vm1")


def test_excluded_ports_are_left_alone(scene):
    scene.fresh(dfw={"default": "drop", "exclude": ["vm1", "vm2"]})
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    scene.is_dropped(scene.udp("vm1", "vm3"), "vm1", "vm3", "dfw_deny")


# Rule changes

def test_a_drop_rule_stops_running_traffic_at_once_and_nothing_else(scene):
    scene.fresh(dfw={"default": "allow"})
    scene.conversation("vm1", "vm2", sport=4000)
    scene.conversation("vm1", "vm2", sport=4001, dport=443)
    scene.apply(dfw=policy(rule("no-web", "drop", services=["tcp/80"]), default="allow"))
    data = {"flags": "PA", "seq": 106, "ack": 501, "payload": b"more"}
    assert scene.is_dropped(scene.tcp("vm1", "vm2", 4000, 80, **data), "vm1", "vm2")
    scene.is_dropped(scene.tcp("vm2", "vm1", 80, 4000, "PA", seq=501, ack=106, payload=b"x"), "vm2", "vm1")
    scene.is_dropped(scene.tcp("vm1", "vm2", 4005, 80), "vm1", "vm2", "dfw_deny")
    scene.passes(scene.tcp("vm1", "vm2", 4001, 443, **data), "vm1", "vm2")
    scene.apply(dfw={"default": "allow"})
    scene.conversation("vm1", "vm2", sport=4006)


def test_rule_changes_under_load_keep_the_books(scene):
    """Twenty applies while two guests flood: every frame is delivered, or dropped under a name."""
    scene.fresh(dfw={"default": "allow"})
    before = scene.daemon.assert_books_balance()
    scene.vm1.start_flood(scene.udp("vm1", "vm2"), flows=50, pps=30000,
                          senders={scene.vm2: [scene.udp("vm2", "vm1", 2000, 3000)]})
    for turn in range(10):
        scene.apply(dfw=policy(rule(f"turn{turn}", "drop", services=["udp/2000-2024"]), default="allow"))
        scene.apply(dfw={"default": "allow"})
    result = scene.vm1.finish_flood()
    books = scene.daemon.assert_books_balance()
    sent = sum(result[name]["sent"] for name in ("vm1", "vm2"))
    received = sum(result[name]["received"] for name in ("vm1", "vm2"))
    assert 0 < received <= sent and all(one["unsent"] == 0 for one in result.values())
    assert books["received"] - before["received"] == sent
    assert books["dropped"] - before["dropped"] == sent - received


# What show says

def test_rules_and_connections_are_counted(scene):
    scene.fresh(dfw=policy(rule("web", services=["tcp/80"]), rule("never", services=["tcp/81"])))
    before = {row["name"]: row for row in scene.daemon.cli("show", "rules")}
    scene.conversation("vm1", "vm2")
    after = {row["name"]: row for row in scene.daemon.cli("show", "rules")}
    assert after["web"]["section"] == "app" and after["web"]["action"] == "allow"
    assert after["web"]["hits"] - before["web"]["hits"] >= 1
    assert after["web"]["packets"] - before["web"]["packets"] >= 4
    assert after["never"]["hits"] == after["never"]["packets"] == 0
    rows = [row for row in scene.daemon.cli("show", "conns") if row["sport"] == 4000]
    assert rows, "the connection is not shown"
    row = rows[0]
    assert (row["proto"], row["src"], row["dst"], row["dport"]) == ("tcp", ip_of("vm1"), ip_of("vm2"), 80)
    assert row["state"] == "established" and row["packets"] == 4 and row["bytes"] > 0 and row["expires_s"] > 86000


def test_chain_has_sixteen_slots_and_counts_drops(scene):
    scene.fresh(dfw={"default": "drop"})
    before = scene.daemon.cli("show", "chain", "vm1")["slots"]
    scene.is_dropped(scene.udp("vm1", "vm2"), "vm1", "vm2", "dfw_deny")
    slots = scene.daemon.cli("show", "chain", "vm1")["slots"]
    assert [slot["slot"] for slot in slots] == list(range(16))
    assert [slots[i]["state"] for i in (3, 13, 14)] == ["reserved"] * 3
    assert slots[2]["from_vm"]["drops"] - before[2]["from_vm"]["drops"] == 1
    assert slots[2]["on_failure"] == "closed"


def test_flush_ends_connections(scene):
    scene.fresh(dfw={"default": "allow"})
    scene.conversation("vm1", "vm2")
    assert scene.daemon.cli("flush", "conns")["removed"] >= 1
    assert scene.daemon.cli("show", "conns") == []
    scene.is_dropped(scene.tcp("vm1", "vm2", 4000, 80, "PA", seq=106, ack=501), "vm1", "vm2", "tcp_no_connection")


# Slots 0 and 1

def test_acl_is_stateless_ordered_and_has_a_direction(scene):
    acl = {"name": "hardening", "applied_to": ["vm2"], "rules": [
        {"name": "but-vm3", "action": "permit", "direction": "in", "source": [ip_of("vm3")], "services": ["tcp/23"]},
        {"name": "no-telnet", "action": "deny", "direction": "in", "services": ["tcp/23"]},
        {"name": "no-arp-test", "action": "deny", "direction": "out", "ethertype": "0x88b6"}]}
    scene.fresh(acls=[acl], dfw={"default": "allow"})
    scene.is_dropped(scene.tcp("vm1", "vm2", dport=23), "vm1", "vm2", "acl_deny")
    scene.passes(scene.tcp("vm3", "vm2", dport=23), "vm3", "vm2")
    scene.passes(scene.tcp("vm2", "vm1", dport=23), "vm2", "vm1")
    odd = frame(src=mac_of("vm2"), dst=mac_of("vm1")).raw(bytes(46), ethertype=0x88B6)
    scene.is_dropped(odd, "vm2", "vm1", "acl_deny")


def test_spoofguard_manual(scene):
    guarded = [{"name": "net", "switch": "dvs0", "spoofguard": "manual"}]
    scene.fresh(port_groups=guarded, dfw={"default": "allow"})
    real = scene.udp("vm1", "vm2", sport=5)

    def spoofed(one, reason):
        before = scene.daemon.drops("vm1").get(reason, 0)
        scene.vm1.send([one, real])
        scene.vm2.expect(real)
        assert scene.daemon.drops("vm1").get(reason, 0) == before + 1, scene.daemon.drops("vm1")

    scene.passes(real, "vm1", "vm2")
    spoofed(scene.ether("vm1", "vm2").ipv4(ip_of("vm3"), ip_of("vm2")).udp(1, 2), "spoofed_ip")
    spoofed(scene.ether("vm1", "vm2").ipv6(ip6_of("vm3"), ip6_of("vm2")).udp(1, 2), "spoofed_ip")
    spoofed(frame(src=mac_of("vm9"), dst=mac_of("vm2")).ipv4(ip_of("vm1"), ip_of("vm2")).udp(1, 2), "spoofed_mac")
    spoofed(frame(src=mac_of("vm1")).arp(ip_of("vm3"), ip_of("vm2")), "spoofed_arp")
