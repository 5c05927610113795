# SPDX-License-Identifier: Apache-2.0
"""Learning, flooding, moves, limits, overrides, IGMP and MLD snooping: by the daemon, its CLI and real frames (scapy's
IGMP and MLD, so that the messages are not the product's own idea of them)."""

import pytest
from conditions import eventually
from packets import frame, mac, multicast_mac
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mr
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6MLDMultAddrRec, ICMPv6MLQuery, ICMPv6MLReport, ICMPv6MLReport2, IPv6,
                                IPv6ExtHdrHopByHop, RouterAlert)
from scapy.layers.l2 import Ether
from scene import Scene, ip6_of, ip_of, mac_of

NESTED, OTHER = "02:00:00:00:0a:01", "02:00:00:00:0a:02"
GROUP, GROUP6 = "239.1.2.3", "ff05::1:3"
VMS = ("vm1", "vm2", "vm3", "vm4")


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(vms=VMS) as scene:
        yield scene
        scene.daemon.assert_books_balance()


@pytest.fixture(name="calm", autouse=True)
def _calm(scene):
    scene.fresh()
    scene.daemon.cli("flush", "macs")


def group(**fields):
    return [{"name": "net", "switch": "dvs0", **fields}]


def learning(**fields):
    return group(mac_learning={"enabled": True, **fields})


def hello(source, ip="10.0.0.99"):
    return frame(src=source).arp(ip, ip)


def to(target, source="vm2", number=0):
    """Unicast that no firewall judges."""
    return frame(src=mac_of(source), dst=target).raw(b"to a learned one %06d" % number).pad()


def learned(scene):
    return {row["mac"]: row["port"] for row in scene.daemon.cli("show", "macs") if row["source"] == "learned"}


def teach(scene, name, source):
    scene.vms[name].send(hello(source))
    eventually(lambda: learned(scene).get(source) == name, f"{source} learned at {name}")
    for vm in scene.vms.values():
        vm.drain(0.02)


# MACs

def test_a_learned_mac_is_shown_reached_and_flushed(scene):
    scene.apply(port_groups=learning())
    scene.is_dropped(to(NESTED), "vm2", "vm1", "unknown_unicast")
    teach(scene, "vm1", NESTED)
    scene.passes(to(NESTED), "vm2", "vm1")
    row = next(row for row in scene.daemon.cli("show", "macs") if row["mac"] == NESTED)
    assert row["switch"] == "dvs0" and row["vlan"] == 0 and row["port_group"] == "net"
    assert row["age_s"] <= 5 and 290 <= row["expires_s"] <= 301
    assert scene.daemon.cli("flush", "macs", "net") == {"removed": 1}
    scene.is_dropped(to(NESTED, number=1), "vm2", "vm1", "unknown_unicast")
    assert "port_group nowhere does not exist" in scene.daemon.cli_error("flush", "macs", "nowhere").error["message"]


def test_nothing_is_learned_unless_asked_for(scene):
    scene.is_dropped(hello(NESTED), "vm1", "vm2", "spoofed_mac")
    assert learned(scene) == {}


def test_a_mac_moves_with_its_newest_frame(scene):
    scene.apply(port_groups=learning())
    teach(scene, "vm1", NESTED)
    scene.passes(to(NESTED), "vm2", "vm1")
    teach(scene, "vm3", NESTED)
    scene.passes(to(NESTED, number=1), "vm2", "vm3")
    scene.vm1.expect_silence(0.02)


def test_a_port_learns_up_to_its_limit(scene):
    scene.apply(port_groups=learning(limit=1))
    teach(scene, "vm1", NESTED)
    scene.is_dropped(hello(OTHER), "vm1", "vm2", "mac_limit")
    assert learned(scene) == {NESTED: "vm1"}
    teach(scene, "vm3", OTHER)


def test_a_silent_mac_ages(scene):
    scene.apply(port_groups=learning(age_s=1))
    scene.vm1.send(hello(NESTED))
    eventually(lambda: NESTED in learned(scene), "learned")
    eventually(lambda: learned(scene) == {}, "forgotten", timeout=10)


def test_unknown_unicast_is_flooded_on_request(scene):
    scene.apply(port_groups=learning(unknown_unicast_flood=True))
    scene.vm2.send(to(NESTED))
    for name in ("vm1", "vm3", "vm4"):
        scene.vms[name].expect(to(NESTED))
    teach(scene, "vm1", NESTED)
    scene.passes(to(NESTED, number=1), "vm2", "vm1")
    for name in ("vm3", "vm4"):
        scene.vms[name].expect_silence(0.02)


