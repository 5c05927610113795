# SPDX-License-Identifier: Apache-2.0
"""The scale harness in small: each agent comes to hold its part, and a change touches those that it concerns and no one else.
What is slow here is told by docs/fleet-scale.md, measured on a quiet machine."""

from fleet_scale import measure


def test_a_change_touches_only_the_hosts_that_need_it():
    shape = ["--ports", "5000", "--hosts", "20", "--networks", "100", "--host-networks", "20", "--agents", "10"]
    report = measure(shape, changes=20)
    assert report["faults"] == []
    assert report["strangers_touched"] == 0
    assert report["agents"] == 10
    assert report["port_change_ms"]["count"] == 20 and report["binding_change_ms"]["count"] > 0
    print(report)
