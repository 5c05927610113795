# SPDX-License-Identifier: Apache-2.0
"""A vNIC moves to another host: its document, its connections, the dirty log, announcements and stragglers. The same under load
and many times over is tests/torture/part_migrate.py."""

import copy
import json

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from migration import Site, Talk, vtep_ip
from network import Namespaces, Wire
from overlay import tunnelled
from packets import frame, mac

SECTIONS = [{"name": "app", "rules": [{"name": "web", "action": "allow", "services": ["tcp/80", "udp/53"]}]}]


@pytest.fixture(name="site", scope="module")
def _site():
    with Site(sections=SECTIONS) as site:
        yield site
        for daemon in site.daemons.values():
            daemon.assert_books_balance()


@pytest.fixture(name="talks", scope="module")
def _talks(site):
    talks = [Talk(site.peer(host), site.vm, 41000) for host in site.HOSTS]
    talks += [Talk(site.vm, site.peer(host), 22000 + host) for host in site.HOSTS]
    site.establish(talks)
    assert not site.exchange(talks)
    return talks


def import_error(site, document):
    return site.target.cli_error("port", "import", "vm1", "-", stdin=json.dumps(document)).error


def test_the_document_is_readable(site, talks):
    document = site.export()
    assert (document["format"], document["version"], document["final"]) == ("sluice-port", 1, False)
    assert document["vteps"] == [vtep_ip(1)] and document["mac"] == site.vm.mac
    assert len(document["connections"]) == len(talks)
    one = next(row for row in document["connections"] if row["sport"] == 41000 and row["src"] == site.peer(2).ip)
    assert (one["state"], one["initiator"], one["rule"], one["stateful"], one["vni"]) == ("established", "in", "app/web", True,
                                                                                         5001)
    assert one["tcp"]["opener"]["end"] == talks[1].next[0] and 0 < one["expires_ms"] <= 86401000
    assert [row["ip"] for row in document["bindings"]] == [site.vm.ip]


@pytest.mark.parametrize("change, sentence", [
    (lambda d: d.update(format="other"), "no document of `port export`"),
    (lambda d: d.update(version=2), "version 2"),
    (lambda d: d.update(mac="02:00:00:00:00:77"), "02:00:00:00:00:77"),
    (lambda d: d.update(surprise=1), "surprise"),
    (lambda d: d.update(key_policies=["kp9"]), "key policy \"kp9\""),
    (lambda d: d["connections"][-1].update(vni=5002), "not in VNI 5002"),
    (lambda d: d["connections"][-1].update(state="two_way"), "two_way"),
    (lambda d: d["connections"][-1].update(src="nowhere"), "nowhere"),
    (lambda d: d["connections"][-1].update(sport=70000), "70000"),
    (lambda d: d["connections"][-1].pop("tcp"), "tcp"),
    (lambda d: d["connections"][-1].update(extra=1), "extra"),
    (lambda d: d["connections"].append(7), "object"),
    (lambda d: d["bindings"].append({"ip": "10.0.7.1"}), "bindings[1]"),
    (lambda d: d.update(connections=3), "connections"),
])
def test_what_does_not_check_out_is_refused_whole(site, talks, change, sentence):
    assert talks
    before = site.target.cli("show", "conns", "vm1")
    document = copy.deepcopy(site.export())
    document["connections"][0]["dport"] = 8080  # Would be new, were it taken in.
    change(document)
    assert sentence in import_error(site, document)["message"]
    after = site.target.cli("show", "conns", "vm1")
    assert {(row["src"], row["dport"]) for row in after} == {(row["src"], row["dport"]) for row in before}


def test_other_wrong_ways(site):
    assert "does not exist" in site.source.cli_error("port", "export", "nobody").error["message"]
    assert "--final" in site.source.cli_error("port", "export", "vm1", "--to", vtep_ip(2)).error["message"]
    assert "VTEP" in site.source.cli_error("port", "export", "vm1", "--final").error["message"]
    assert "none of the VTEPs" in site.source.cli_error("port", "export", "vm1", "--final", "--to", "172.16.0.99").error["message"]
    assert "nothing to cancel" in site.source.cli_error("port", "export", "vm1", "--cancel").error["message"]


def test_logging_costs_no_frame_and_misses_no_page(site, talks):
    guest, peer = site.vm.front_end, site.peer(1).front_end
    guest.drain()
    attached = site.source.cli("show", "port", "vm1")["detail"]
    peer.start_flood([talks[0].segment(0, "PA", b"x" * 600)], pps=200, count=800)
    received = changed = 0
    for _ in range(5):
        guest.start_log()
        received += len(guest.receive(20, 1.0))
        check = guest.check_log()
        assert check["unmarked"] == 0, check
        changed += check["changed"]
        guest.stop_log()
        received += len(guest.receive(20, 1.0))
    sent = sum(one["sent"] for one in peer.finish_flood(let_it_end=True).values())
    received += len(guest.drain(0.3))
    assert received == sent and changed > 0
    assert site.source.cli("show", "port", "vm1")["detail"] == attached, "the device was never gone"
    assert guest.stats()["missed_calls"] == 0


