# SPDX-License-Identifier: Apache-2.0
"""A guest with TSO and checksum offload and one with none: a gigabyte of real TCP between them, both ways."""

import pytest

import guest as virtio
import traffic
from host import document, vnic

ABLE, PLAIN = vnic(1), vnic(2)
FILE_MEGABYTES = 128
MSS_MAX = 1460
LEFT_OUT = {virtio.CSUM, virtio.GUEST_CSUM, virtio.HOST_TSO4, virtio.HOST_TSO6, virtio.GUEST_TSO4, virtio.GUEST_TSO6}
# Server, client, family, how often the file is fetched: 8 * 128 MB in all.
WAYS = [(ABLE, PLAIN, "ip", 3), (PLAIN, ABLE, "ip", 2), (ABLE, PLAIN, "ip6", 2), (PLAIN, ABLE, "ip6", 1)]


@pytest.fixture(scope="module")
def guests(site):
    """By name, each with its file's MD5 in .file_sum."""
    site.host.apply(document(site.host.directory, spoofguard="manual"))
    both = [site.make_guest(1, memory_mb=384), site.make_guest(2, memory_mb=384, offloads=False)]
    for one in both:
        one.boot(wait=False)
    for one in both:
        one.wait_ready()
        site.host.wait_port(one.name, "up")
        one.file_sum = traffic.serve_file(one, FILE_MEGABYTES)
    return {one.name: one for one in both}


def books(site):
    return site.host.json("show", "drops", "--audit")


def test_only_one_guest_has_offloads(guests):
    assert LEFT_OUT <= guests[ABLE["name"]].virtio_features()
    assert not LEFT_OUT & guests[PLAIN["name"]].virtio_features()


@pytest.mark.parametrize("server, client, family, times", WAYS,
                         ids=["able-to-plain-ipv4", "plain-to-able-ipv4", "able-to-plain-ipv6", "plain-to-able-ipv6"])
def test_every_byte_arrives(site, guests, server, client, family, times):
    before = books(site)
    seconds = 0.0
    for _ in range(times):
        received, took = traffic.fetch_sum(guests[client["name"]], server[family])
        assert received == guests[server["name"]].file_sum
        seconds += took
    after = books(site)
    created = after["created"] - before["created"]
    size = times * FILE_MEGABYTES * traffic.MEGABYTE
    print(f"{times * FILE_MEGABYTES / seconds:.1f} MB/s, {created} segments made, drops {site.host.json('show', 'drops')}")
    if server is ABLE:
        assert created > 0.8 * size / MSS_MAX, "large frames were cut"
        assert after["consumed"] - before["consumed"] < created / 2
    else:
        assert created < 0.01 * size / MSS_MAX, "frames of a plain guest are as small as they need be"


def test_nothing_was_dropped_for_its_offload(site, guests):
    del guests
    assert not {"offload_missing", "bad_offload", "bad_l4_checksum", "no_buffer"} & set(site.host.json("show", "drops"))


def test_books_balance(site, guests):
    del guests
    virtio.wait_until(lambda: books(site)["unaccounted"] == 0, 10, "books balance")
