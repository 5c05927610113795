# SPDX-License-Identifier: Apache-2.0
"""Guests with two queue pairs and two CPUs: all queues carry traffic, and nothing is lost or mixed up."""

import pytest

import guest as virtio
import traffic
from host import document, vnic

ONE, TWO = vnic(1), vnic(2)
STREAMS = 6


@pytest.fixture(scope="module")
def pair(site):
    site.host.apply(document(site.host.directory))
    return site.boot(1, 2, queues=2, cpus=2)


def test_guest_uses_both_queues(pair):
    for guest in pair:
        assert virtio.MQ in guest.virtio_features()
        assert guest.check("ls -d /sys/class/net/$(cat /run/interface)/queues/tx-* | wc -l").strip() == "2"


def test_guests_ping(pair):
    assert pair[0].ping(TWO["ip"], count=3)
    assert pair[1].ping(ONE["ip6"], count=3)


def test_parallel_streams_arrive_whole(pair):
    sent = traffic.make_file(pair[0], 4)
    jobs = [pair[1].start(f"taskset {1 + number % 2} wget -q -O - http://{ONE['ip']}/file | sha256sum")
            for number in range(STREAMS)]
    for job in jobs:
        code, output = job.wait(120)
        assert code == 0
        assert output.split()[0] == sent


def test_rebound_driver_uses_both_queues_again(pair):
    pair[0].rebind_driver()
    virtio.wait_until(lambda: pair[0].ping(TWO["ip"]), 20, "vm1 pings vm2 after the rebind")
    sent = traffic.make_file(pair[0], 4)
    assert traffic.fetch(pair[1], ONE["ip"])[0] == sent
