# SPDX-License-Identifier: Apache-2.0
"""Documents with tunnels, routers and teams as operators meet them: applied, listed, edited, exported, refused.

The daemon runs in a namespace with two cables; no packet is sent here.
"""

import pytest
from daemon import Daemon
from network import Namespaces

VTEP = {"name": "tep0", "ip": "172.16.0.1/24", "mac": "02:00:00:00:99:01", "gateway": "172.16.0.254", "uplink": "up0"}


def uplink(name):
    return {"name": name, "device": f"net_af_packet{name[2:]},iface={name}"}


def document(**nouns):
    return {"host": {"name": "a"}, "uplinks": [uplink("up0"), uplink("up1")], "vteps": [VTEP],
            "switches": [{"name": "s", "uplinks": ["up0", "up1"], "remote_vteps": ["172.16.0.2", "172.16.9.3"]}],
            "port_groups": [{"name": "web", "switch": "s", "vni": 5001},
                            {"name": "old", "switch": "s", "vlan": {"mode": "access", "id": 10},
                             "teaming": {"policy": "explicit", "active": ["up1"], "standby": ["up0"]}}],
            "routers": [{"name": "r", "interfaces": [{"name": "web-gw", "port_group": "web", "addresses": ["10.0.1.254/24"]},
                                                     {"name": "old-gw", "port_group": "old", "addresses": ["10.0.9.254/24"]}],
                         "routes": [{"prefix": "0.0.0.0/0", "next_hops": ["10.0.9.253"]}]}],
            "bindings": [{"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "10.0.1.9", "vtep": "172.16.0.2"}],
            **nouns}


@pytest.fixture(scope="module")
def net():
    with Namespaces("host", "peer") as names:
        for name in ("up0", "up1"):
            names.veth("host", name, "peer", name)
        yield names


@pytest.fixture(scope="module")
def shared(net):
    with Daemon(netns=net["host"].name) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared):
    shared.apply(document())
    return shared


def test_what_was_applied_is_exported_and_applying_it_again_changes_nothing(daemon):
    exported = daemon.cli("export")
    assert exported["vteps"] == [VTEP]
    assert exported["routers"] == document()["routers"]
    assert exported["bindings"] == document()["bindings"]
    assert exported["switches"][0]["remote_vteps"] == ["172.16.0.2", "172.16.9.3"]
    assert exported["port_groups"][0]["vni"] == 5001
    assert daemon.apply(exported)["changed"] == 0


def test_switches_show_networks_teaming_and_vteps(daemon):
    row = daemon.cli("show", "switches")[0]
    assert row["vteps"] == ["tep0"] and row["remote_vteps"] == ["172.16.0.2", "172.16.9.3"]
    assert row["teaming"]["policy"] == "port_id" and row["bfd"]["interval_ms"] == 300
    assert {(one["vlan"], one["vni"]) for one in row["domains"]} == {(None, 5001), (10, None)}
    assert "VNI 5001: 0" in daemon.text("show", "switches")


def test_macs_say_behind_which_vtep_they_are(daemon):
    row = next(row for row in daemon.cli("show", "macs") if row["mac"] == "02:00:00:00:00:09")
    assert (row["vtep"], row["vni"], row["source"], row["port"]) == ("172.16.0.2", 5001, "static", None)
    assert "172.16.0.2" in daemon.text("show", "macs")
    binding = next(row for row in daemon.cli("show", "bindings") if row["ip"] == "10.0.1.9")
    assert (binding["vlan"], binding["vni"], binding["port"]) == (None, 5001, None)
    assert "VNI 5001" in daemon.text("show", "arps")


def test_one_object_by_hand(daemon):
    daemon.cli("route", "add", "r", "192.0.2.0/24", "--blackhole")
    daemon.cli("route", "set", "r/0.0.0.0/0", "next_hops=10.0.9.253,10.0.9.252")
    daemon.cli("router", "interface", "set", "r/web-gw", "addresses=10.0.1.254/24,2001:db8:1::1/64")
    daemon.cli("port-group", "add", "db", "--switch", "s", "--vni", "5002")
    daemon.cli("router", "interface", "add", "r", "db-gw", "--port-group", "db", "--address", "10.0.2.254/24")
    daemon.cli("vtep", "set", "tep0", "mtu=1700")
    daemon.cli("switch", "set", "s", "remote_vteps=172.16.0.2", "teaming.policy=src_mac")
    exported = daemon.cli("export")
    assert exported["routers"][0]["routes"] == [{"prefix": "0.0.0.0/0", "next_hops": ["10.0.9.253", "10.0.9.252"]},
                                                {"prefix": "192.0.2.0/24", "blackhole": True}]
    assert [one["name"] for one in exported["routers"][0]["interfaces"]] == ["web-gw", "old-gw", "db-gw"]
    assert exported["vteps"][0]["mtu"] == 1700
    assert exported["switches"][0]["teaming"] == {"policy": "src_mac"}
    daemon.cli("route", "del", "r", "192.0.2.0/24")
    error = daemon.cli_error("route", "add", "r", "198.51.100.0/24", "--next-hop", "10.7.0.1")
    assert error.error["message"] == ("router r route 198.51.100.0/24: next_hops holds 10.7.0.1, which is on no "
                                      "connected subnet of the router")
    assert len(daemon.cli("export")["routers"][0]["routes"]) == 1


@pytest.mark.parametrize("nouns, part", [
    ({"vteps": [{**VTEP, "uplink": "up9"}]}, "vtep tep0: uplink \"up9\" does not exist"),
    ({"vteps": [{**VTEP, "mtu": 1500}]}, "vtep tep0: mtu 1500 is too small for port_group web: the mtu 1500 of switch s"),
    ({"port_groups": [*document()["port_groups"], {"name": "x", "switch": "t", "vni": 5001}],
      "switches": [*document()["switches"], {"name": "t"}]}, "a VNI belongs to one switch"),
    ({"routers": [{"name": "r", "interfaces": [
        {"name": "a", "port_group": "web", "addresses": ["10.0.1.254/24"]},
        {"name": "b", "port_group": "old", "addresses": ["10.0.0.1/16"]}]}]}, "which overlaps"),
], ids=["vtep on no uplink", "mtu", "vni twice", "overlap"])
def test_bad_input_is_refused_whole_by_name(daemon, nouns, part):
    before = daemon.cli("export")
    assert part in daemon.apply_error(document(**nouns)).error["message"]
    assert daemon.cli("export") == before


def test_all_of_it_goes_again_and_rollback_brings_it_back(daemon):
    exported = daemon.cli("export")
    daemon.apply({})
    assert daemon.cli("show", "macs") == [] and daemon.cli("show", "switches") == []
    daemon.cli("rollback")
    assert daemon.cli("export") == exported


def test_vteps_of_the_hosts_own_file(net):
    own = {"host": {"name": "a"}, "uplinks": [uplink("up0")], "vteps": [VTEP]}
    with Daemon(netns=net["host"].name, config=own) as daemon:
        daemon.apply({"switches": [{"name": "s", "uplinks": ["up0"]}], "port_groups": [{"name": "web", "vni": 5001}]})
        assert daemon.cli("show", "switches")[0]["vteps"] == ["tep0"]
        assert "vteps" not in daemon.cli("export")
        error = daemon.apply_error({"vteps": [VTEP]})
        assert error.error["message"] == ("vtep tep0: is defined by the host's own configuration file, apply can't "
                                          "redefine it")
        error = daemon.cli_error("vtep", "del", "tep0")
        assert "is defined by the host's own configuration file" in error.error["message"]
