# SPDX-License-Identifier: Apache-2.0
"""Offloads and jumbo frames: what one guest leaves to its device arrives right at every other, judged by scapy."""

import pytest
from packets import frame
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from scene import Scene, ip6_of, ip_of, mac_of

GSO_SIZE = 1400
PAYLOAD = bytes((i * 31 + i // 251) % 256 for i in range(20001))
GUESTS = {"vm3": {"features": ["version_1", "mrg_rxbuf"]},
          "vm4": {"features": ["version_1", "mrg_rxbuf", "guest_csum"]}}
JUMBO_MTU = 9000


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene(vms=("vm1", "vm2", "vm3", "vm4"), guests=GUESTS) as scene:
        yield scene
        scene.daemon.assert_books_balance()


@pytest.fixture(name="jumbo", scope="module")
def _jumbo():
    guests = {"vm3": {"rx_buffer_bytes": 1600}, "vm4": GUESTS["vm4"]}
    with Scene(vms=("vm1", "vm2", "vm3", "vm4"), guests=guests,
               switches=[{"name": "dvs0", "mtu": JUMBO_MTU}]) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def network(source, target, v6):
    start = frame(src=mac_of(source), dst=mac_of(target))
    return start.ipv6(ip6_of(source), ip6_of(target)) if v6 else start.ipv4(ip_of(source), ip_of(target))


def tcp(source, target, v6, *ports, **fields):
    return network(source, target, v6).tcp(*ports, **fields)


def open_connection(scene, target, v6, sport):
    scene.passes(tcp("vm1", target, v6, sport, 80, flags="S", seq=999), "vm1", target)
    scene.passes(tcp(target, "vm1", v6, 80, sport, flags="SA", seq=499, ack=1000), target, "vm1")
    scene.passes(tcp("vm1", target, v6, sport, 80, flags="A", seq=1000, ack=500), "vm1", target)


def with_checksum_done(got):
    """The frame as the guest's stack sees it, after what the header leaves to it."""
    data = bytearray(got.frame)
    if got.header["flags"] & 1:
        start = got.header["csum_start"]
        padded = bytes(data[start:]) + bytes(len(data[start:]) % 2)
        total = sum(int.from_bytes(padded[i:i + 2], "big") for i in range(0, len(padded), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        at = start + got.header["csum_offset"]
        data[at:at + 2] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(data)


def sealed_by_scapy(data):
    """The same frame with every length and checksum computed by scapy."""
    packet = Ether(data)
    network_layer = packet.payload
    for name in ("len", "chksum", "plen"):
        if name in network_layer.fields:
            delattr(network_layer, name)
    del packet[TCP].chksum
    return bytes(packet)


def assert_cut(frames, sequence, size):
    """Each is right by itself; together they are PAYLOAD."""
    received = b""
    for number, data in enumerate(frames):
        assert data == sealed_by_scapy(data), f"segment {number}"
        segment = Ether(data)[TCP]
        assert segment.seq == sequence + len(received)
        is_last = number == len(frames) - 1
        assert len(segment.payload) == size or is_last
        assert ("P" in segment.flags) == is_last
        received += bytes(segment.payload)
    assert received == PAYLOAD


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("target", ["vm3", "vm4"])
def test_large_tcp_is_cut_for_a_guest_that_does_not_take_it(scene, target, v6):
    scene.fresh()
    open_connection(scene, target, v6, 4100)
    whole = tcp("vm1", target, v6, 4100, 80, flags="PA", seq=1000, ack=500, payload=PAYLOAD)
    big, header = whole.offload(gso_size=GSO_SIZE)
    before = scene.daemon.assert_books_balance()
    scene.vm1.send(big, layout="indirect", piece_bytes=4096, **header)
    count = -(-len(PAYLOAD) // GSO_SIZE)
    got = scene.vms[target].receive(count)
    takes_partial = target == "vm4"
    assert all(one.header["flags"] & 1 == takes_partial and one.header["gso_type"] == 0 for one in got)
    assert_cut([with_checksum_done(one) for one in got], 1000, GSO_SIZE)
    after = scene.daemon.assert_books_balance()
    assert after["created"] - before["created"] == count
    assert after["consumed"] - before["consumed"] == 1


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
def test_checksum_is_finished_for_a_guest_that_does_not_take_it(scene, v6):
    whole = network("vm1", "vm3", v6).udp(1000, 2000, b"checksum left to the device")
    partial, header = whole.offload()
    scene.vm1.send(partial, **header)
    got = scene.vm3.expect(bytes(whole)[:38])
    assert got.frame == bytes(whole) and got.header["flags"] & 1 == 0


def test_large_tcp_stays_whole_between_able_guests(scene):
    scene.fresh()
    open_connection(scene, "vm2", False, 4200)
    big, header = tcp("vm1", "vm2", False, 4200, 80, flags="PA", seq=1000, ack=500,
                      payload=PAYLOAD).offload(gso_size=GSO_SIZE)
    scene.vm1.send(big, layout="indirect", piece_bytes=4096, **header)
    [got] = scene.vm2.receive(1)
    assert len(got.frame) == len(big) and got.header["gso_size"] == GSO_SIZE


@pytest.mark.parametrize("gso_size, reason", [(0, "bad_l4_checksum"), (1, "bad_offload"), (63, "bad_offload"),
                                              (65500, "bad_offload")])
def test_absurd_segment_sizes_are_refused(scene, gso_size, reason):
    """librte_vhost forgets the whole wish of a header with size 0: what is left is a frame with half a checksum."""
    big, header = tcp("vm1", "vm3", False, 4300, 80, flags="A", payload=bytes(200)).offload(gso_size=GSO_SIZE)
    header["gso_size"] = gso_size
    before = scene.daemon.drops("vm1").get(reason, 0)
    scene.vm1.send(big, **header)
    scene.wait_drops(reason, "vm1", before + 1)


# Jumbo frames

def jumbo_udp(source, target, size):
    """A frame of `size` bytes, Ethernet header included."""
    payload = bytes((i * 7 + i // 253) % 256 for i in range(size - 42))
    return network(source, target, False).udp(1000, 2000, payload)


@pytest.mark.parametrize("layout", ["single", "chained", "indirect", "split_header"])
@pytest.mark.parametrize("source, target", [("vm1", "vm3"), ("vm3", "vm1"), ("vm3", "vm4")])
def test_jumbo_frames_pass(jumbo, layout, source, target):
    """vm3 has small receive buffers: a frame fills several."""
    one = jumbo_udp(source, target, JUMBO_MTU + 14)
    jumbo.vms[source].send(one, layout=layout, piece_bytes=2999)
    got = jumbo.vms[target].expect(one)
    assert got.frame == bytes(one)
    assert got.buffers > 1


def test_a_jumbo_frame_too_large_is_refused(jumbo):
    jumbo.is_dropped(jumbo_udp("vm1", "vm3", JUMBO_MTU + 15), "vm1", "vm3", "oversize_frame")
    jumbo.passes(jumbo_udp("vm1", "vm3", JUMBO_MTU + 14), "vm1", "vm3")


def test_a_jumbo_broadcast_reaches_all(jumbo):
    payload = bytes(i % 251 for i in range(JUMBO_MTU - 28))
    one = frame(src=mac_of("vm1"), dst="ff:ff:ff:ff:ff:ff").ipv4(ip_of("vm1"), "10.0.0.255").udp(1, 2, payload)
    jumbo.vm1.send(one, layout="chained", piece_bytes=4000)
    for name in ("vm2", "vm3", "vm4"):
        assert jumbo.vms[name].expect(one).frame == bytes(one)


def test_large_tcp_is_cut_into_jumbo_segments(jumbo):
    jumbo.fresh()
    open_connection(jumbo, "vm4", False, 4400)
    big, header = tcp("vm1", "vm4", False, 4400, 80, flags="PA", seq=1000, ack=500,
                      payload=PAYLOAD).offload(gso_size=JUMBO_MTU - 40)
    jumbo.vm1.send(big, layout="indirect", piece_bytes=4096, **header)
    got = jumbo.vm4.receive(3)
    assert_cut([with_checksum_done(one) for one in got], 1000, JUMBO_MTU - 40)
