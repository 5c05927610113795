# SPDX-License-Identifier: Apache-2.0
"""Without any database: VMs talk, restart, and hosts restart from what they kept; and the way from a single host into a fleet."""

import json
import time

import pytest
from conditions import eventually
from daemon import Daemon
from fleet import Fleet, guest_ip, guest_mac
from frontend import FrontendProcess
from packets import frame


@pytest.fixture(name="fleet", scope="module")
def _fleet():
    with Fleet(hosts=2, cluster=1, relays=0) as fleet:
        fleet.apply()
        fleet.attach()
        fleet.wait_settled()
        for one, other in ((1, 2), (2, 1)):
            fleet.passes(one, other)
        fleet.databases.config.kill()
        fleet.databases.status.kill()
        fleet.wait_state("lost", "headless")
        yield fleet


def test_vms_talk(fleet):
    with fleet.talk():
        fleet.wait_state("headless")


def test_a_vm_restarts(fleet):
    """Off and on again: the switch takes it back under its policy, and the other host still knows where it is."""
    fleet.vms[1].close()
    fleet.daemons[1].wait_port("vm1", "down")
    fleet.attach(1)
    fleet.exchange()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_host_restarts(fleet, how):
    """From what is on its disk, before any database could tell it."""
    daemon = fleet.daemons[1]
    view = daemon.cli("export")
    getattr(daemon, how)()
    start = time.monotonic()
    daemon.start()
    fleet.vms[1].reconnect(timeout=15.0)
    one = fleet.datagram(1, 2)

    def arrives():
        fleet.vms[1].send(one)
        return fleet.vms[2].receive_until(one, 0.02)[0]
    eventually(arrives, "vm1 reaches vm2 after the restart", 20.0)
    took = time.monotonic() - start
    print(f"first frame {took:.2f} s after the start")
    assert daemon.cli("export") == view
    assert fleet.status(1)["state"] in ("boot", "connect", "lost", "headless")
    fleet.exchange()
    assert took < 10.0  # On a quiet machine under one.


def test_a_port_that_is_new_is_refused(fleet):
    """A fleet's host takes its document from the database alone."""
    error = fleet.daemons[1].apply_error({"port_groups": [{"name": "mine"}]})
    assert "ovsdb" in str(error), error


def test_databases_return(fleet):
    before = fleet.snapshots()
    with fleet.talk():
        fleet.databases.config.start()
        fleet.databases.status.start()
        fleet.wait_state("live")
        fleet.wait_realized()
    assert fleet.snapshots() == before


def tcp(source, target, flags, **fields):
    return frame(src=guest_mac(source), dst=guest_mac(target)).ipv4(guest_ip(source), guest_ip(target)).tcp(
        4000 if source == 1 else 80, 80 if source == 1 else 4000, flags, **fields)


def test_a_single_host_grows_into_a_fleet():
    """Export, apply to the database, start with --source: a connection that was established goes on."""
    with Fleet(hosts=1, cluster=1, relays=0) as fleet:
        host = {"host": {"name": "host-7"}}
        with Daemon(config=host) as daemon, FrontendProcess() as guests:
            ports = [daemon.port(f"vm{one}", "web", mac=guest_mac(one), ips=[guest_ip(one)]) for one in (1, 2)]
            daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}],
                          "ports": ports, "dfw": {"grace_s": 60, "sections": [{"name": "all", "rules": [
                              {"name": "tcp", "action": "allow", "services": ["tcp"]}]}]}})
            vms = {one: guests.open(f"vm{one}", daemon.vhost_socket(f"vm{one}"), timeout=15.0) for one in (1, 2)}
            for one in (1, 2):
                daemon.wait_port(f"vm{one}")

            def passes(source, target, flags, **fields):
                one = tcp(source, target, flags, **fields)
                vms[source].send(one)
                vms[target].expect(one)
            passes(1, 2, "S", seq=100)
            passes(2, 1, "SA", seq=500, ack=101)
            passes(1, 2, "A", seq=101, ack=501)
            exported = daemon.cli("export")
            fleet.apply(exported, wait=False)
            daemon.stop()
            daemon._args += ["--source", fleet.databases.source]
            daemon.start()
            for one in (1, 2):
                vms[one].reconnect(timeout=15.0)
                daemon.wait_port(f"vm{one}")
            for number in range(3):
                passes(1, 2, "PA", seq=101 + number, ack=501, payload=b"x")
            eventually(lambda: daemon.cli("status")["source"]["state"] == "live", "the host is live", 30.0, 0.05)
            generation = daemon.cli("status")["generation"]
            passes(2, 1, "A", seq=501, ack=104)
            fleet.databases.wait_host("host-7", state="live")
            assert daemon.cli("status")["generation"] == generation
            assert json.dumps(daemon.cli("export")["port_groups"]) == json.dumps(exported["port_groups"])
