# SPDX-License-Identifier: Apache-2.0
"""The guests themselves, joined by a datagram socket pair and without the daemon: boot, commands, reset, rebind."""

import pytest

from guest import Guest

IP = ("192.0.2.1", "192.0.2.2")
IP6 = ("2001:db8::1", "2001:db8::2")


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    directory = tmp_path_factory.mktemp("g")
    pair = []
    for me, other in ((0, 1), (1, 0)):
        netdev = (f"dgram,id=net0,local.type=unix,local.path={directory}/{me}.net,"
                  f"remote.type=unix,remote.path={directory}/{other}.net")
        pair.append(Guest(f"g{me}", directory, f"02:00:00:00:00:0{me + 1}", netdev=netdev,
                          ip=f"{IP[me]}/24", ip6=f"{IP6[me]}/64"))
    try:
        for guest in pair:
            guest.boot(wait=False)
        for guest in pair:
            guest.wait_ready()
        yield pair
    finally:
        for guest in pair:
            guest.kill()


def test_run_gives_exit_status_and_output(guests):
    assert guests[0].run("echo one; echo two >&2; exit 7") == (7, "one\ntwo\n")
    assert guests[0].run("sleep 60", timeout_s=1)[0] == 137
    big = guests[0].check("head -c 100000 /dev/zero | tr '\\0' x")
    assert big == "x" * 100000


def test_background_job_is_waited_for(guests):
    job = guests[0].start("sleep 1; echo done; exit 3")
    assert job.exit_code() is None
    assert job.wait(20) == (3, "done\n")


def test_two_guests_ping(guests):
    assert guests[0].ping(IP[1], count=3)
    assert guests[1].ping(IP6[0], count=3)
    assert not guests[0].ping("192.0.2.9", wait_s=1)


def test_addresses_come_back_after_driver_rebind(guests):
    guests[0].rebind_driver()
    assert guests[0].ping(IP[1], count=2)
    assert guests[1].ping(IP6[0], count=2)


def test_guest_comes_back_after_reset(guests):
    guests[1].check("touch /tmp/before")
    guests[1].reset()
    assert guests[1].run("test -e /tmp/before")[0] == 1
    assert guests[0].ping(IP[1], count=2)
