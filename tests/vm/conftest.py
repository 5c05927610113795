# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the VM tests: a daemon for each test file, and a report of logs and consoles when a test fails."""

import pytest

from guest import Guest
from host import Host, vnic

_running = []  # The hosts and guests of the file that runs now, for the report of a failure.


class Site:
    """A host with guests on it. `add_guest` boots; everything ends with the site."""

    def __init__(self, arguments=()):
        self.host = Host(arguments)
        self.guests = {}

    def make_guest(self, number, **options):
        """A Guest with the addresses of vnic(number), not booted yet."""
        vm = vnic(number)
        guest = Guest(vm["name"], self.host.directory, vm["mac"], self.host.directory / f"{vm['name']}.sock",
                      ip=f"{vm['ip']}/24", ip6=f"{vm['ip6']}/64", **options)
        self.guests[number] = guest
        return guest

    def boot(self, *numbers, **options):
        """Boots guests side by side and waits until their ports are up. Returns them."""
        guests = [self.make_guest(number, **options) for number in numbers]
        for guest in guests:
            guest.boot(wait=False)
        for guest in guests:
            guest.wait_ready()
            self.host.wait_port(guest.name, "up")
        return guests

    def close(self):
        for guest in self.guests.values():
            guest.kill()
        self.host.stop()


@pytest.fixture(scope="module")
def site():
    """A started host without configuration; the test file applies its document and boots its guests."""
    new = Site()
    _running.append(new)
    try:
        new.host.start()
        yield new
    finally:
        _running.remove(new)
        new.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    del item, call
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for one in _running:
        report.sections.append(("sluiced's log", one.host.log_tail()))
        for guest in one.guests.values():
            report.sections.append((f"console of {guest.name}", guest.console_tail()))
