# SPDX-License-Identifier: Apache-2.0
"""A service that is a real VM: a Linux bridge between its two legs passes what two guests say, and filters with
nftables. It knows nothing of Sluice but the tag that frames come with."""

import json

import pytest

import traffic
from guest import Guest, wait_until
from host import document, vnic

ONE, TWO = vnic(1), vnic(2)
LEGS = {"ids-in": "02:00:00:00:01:01", "ids-out": "02:00:00:00:01:02"}
# It forgets at once which MAC is behind which leg, and sends everything out by the other.
BRIDGE = """
    for module in $(cat /modules/service-order); do insmod /modules/$module.ko || exit 1; done
    brctl addbr br0
    echo 0 >/sys/class/net/br0/bridge/ageing_time
    for leg in eth0 eth1; do ip addr flush dev $leg; brctl addif br0 $leg; ip link set $leg up promisc on; done
    ip link set br0 up
    nft add table bridge filter
    nft add chain bridge filter forward '{ type filter hook forward priority 0; }'
"""
# Of a frame with a tag: the tag's own ethertype first.
ECHOES = "vlan type ip ip protocol icmp"
REFUSED = "vlan type ip ip protocol tcp tcp dport 81"


def chained(directory, **rule):
    """Two guests, everything that vm1 has to do with inspected."""
    legs = [{"name": name, "kind": "service", "socket": str(directory / f"{name}.sock")} for name in LEGS]
    whole = document(directory)
    whole["ports"] += legs
    whole["service_chains"] = [{"name": "inspection", "rules": [
        {"name": "all", "applied_to": ["vm1"], "slot": 4, "on_failure": "closed",
         "instances": [{"name": "ids", "in": "ids-in", "out": "ids-out"}], **rule}]}]
    return whole


@pytest.fixture(scope="module")
def bridged(site):
    """The site, its guests and the service VM, which works."""
    directory = site.host.directory
    site.host.apply(chained(directory))
    (mac_in, mac_out) = LEGS.values()
    service = Guest("ids", directory, mac_in, directory / "ids-in.sock", image="initramfs-service",
                    more_nics=[(mac_out, directory / "ids-out.sock")])
    site.guests["ids"] = service
    service.boot(wait=False)
    guests = site.boot(1, 2)
    service.wait_ready()
    service.check(BRIDGE)
    for leg in LEGS:
        site.host.wait_port(leg, "up")
    wait_until(lambda: guests[0].ping(TWO["ip"], wait_s=1), 60, "a ping through the service")
    return guests, service


def count(service, match, verdict=""):
    """From now on the bridge counts what matches."""
    service.check("nft flush chain bridge filter forward; "
                  f"nft add rule bridge filter forward {match} counter {verdict}")


def counted(service):
    rules = json.loads(service.check("nft -j list chain bridge filter forward"))["nftables"]
    return next(part["counter"]["packets"] for entry in rules if "rule" in entry
                for part in entry["rule"]["expr"] if "counter" in part)


def services_of(site, **match):
    rows = [row for row in site.host.json("show", "conns", "vm1")
            if all(row[key] == value for key, value in match.items())]
    return [row.get("services") for row in rows]


def test_both_ways_pass_the_bridge(site, bridged):
    (one, two), service = bridged
    count(service, ECHOES)
    assert one.ping(TWO["ip"], count=5)
    assert counted(service) == 10
    assert [{"slot": 4, "instance": "ids"}] in services_of(site, proto="icmp")
    assert two.ping(ONE["ip6"], count=5)


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_a_file_over_tcp_arrives_whole(bridged, family):
    (one, two), _ = bridged
    sent = traffic.make_file(one, 5)
    received, _ = traffic.fetch(two, ONE[family])
    assert received == sent


def test_what_the_bridge_filters_does_not_arrive(bridged):
    (one, two), service = bridged
    count(service, REFUSED, "drop")
    # At the end of its input nc closes the connection: it must last until the other side has said its word.
    one.start("while true; do (echo open; sleep 2) | nc -l -p 8080; done")
    one.start("while true; do (echo shut; sleep 2) | nc -l -p 81; done")
    wait_until(lambda: "open" in two.run(f"sleep 3 | nc -w 5 {ONE['ip']} 8080")[1], 60, "port 8080 answers")
    assert "shut" not in two.run(f"sleep 3 | nc -w 5 {ONE['ip']} 81")[1]
    assert counted(service) > 0


def test_a_bypassed_connection_does_not_meet_it(site, bridged):
    (one, two), service = bridged
    site.host.apply(chained(site.host.directory, initiator="in"))
    site.host.json("flush", "conns")
    count(service, ECHOES)
    assert one.ping(TWO["ip"], count=5)  # vm1 opened it: neither requests nor replies.
    assert counted(service) == 0
    assert two.ping(ONE["ip"], count=5)
    assert counted(service) == 10


def test_books_balance(site, bridged):
    del bridged
    wait_until(lambda: site.host.json("show", "drops", "--audit")["unaccounted"] == 0, 10, "books balance")
