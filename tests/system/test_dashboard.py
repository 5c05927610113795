# SPDX-License-Identifier: Apache-2.0
"""The sample Grafana dashboard asks only for metrics, and by labels, that the daemon exports."""

import json
import os
import re
import socket
import urllib.request

import pytest
from daemon import Daemon

DASHBOARD = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "grafana", "sluice.json")
FOREIGN_LABELS = {"job", "instance"}  # Prometheus adds them.


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


@pytest.fixture(name="exported", scope="module")
def _exported():
    """{metric: labels of its samples} of a daemon with a switch and two ports."""
    address = free_address()
    with Daemon(args=["--metrics", address]) as daemon:
        daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}],
                      "ports": [daemon.port("vm1", "net"), daemon.port("vm2", "net", mac="02:00:00:00:00:02")]})
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    found = {name: set() for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    for name, labels in re.findall(r"^(sluice_\w+)\{(.*)\} ", text, re.MULTILINE):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


def expressions():
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [one["query"]["query"] for one in dashboard["templating"]["list"] if isinstance(one["query"], dict)]
    return found + [one["expr"] for one in dashboard["annotations"]["list"]]


@pytest.mark.parametrize("expression", expressions())
def test_asks_for_what_is_exported(exported, expression):
    names = re.findall(r"\bsluice_\w+", expression)
    assert names and set(names) <= set(exported)


def test_selects_and_shows_by_labels_that_are_there(exported):
    for expression in expressions():
        for name, selector in re.findall(r"(sluice_\w+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)=~", selector)) - FOREIGN_LABELS
            assert not exported[name] or labels <= exported[name], (name, labels, exported[name])


def test_shows_every_port_counter(exported):
    """What is exported of ports is on the dashboard, so that a new counter is not forgotten there."""
    shown = {name for expression in expressions() for name in re.findall(r"\bsluice_\w+", expression)}
    assert {name for name in exported if re.match(r"sluice_port_.*_total", name)} <= shown
