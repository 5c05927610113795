# SPDX-License-Identifier: Apache-2.0
"""Two guests with checksum and segmentation offload: they talk, and big TCP frames pass whole."""

import pytest

import guest as virtio
import traffic
from host import document, vnic

ONE, TWO = vnic(1), vnic(2)


@pytest.fixture(scope="module")
def pair(site):
    site.host.apply(document(site.host.directory, spoofguard="manual"))
    return site.boot(1, 2)


def port_counters(site, name):
    return next(port for port in site.host.json("show", "ports") if port["name"] == name)


def test_guests_ping_over_both_protocols(pair):
    assert pair[0].ping(TWO["ip"], count=5)
    assert pair[1].ping(ONE["ip6"], count=5)
    assert pair[0].ping(TWO["ip"], count=3, options="-s 1400")


def test_offloads_are_negotiated(pair):
    wanted = {virtio.CSUM, virtio.GUEST_CSUM, virtio.HOST_TSO4, virtio.HOST_TSO6, virtio.GUEST_TSO4,
              virtio.GUEST_TSO6, virtio.MRG_RXBUF}
    for guest in pair:
        assert wanted <= guest.virtio_features()


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_file_over_tcp_arrives_whole(pair, family):
    sent = traffic.make_file(pair[0], 20)
    received, _ = traffic.fetch(pair[1], ONE[family])
    assert received == sent


def test_tcp_segments_pass_unsplit(site, pair):
    traffic.make_file(pair[0], 20)
    before = port_counters(site, ONE["name"]), port_counters(site, TWO["name"])
    traffic.fetch(pair[1], ONE["ip"])
    after = port_counters(site, ONE["name"]), port_counters(site, TWO["name"])
    for direction, index in (("rx", 0), ("tx", 1)):  # From vm1, to vm2.
        frames = after[index][f"{direction}_packets"] - before[index][f"{direction}_packets"]
        size = after[index][f"{direction}_bytes"] - before[index][f"{direction}_bytes"]
        assert size > 20 * traffic.MEGABYTE
        assert size / frames > 1600, f"{direction}: {size} bytes in {frames} frames: not bigger than the MTU"


def test_spoofed_address_is_dropped_with_its_reason(site, pair):
    before = site.host.json("show", "drops", ONE["name"])
    pair[0].check("ip addr add 192.0.2.77/24 dev $(cat /run/interface)")
    code, _ = pair[0].run(f"ping -c 1 -W 1 -I 192.0.2.77 {TWO['ip']}")
    pair[0].check("ip addr del 192.0.2.77/24 dev $(cat /run/interface)")
    after = site.host.json("show", "drops", ONE["name"])
    assert code != 0
    assert sum(after.get(reason, 0) - before.get(reason, 0) for reason in ("spoofed_ip", "spoofed_arp")) > 0


def test_books_balance(site, pair):
    del pair
    virtio.wait_until(lambda: site.host.json("show", "drops", "--audit")["unaccounted"] == 0, 10, "books balance")