def test_a_guest_that_may_change_its_mac_is_found(scene):
    ports = scene.document()["ports"]
    ports[0]["overrides"] = {"security": {"mac_changes": True}}
    scene.apply(ports=ports)
    teach(scene, "vm1", NESTED)
    scene.passes(to(NESTED), "vm2", "vm1")
    teach(scene, "vm1", OTHER)
    scene.passes(to(OTHER), "vm2", "vm1")
    scene.is_dropped(to(NESTED, number=1), "vm2", "vm1", "unknown_unicast")
    scene.is_dropped(hello(NESTED), "vm3", "vm1", "spoofed_mac")


def test_rows_of_a_removed_port_go_with_it(scene):
    scene.apply(port_groups=learning())
    teach(scene, "vm4", NESTED)
    document = scene.document(port_groups=learning())
    document["ports"] = document["ports"][:3]
    scene.daemon.apply(document)
    assert learned(scene) == {}
    scene.apply(port_groups=learning())
    scene.vm4.reconnect()
    scene.daemon.wait_port("vm4")


def test_vlan_overrides_isolate_and_a_promiscuous_trunk_sees_all(scene):
    """One port group, each VM in a VLAN of its own, and one port that is a trunk."""
    ports = scene.document()["ports"]
    for number, port in enumerate(ports[:3]):
        port["overrides"] = {"vlan": {"mode": "access", "id": 101 + number}}
    ports[3]["overrides"] = {"vlan": {"mode": "trunk", "ranges": ["101-103"]}, "security": {"promiscuous": True}}
    scene.apply(ports=ports)
    one = to(mac_of("vm2"), "vm1")
    scene.vm1.send(one)
    tagged = frame(src=mac_of("vm1"), dst=mac_of("vm2")).vlan(101).raw(b"to a learned one 000000").pad(64)
    scene.vm4.expect(bytes(tagged))
    scene.vm2.expect_silence(0.02)
    scene.vm1.send(frame(src=mac_of("vm1")).arp(ip_of("vm1"), ip_of("vm2")))
    scene.vm4.expect(frame(src=mac_of("vm1")).vlan(101).arp(ip_of("vm1"), ip_of("vm2")))
    scene.vm3.expect_silence(0.02)


# Groups

def igmp(name, message, target):
    return bytes(Ether(src=mac_of(name), dst=multicast_mac(target)) / IP(src=ip_of(name), dst=target, ttl=1) / message)


def igmp_query(name):
    return igmp(name, IGMP(type=0x11, mrcode=100, gaddr="0.0.0.0"), "224.0.0.1")


def igmp_join(name):
    return igmp(name, IGMP(type=0x16, gaddr=GROUP), GROUP)


def igmp_leave(name):
    return igmp(name, IGMP(type=0x17, gaddr=GROUP), "224.0.0.2")


def igmp_report3(name, kind):
    return igmp(name, IGMPv3(type=0x22) / IGMPv3mr(records=[IGMPv3gr(rtype=kind, maddr=GROUP)]), "224.0.0.22")


def mld(name, message, target):
    return bytes(Ether(src=mac_of(name), dst=multicast_mac(target)) / IPv6(src=ip6_of(name), dst=target, hlim=1) /
                 IPv6ExtHdrHopByHop(options=RouterAlert()) / message)


def mld_report2(name, kind):
    record = ICMPv6MLDMultAddrRec(rtype=kind, dst=GROUP6)
    return mld(name, ICMPv6MLReport2(records=[record]), "ff02::16")


def stream(version=4, number=0):
    target = GROUP if version == 4 else GROUP6
    layer = IP(src=ip_of("vm1"), dst=target) if version == 4 else IPv6(src=ip6_of("vm1"), dst=target)
    return bytes(Ether(src=mac_of("vm1"), dst=multicast_mac(target)) / layer / UDP(sport=5000, dport=5001) /
                 (b"stream %06d" % number))


def reach(scene, one, querier=None):
    """Numbers of the VMs that a frame from vm1 reaches; a broadcast behind it says that all has come. Frames from the
    MAC `querier` may come between."""
    end = frame(src=mac_of("vm1")).raw(b"the end of it").pad()
    scene.vm1.send([one, end])
    got = ""
    for name in VMS[1:]:
        found, before = scene.vms[name].receive_until(b"the end of it")
        assert found, f"{name}: the end did not come"
        frames = [each.frame for each in before if each.frame[6:12] != querier]
        assert frames in ([], [one]), f"{name}: {[str(each) for each in before]}"
        got += name[2:] if frames else ""
    return got


def tell(scene, name, message, count):
    """Sends a membership message and waits until the switch knows so many rows of its kind."""
    scene.vms[name].send(message)
    eventually(lambda: len(rows(scene)) == count, f"{count} rows of multicast")
    for vm in scene.vms.values():
        vm.drain(0.02)


def rows(scene):
    return scene.daemon.cli("show", "multicast")


def on(name, **multicast):
    """The nouns that put every VM on the switch `name`."""
    return {"switches": [{"name": name, "multicast": multicast}], "port_groups": [{"name": "net", "switch": name}]}