def test_qemu_may_ask_for_an_announcement(site, talks):
    """It is answered, and costs nothing: the switch announces by itself."""
    site.vm.front_end.send_rarp(site.vm.mac)
    assert not site.exchange(talks)


def test_a_move_that_fails_is_taken_back(site, talks):
    site.vm.front_end.stop()
    site.export(final=True)
    assert site.source.cli("show", "port", "vm1")["moved"]["to"] == vtep_ip(2)
    site.source.cli("port", "export", "vm1", "--cancel")
    site.vm.front_end.resume()
    site.source.wait_port("vm1")
    assert site.source.cli("show", "port", "vm1")["moved"] is None
    assert not site.exchange(talks)


def test_connections_move_with_the_vnic(site, talks):
    ended = Talk(site.peer(3), site.vm, 45000)
    site.establish([ended])
    site.carry()
    known = site.target.cli("show", "conns", "vm1")
    assert len(known) == len(talks) + 1 - 2, "all but those with a VM of the target, which it tracks already"
    site.source.cli("flush", "conns", "vm1")  # What was there ends before the switch-over.
    late = [Talk(site.peer(host), site.vm, 46000 + host) for host in site.HOSTS]
    site.establish(late)
    with Wire(site.net["fabric"], "c-h2") as wire:
        site.switch_over()

        def announced():
            return any(one.inner[6:14] == mac(site.vm.mac) + b"\x80\x35" for one in tunnelled(wire.drain()))
        eventually(announced, "a RARP of vm1 in the tunnel", 5.0)
    assert not site.exchange(late)
    rows = site.source.cli("show", "conns", "vm1")
    assert 45000 not in {row["sport"] for row in rows}, "what ended at the source ended here, too"
    assert site.resets == 0
    detail = site.target.cli("show", "port", "vm1")["detail"]
    assert detail.startswith(f"moved to {vtep_ip(2)}")
    assert [row["ip"] for row in site.source.cli("show", "bindings", "vm1")] == [site.vm.ip]


def test_a_vlan_sends_stragglers_back_to_the_fabric():
    """To the MAC that has moved, and to no other."""
    with Namespaces("host", "machine") as net, FrontendProcess() as guests:
        net.veth("host", "up0", "machine", "eth0")
        with Daemon(netns=net["host"].name) as daemon, Wire(net["machine"], "eth0") as wire:
            daemon.apply({"uplinks": [{"name": "up", "device": "net_af_packet0,iface=up0"}],
                          "switches": [{"name": "dvs0", "uplinks": ["up"]}],
                          "port_groups": [{"name": "web", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}}],
                          "ports": [daemon.port("vm1", "web", mac="02:00:00:00:00:01", ips=["10.0.0.1"]),
                                    daemon.port("vm2", "web", mac="02:00:00:00:00:02", ips=["10.0.0.2"])]})
            one, two = [guests.open(name, daemon.vhost_socket(name), timeout=10.0) for name in ("vm1", "vm2")]
            for name in ("vm1", "vm2"):
                daemon.wait_port(name)

            def to(target, **kind):
                return frame(src="02:00:00:00:0f:01", dst=target).vlan(10).ipv4("10.0.0.9", "10.0.0.1").udp(1, 2, **kind)
            wire.send(to("02:00:00:00:00:01", payload=b"while it is here").pad())
            one.expect(b"while it is here", alone=False)
            one.stop()
            assert "VLAN" in daemon.cli_error("port", "export", "vm1", "--final", "--to", "172.16.0.2").error["message"]
            daemon.cli("port", "export", "vm1", "--final")
            straggler = to("02:00:00:00:00:01", payload=b"a straggler").pad()
            wire.drain()
            wire.send(straggler)
            wire.expect(straggler)
            local = frame(src="02:00:00:00:00:02", dst="02:00:00:00:00:01").ipv4("10.0.0.2", "10.0.0.1").udp(3, 4, b"from vm2")
            two.send(local.pad())
            eventually(lambda: any(b"from vm2" in seen for seen in wire.drain()), "vm2's frame leaves by the uplink", 5.0)
            wire.send(to("02:00:00:00:00:55", payload=b"to nobody").pad(), to("02:00:00:00:00:01", payload=b"last").pad())
            eventually(lambda: any(b"last" in seen for seen in wire.drain()), "the straggler behind it", 5.0)
            daemon.assert_books_balance()
