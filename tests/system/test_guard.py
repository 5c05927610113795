# SPDX-License-Identifier: Apache-2.0
"""What bindings are for, from outside: known questions are answered in place, rules follow learned addresses, and what
SpoofGuard refused waits for a word. Answers are read by scapy, which knows nothing of the switch."""

import pytest
from packets import frame, multicast_mac, solicited_node
from scapy.all import ARP, Ether, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scene import Scene, ip6_of, ip_of, mac_of

NO_LIMITS = {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}
FOREIGN, FOREIGN6 = "10.0.0.66", "2001:db8::66"


def group(**fields):
    return [{"name": "net", "switch": "dvs0", "limits": NO_LIMITS, **fields}]


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(vms=("vm1", "vm2", "vm3"), port_groups=group()) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def who_has(source, target_ip, sender_ip=None):
    return frame(src=mac_of(source)).arp(sender_ip or ip_of(source), target_ip).pad()


def nothing_came(scene, name, source):
    """Nothing but a marker that is sent now reaches `name`."""
    marker = scene.marker(source, name)
    scene.vms[source].send(marker)
    found, before = scene.vms[name].receive_until(bytes(marker), 5.0)
    assert found and before == [], before


def is_refused(scene, one, reason):
    """vm1's frame is dropped for `reason`; SpoofGuard passes IP only, so what follows it is a datagram of its own."""
    before = scene.daemon.drops("vm1").get(reason, 0)
    own = scene.udp("vm1", "vm2", payload=b"follows what was refused")
    scene.vm1.send(one)
    scene.vm1.send(own)
    scene.vm2.expect(own)
    assert scene.daemon.drops("vm1").get(reason, 0) == before + 1


def test_known_questions_are_answered_in_place(scene):
    scene.fresh()
    before = scene.daemon.cli("show", "port", "vm1")["answered"]
    scene.vm1.send(who_has("vm1", ip_of("vm2")))
    raw = scene.vm1.receive(1)[0].frame
    answer = Ether(bytes(raw))
    assert len(raw) == 60 and (answer.src, answer.dst) == (mac_of("vm2"), mac_of("vm1"))
    assert (answer[ARP].op, answer[ARP].hwsrc, answer[ARP].psrc) == (2, mac_of("vm2"), ip_of("vm2"))
    assert (answer[ARP].hwdst, answer[ARP].pdst) == (mac_of("vm1"), ip_of("vm1"))
    node = solicited_node(ip6_of("vm2"))
    scene.vm1.send(frame(src=mac_of("vm1"), dst=multicast_mac(node)).ipv6(ip6_of("vm1"), node, hop_limit=255)
                   .nd_solicit(ip6_of("vm2"), source_mac=mac_of("vm1")))
    answer = Ether(bytes(scene.vm1.receive(1)[0].frame))
    assert (answer[IPv6].src, answer[IPv6].dst, answer[IPv6].hlim) == (ip6_of("vm2"), ip6_of("vm1"), 255)
    told = answer[ICMPv6ND_NA]
    assert (told.R, told.S, told.O, told.tgt) == (0, 1, 1, ip6_of("vm2"))
    assert answer[ICMPv6NDOptDstLLAddr].lladdr == mac_of("vm2")
    nothing_came(scene, "vm2", "vm1")
    nothing_came(scene, "vm3", "vm1")
    assert scene.daemon.cli("show", "port", "vm1")["answered"] == before + 2


def test_unknown_questions_and_announcements_reach_everybody(scene):
    scene.fresh()
    for one in (who_has("vm1", FOREIGN), who_has("vm1", ip_of("vm1")), who_has("vm1", ip_of("vm2"), "0.0.0.0")):
        scene.vm1.send(one)
        for name in ("vm2", "vm3"):
            scene.vms[name].expect(one)


def test_a_rule_follows_a_learned_address_until_it_is_flushed(scene):
    groups = [{"name": "web", "tags": {"app": "web"}}]
    dfw = {"default": "drop", "sections": [{"name": "s", "rules": [{"name": "web-out", "action": "allow", "source": ["web"]}]}]}
    document = scene.document(groups=groups, dfw=dfw, port_groups=group(bindings={"arp": 2, "nd": 3}))
    document["ports"][0] = {**document["ports"][0], "tags": {"app": "web"}}
    scene.daemon.apply(document)
    one = scene.ether("vm1", "vm2").ipv4(FOREIGN, ip_of("vm2")).udp(1000, 2000, b"hello")
    scene.is_dropped(one, "vm1", "vm2", "dfw_deny")
    claim = who_has("vm1", "10.0.0.99", FOREIGN)
    scene.vm1.send(claim)
    scene.vm2.expect(claim)
    scene.passes(one, "vm1", "vm2")
    scene.daemon.cli("flush", "bindings", "vm1")
    scene.is_dropped(one, "vm1", "vm2", "dfw_deny")


def test_what_was_refused_waits_for_a_word(scene):
    scene.fresh(port_groups=group(spoofguard="manual"))
    scene.daemon.cli("flush", "bindings")
    spoofguard = lambda *words: scene.daemon.cli("spoofguard", *words)  # noqa: E731
    assert spoofguard("pending") == []
    for _ in range(3):
        is_refused(scene, who_has("vm1", ip_of("vm2"), FOREIGN), "spoofed_arp")
    other = scene.ether("vm1", "vm2").ipv6(FOREIGN6, ip6_of("vm2")).udp(1000, 2000, b"hello")
    is_refused(scene, other, "spoofed_ip")
    rows = {row["ip"]: row for row in spoofguard("pending", "vm1")}
    assert set(rows) == {FOREIGN, FOREIGN6}
    row = rows[FOREIGN]
    assert (row["port"], row["mac"], row["vlan"], row["source"], row["count"]) == ("vm1", mac_of("vm1"), 0, "arp", 3)
    assert 0 <= row["last_seen_s"] <= row["first_seen_s"] < 600
    assert spoofguard("pending", "vm2") == []

    assert spoofguard("approve", "vm1", FOREIGN6)["changed"] == 1
    scene.passes(other, "vm1", "vm2")
    exported = {port["name"]: port for port in scene.daemon.cli("export")["ports"]}
    assert exported["vm1"]["ips"] == [ip_of("vm1"), ip6_of("vm1"), FOREIGN6]
    assert [row["ip"] for row in spoofguard("pending")] == [FOREIGN]

    assert spoofguard("reject", "vm1", FOREIGN) == {"rejected": 1}
    assert spoofguard("pending") == []
    is_refused(scene, who_has("vm1", ip_of("vm2"), FOREIGN), "spoofed_arp")
    assert spoofguard("pending") == []
    scene.daemon.cli("flush", "bindings", "vm1")
    is_refused(scene, who_has("vm1", ip_of("vm2"), FOREIGN), "spoofed_arp")
    assert [row["count"] for row in spoofguard("pending")] == [1]


def test_wrong_words_are_refused_with_a_sentence(scene):
    scene.fresh(port_groups=group(spoofguard="manual"))
    scene.daemon.cli("flush", "bindings")
    for words, sentence in ((("approve", "vm9", FOREIGN), "port vm9 does not exist"),
                            (("approve", "vm1", FOREIGN), f"port vm1: {FOREIGN} is none of the addresses that wait"),
                            (("reject", "vm1", "10.0.0"), 'port vm1: "10.0.0" is not an IP address'),
                            (("pending", "vm9"), "port vm9 does not exist")):
        assert sentence in str(scene.daemon.cli_error("spoofguard", *words)), words
