# SPDX-License-Identifier: Apache-2.0
"""What a guest and its QEMU go through must not reach anybody else: reset, driver rebind, crash, restart.

Guests 2 and 3 ping each other while guest 1 has its troubles.
"""

import contextlib

import pytest

from guest import wait_until
from host import document, vnic

ONE, TWO, THREE = vnic(1), vnic(2), vnic(3)
ATTACH_TIMEOUT_S = 10  # 100 ms on an idle machine.
IN_FLIGHT_MAX = 3  # Echo requests that may be on their way when the ping is ended.


@pytest.fixture(scope="module")
def trio(site):
    site.host.apply(document(site.host.directory, numbers=(1, 2, 3)))
    guests = site.boot(1, 2, 3)
    assert guests[0].ping(TWO["ip"], count=2)
    return guests


@contextlib.contextmanager
def others_undisturbed(site, trio):
    """Guests 2 and 3 talk before, during and after; nothing of theirs is lost, their ports stay up."""
    job = trio[1].start(f"ping -i 0.2 {THREE['ip']}")
    yield
    # Frames keep their order: what was on its way before this answer has arrived with it, or was lost.
    assert trio[1].ping(THREE["ip"], wait_s=10), "vm2 pings vm3"
    trio[1].check("killall -INT ping")
    output = job.wait(20)[1]
    summary = next(line for line in output.splitlines() if "transmitted" in line)
    sent, received = (int(part.split()[0]) for part in summary.split(", ")[:2])
    drops = {vm["name"]: site.host.json("show", "drops", vm["name"]) for vm in (ONE, TWO, THREE)}
    assert sent > 0 and sent - received <= IN_FLIGHT_MAX, f"{summary}; {drops}\n{output}"
    assert site.host.port_state(TWO["name"]) == site.host.port_state(THREE["name"]) == "up"
    assert site.host.alive()


def test_reset_guest_talks_again(site, trio):
    with others_undisturbed(site, trio):
        trio[0].reset()
        site.host.wait_port(ONE["name"], "up")
        wait_until(lambda: trio[0].ping(TWO["ip"]), 20, "vm1 pings vm2 after its reset")


def test_rebound_driver_talks_again(site, trio):
    with others_undisturbed(site, trio):
        for _ in range(3):
            trio[0].rebind_driver()
            wait_until(lambda: trio[0].ping(TWO["ip"]), 20, "vm1 pings vm2 after the rebind")


def test_reset_under_load_talks_again(site, trio):
    with others_undisturbed(site, trio):
        trio[0].start(f"ping -A {TWO['ip']} >/dev/null")
        trio[1].start(f"ping -A {ONE['ip']} >/dev/null")
        trio[0].reset()
        wait_until(lambda: trio[0].ping(TWO["ip"]), 20, "vm1 pings vm2 after its reset")
    trio[1].run("killall ping")


def test_killed_qemu_takes_only_its_port_down(site, trio):
    with others_undisturbed(site, trio):
        trio[0].kill()
        site.host.wait_port(ONE["name"], "down", ATTACH_TIMEOUT_S)
        assert not trio[1].ping(ONE["ip"], wait_s=1)


def test_restarted_qemu_reattaches(site, trio):
    if trio[0].alive():
        trio[0].kill()
    with others_undisturbed(site, trio):
        trio[0].boot(wait=False)
        site.host.wait_port(ONE["name"], "up", 60)
        trio[0].wait_ready()
        wait_until(lambda: trio[0].ping(TWO["ip"]), 20, "vm1 pings vm2 after QEMU's restart")
        wait_until(lambda: trio[1].ping(ONE["ip6"]), 20, "vm2 pings vm1 over IPv6")


def test_guests_survive_a_restart_of_the_daemon(site, trio):
    assert site.host.terminate() == 0
    site.host.start()
    for guest in trio:
        assert guest.alive()
        site.host.wait_port(guest.name, "up", ATTACH_TIMEOUT_S)
    wait_until(lambda: trio[0].ping(TWO["ip"]), 30, "vm1 pings vm2 after the daemon's restart")
    wait_until(lambda: trio[2].ping(ONE["ip6"]), 30, "vm3 pings vm1 over IPv6")
