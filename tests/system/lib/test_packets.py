# SPDX-License-Identifier: Apache-2.0
"""packets.py against scapy: what we build, scapy would build too, field by field and checksum by checksum."""

import pytest
from packets import describe, fields, frame, link_local, multicast_mac, solicited_node
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6,
                                IPv6ExtHdrFragment)
from scapy.layers.l2 import ARP, Dot1Q, Ether

A, B = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
A4, B4 = "192.0.2.10", "198.51.100.20"
A6, B6 = "2001:db8:a::10", "2001:db8:b::20"
ETHER = Ether(src=A, dst=B)
V4 = IP(src=A4, dst=B4)
V6 = IPv6(src=A6, dst=B6)


def start():
    return frame(src=A, dst=B)


CASES = {
    "tcp syn": (start().ipv4(A4, B4).tcp(40000, 443, "S", seq=1000),
                ETHER / V4 / TCP(sport=40000, dport=443, flags="S", seq=1000, window=65535)),
    "tcp data, odd length": (start().ipv4(A4, B4).tcp(1, 2, "PA", seq=7, ack=9, payload=b"odd"),
                             ETHER / V4 / TCP(sport=1, dport=2, flags="PA", seq=7, ack=9, window=65535) / b"odd"),
    "udp": (start().ipv4(A4, B4).udp(5000, 53, b"query"), ETHER / V4 / UDP(sport=5000, dport=53) / b"query"),
    "udp over ipv6": (start().ipv6(A6, B6).udp(5000, 53, b"query"), ETHER / V6 / UDP(sport=5000, dport=53) / b"query"),
    "icmp echo": (start().ipv4(A4, B4).icmp(payload=b"x" * 56), ETHER / V4 / ICMP(id=1, seq=1) / (b"x" * 56)),
    "icmpv6 echo": (start().ipv6(A6, B6).icmpv6(payload=b"y"), ETHER / V6 / ICMPv6EchoRequest(id=1, seq=1, data=b"y")),
    "two tags": (start().vlan(100, tpid=0x88A8).vlan(10, pcp=5).ipv4(A4, B4).udp(1, 2),
                 Ether(src=A, dst=B, type=0x88A8) / Dot1Q(vlan=100) / Dot1Q(vlan=10, prio=5) / V4 / UDP(sport=1, dport=2)),
    "arp request": (frame(src=A).arp(A4, B4),
                    Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A, psrc=A4, hwdst="00:00:00:00:00:00", pdst=B4)),
    "arp reply": (start().arp(A4, B4, "reply"), ETHER / ARP(op=2, hwsrc=A, psrc=A4, hwdst=B, pdst=B4)),
    "solicitation": (start().ipv6(A6, solicited_node(B6), hop_limit=255).nd_solicit(B6, A),
                     ETHER / IPv6(src=A6, dst="ff02::1:ff00:20", hlim=255) / ICMPv6ND_NS(tgt=B6) /
                     ICMPv6NDOptSrcLLAddr(lladdr=A)),
    "advertisement": (start().ipv6(A6, B6, hop_limit=255).nd_advertise(A6, A),
                      ETHER / IPv6(src=A6, dst=B6, hlim=255) / ICMPv6ND_NA(tgt=A6, R=0, S=1, O=1) /
                      ICMPv6NDOptDstLLAddr(lladdr=A)),
    "dscp, df, ttl": (start().ipv4(A4, B4, dscp=46, df=True, ttl=3, ident=77).udp(1, 2),
                      ETHER / IP(src=A4, dst=B4, tos=46 << 2, flags="DF", ttl=3, id=77) / UDP(sport=1, dport=2)),
    "later fragment": (start().ipv4(A4, B4, offset=1480, mf=True, protocol=17).raw(b"z" * 16),
                       ETHER / IP(src=A4, dst=B4, frag=185, flags="MF", proto=17) / (b"z" * 16)),
    "ipv6 fragment": (start().ipv6(A6, B6).ipv6_fragment(mf=True, ident=5).udp(1, 2, b"p" * 8),
                      ETHER / V6 / IPv6ExtHdrFragment(m=1, id=5) / UDP(sport=1, dport=2) / (b"p" * 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_builds_what_scapy_builds(name):
    ours, theirs = CASES[name]
    assert bytes(ours) == bytes(theirs), f"\n{describe(ours)}\n{describe(bytes(theirs))}"


def test_given_values_are_written_as_they_are():
    data = bytes(start().ipv4(A4, B4, ihl=4, total_length=19, header_checksum=0x1111).tcp(tcp_checksum=0x1234))
    assert data[14] == 0x44 and data[16:18] == b"\0\x13" and data[24:26] == b"\x11\x11" and data[50:52] == b"\x12\x34"


def test_pad_and_trailer_do_not_change_the_packet():
    base = bytes(start().ipv4(A4, B4).tcp())
    assert bytes(start().ipv4(A4, B4).tcp().pad()) == base + bytes(6)
    assert bytes(start().ipv4(A4, B4).tcp().trailer(b"tail")) == base + b"tail"


def test_offload_leaves_the_pseudo_header_sum():
    partial, header = start().ipv4(A4, B4).tcp(payload=b"d" * 3000).offload(gso_size=1448)
    assert header == {"flags": 1, "csum_start": 34, "csum_offset": 16, "gso_type": 1, "gso_size": 1448, "hdr_len": 54}
    whole = bytes(start().ipv4(A4, B4).tcp(payload=b"d" * 3000))
    data = bytes(partial)
    total = sum(int.from_bytes((data[34:] + b"\0")[i:i + 2], "big") for i in range(0, len(data) - 34, 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert ~total & 0xFFFF == int.from_bytes(whole[50:52], "big")  # As the device completes it.


def test_fields_read_back_what_was_built():
    read = fields(start().vlan(10).ipv6(A6, B6, dscp=8).tcp(1, 2, "SA", seq=3, ack=4, payload=b"p").pad(100))
    assert (read["vlans"], read["ip_src"], read["dscp"], read["flags"], read["seq"]) == ([10], A6, 8, "SA", 3)
    assert read["payload"] == b"p"
    assert fields(start().arp(A4, B4))["arp_sender_ip"] == A4


def test_describe_never_fails_on_cut_frames():
    whole = bytes(start().vlan(1).ipv4(A4, B4).tcp())
    for size in range(len(whole)):
        assert describe(whole[:size]).endswith(f"{size} bytes")


def test_derived_addresses():
    assert solicited_node("2001:db8::1:2:3456") == "ff02::1:ff02:3456"
    assert multicast_mac("224.129.2.3") == "01:00:5e:01:02:03"
    assert multicast_mac("ff02::1:ff00:20") == "33:33:ff:00:00:20"
    assert link_local(A) == "fe80::ff:fe00:a01"