@pytest.fixture(name="switch")
def _switch(scene, request):
    """Name of a switch that has heard nothing, with every VM on it."""
    name = "s" + str(abs(hash(request.node.name)) % 10**9)
    scene.fresh(**on(name))
    assert rows(scene) == []
    return name


def test_igmp_snooping(scene, switch):
    assert reach(scene, stream()) == "234"
    tell(scene, "vm4", igmp_query("vm4"), 2)
    assert {(row["kind"], row["port"], row["source"]) for row in rows(scene)} == {
        ("querier", "vm4", "igmp"), ("router", "vm4", "igmp")}
    tell(scene, "vm2", igmp_join("vm2"), 3)
    assert reach(scene, stream()) == "24"
    member = next(row for row in rows(scene) if row["kind"] == "group")
    assert member["group"] == multicast_mac(GROUP) and member["port"] == "vm2" and 250 <= member["expires_s"] <= 261
    tell(scene, "vm3", igmp_report3("vm3", 4), 4)
    assert reach(scene, stream(number=1)) == "234"
    tell(scene, "vm3", igmp_report3("vm3", 3), 3)
    assert reach(scene, stream(number=2)) == "24"
    tell(scene, "vm2", igmp_leave("vm2"), 2)
    assert reach(scene, stream(number=3)) == "234", "unregistered: flooded"
    scene.apply(**on(switch, flood_unregistered=False))
    assert reach(scene, stream(number=4)) == "4", "unregistered: to the router"


@pytest.mark.usefixtures("switch")
def test_mld_snooping(scene):
    tell(scene, "vm4", mld("vm4", ICMPv6MLQuery(mladdr="::"), "ff02::1"), 2)
    tell(scene, "vm2", mld("vm2", ICMPv6MLReport(mladdr=GROUP6), GROUP6), 3)
    assert reach(scene, stream(6)) == "24"
    assert reach(scene, stream(4)) == "234", "nobody asks for IPv4"
    tell(scene, "vm3", mld_report2("vm3", 4), 4)
    assert reach(scene, stream(6, 1)) == "234"
    tell(scene, "vm3", mld_report2("vm3", 3), 3)
    assert reach(scene, stream(6, 2)) == "24"


@pytest.mark.usefixtures("switch")
def test_reports_reach_routers_only_and_malformed_ones_nobody(scene):
    tell(scene, "vm4", igmp_query("vm4"), 2)
    scene.vm2.send(igmp_join("vm2"))
    scene.vm4.expect(igmp_join("vm2"))
    scene.vm3.expect_silence(0.02)
    no_group = igmp("vm2", IGMP(type=0x16, gaddr="10.0.0.1"), GROUP)
    scene.is_dropped(no_group, "vm2", "vm4", "bad_membership")
    cut_short = igmp("vm2", IGMPv3(type=0x22) / IGMPv3mr(numgrp=3, records=[IGMPv3gr(rtype=4, maddr=GROUP)]), GROUP)
    scene.is_dropped(cut_short, "vm2", "vm4", "bad_membership")


def test_our_own_querier_asks_in_every_vlan(scene, switch):
    scene.apply(**on(switch, querier={"enabled": True, "interval_s": 1}))
    seen = []

    def has_asked():
        seen.extend(scene.vm1.receive(16, 0.2))
        packets = [Ether(one.frame) for one in seen]
        return any(IGMPv3 in one or IGMP in one for one in packets) and any(ICMPv6MLQuery in one or b"\x82" in bytes(
            one[IPv6].payload)[8:9] for one in packets if IPv6 in one)
    eventually(has_asked, "a query of each family")
    query = next(Ether(one.frame) for one in seen if IP in Ether(one.frame))
    assert query[IP].src == "0.0.0.0" and query[IP].dst == "224.0.0.1" and query[IP].ttl == 1
    assert [row["source"] for row in rows(scene)] == ["static"]
    scene.vm2.send(igmp_join("vm2"))
    eventually(lambda: len(rows(scene)) == 2, "vm2's membership")
    assert reach(scene, stream(), mac(query.src)) == "2"
    scene.daemon.assert_books_balance()


def test_multicast_keys_are_checked_and_exported(scene):
    good = {"name": "dvs0", "multicast": {"flood_unregistered": False, "querier": {"enabled": True, "interval_s": 60}}}
    scene.apply(switches=[good])
    assert scene.daemon.cli("export")["switches"] == [good]
    for wrong, says in (({"querier": {"interval_s": 0}}, "interval_s 0 is outside 1.."),
                        ({"snooping": False, "querier": {"enabled": True}}, "needs snooping"),
                        ({"snoop": True}, "snoop")):
        refused = scene.daemon.apply_error(scene.document(switches=[{"name": "dvs0", "multicast": wrong}]))
        assert says in refused.error["message"] and "dvs0" in refused.error["message"]
