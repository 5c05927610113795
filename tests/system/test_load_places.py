# SPDX-License-Identifier: Apache-2.0
"""sluice-load with its guests elsewhere: one behind the fabric, where the load plays another host's VTEP at an uplink by
net_vhost; a router between them; a service whose legs the load plays, too. What is asserted is counts, never speed."""

import json
import subprocess

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import program

MACS = {"a": "02:00:00:00:00:01", "b": "02:00:00:00:00:02"}
IPS = {"a": "10.0.0.1", "b": "10.0.0.2"}
FAR = "10.0.8.2"
VNI, HERE, THERE, VTEP_MAC, ROUTER_MAC = 5000, "172.16.0.1", "172.16.0.2", "02:00:00:00:99:fe", "02:00:00:00:aa:01"
ALLOW = {"default": "drop", "limits": {"connections_per_port": 0}, "sections": [{"name": "app", "rules": [
    {"name": "load", "action": "allow", "source": [IPS["a"]], "destination": [IPS["b"], FAR], "services": ["udp", "tcp"]}]}]}


@pytest.fixture(name="daemon", scope="module")
def _daemon():
    with Daemon() as daemon:
        yield daemon
        daemon.assert_books_balance()


def port(daemon, guest, group="net", ip=None):
    return daemon.port(guest, group, mac=MACS[guest], ips=[ip or IPS[guest]])


def tunnel(daemon, near):
    """The guest `near` on this host, the other one behind a remote VTEP."""
    return {"uplinks": [{"name": "up", "device": f"net_vhost0,iface={daemon.vhost_socket('up')},client=1"}],
            "vteps": [{"name": "tep", "ip": f"{HERE}/24", "mac": VTEP_MAC, "uplink": "up", "mtu": 1600}],
            "switches": [{"name": "dvs0", "uplinks": ["up"], "remote_vteps": [THERE], "bfd": {"enabled": False}}],
            "port_groups": [{"name": "net", "switch": "dvs0", "vni": VNI, "spoofguard": "manual"}],
            "ports": [port(daemon, near)], "dfw": ALLOW}


def router(daemon):
    groups = [{"name": name, "switch": "dvs0", "vlan": {"mode": "access", "id": vlan}, "spoofguard": "manual"}
              for name, vlan in (("net", 10), ("far", 20))]
    interfaces = [{"name": "near", "port_group": "net", "addresses": ["10.0.0.254/24"]},
                  {"name": "far-gw", "port_group": "far", "addresses": ["10.0.8.254/24"]}]
    return {"switches": [{"name": "dvs0"}], "port_groups": groups,
            "ports": [port(daemon, "a"), port(daemon, "b", "far", FAR)], "dfw": ALLOW,
            "routers": [{"name": "r", "mac": ROUTER_MAC, "interfaces": interfaces}]}


def service(daemon):
    legs = [{"name": f"ids-{side}", "kind": "service", "socket": daemon.vhost_socket(f"ids-{side}")} for side in ("in", "out")]
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0", "spoofguard": "manual"}],
            "ports": [port(daemon, "a"), port(daemon, "b"), *legs], "dfw": ALLOW,
            "service_chains": [{"name": "ids", "rules": [{"name": "inspect", "on_failure": "closed", "instances": [
                {"name": "ids1", "in": "ids-in", "out": "ids-out"}]}]}]}


def returned(daemon):
    return daemon.cli("show", "services")[0]["instances"][0]["returned_packets"]


def run(daemon, mode, *words, far=None, via=None, ips=None):
    """A valid run: its JSON. `far`: who is behind the fabric."""
    ends = []
    for guest, mac in MACS.items():
        spec = [daemon.vhost_socket("up" if guest == far else guest), f"mac={mac}", f"ip={(ips or IPS)[guest]}", "listen"]
        spec += [f"vxlan={VNI}/{THERE}/{HERE}/{VTEP_MAC}"] if guest == far else []
        ends += [f"--{guest}", ",".join(spec + ([f"via={via}"] if via else []))]
    done = subprocess.run([program("sluice-load"), mode, *ends, "--seconds", "0.5", "--warmup", "0.1", "--json", *words],
                          capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["received"] > 0 and result["lost"] == 0, (result, daemon.drops())
    return result


def vtep(daemon):
    return next(row for row in daemon.cli("show", "vteps") if row["kind"] == "local")


@pytest.mark.parametrize("words", [("--flows", "500"), ("--size", "1400"), ("--size", "imix", "--checksum", "partial")])
def test_frames_leave_by_the_tunnel(daemon, words):
    daemon.apply(tunnel(daemon, "a"))
    before = vtep(daemon)["tx_packets"]
    result = run(daemon, "flood", *words, far="b")
    assert vtep(daemon)["tx_packets"] - before >= result["received"]


def test_frames_come_by_the_tunnel(daemon):
    daemon.apply(tunnel(daemon, "b"))
    before = vtep(daemon)["rx_packets"]
    result = run(daemon, "flood", "--flows", "500", far="a")
    assert vtep(daemon)["rx_packets"] - before >= result["received"]


def test_large_segments_are_cut_for_the_tunnel(daemon):
    daemon.apply(tunnel(daemon, "a"))
    result = run(daemon, "tso", "--segment", "1346", "--flows", "4", far="b")
    packets = -(-result["bytes"] // result["segment"])
    assert result["received"] >= result["sent"] * packets and result["lost_bytes"] == 0, result
    assert "tcp_window" not in daemon.drops()


def test_the_socket_of_an_uplink_is_opened_again(daemon):
    """A load that ends takes the link with it; the next one brings it back."""
    def state():
        return daemon.cli("show", "uplinks")[0]["state"]
    daemon.apply(tunnel(daemon, "a"))
    for _ in range(2):
        run(daemon, "flood", far="b")
        eventually(lambda: state() == "down", "the uplink noticed that nobody is there", 10.0)


def test_frames_are_routed(daemon):
    daemon.apply(router(daemon))
    run(daemon, "flood", "--flows", "500", via=ROUTER_MAC, ips={**IPS, "b": FAR})
    assert "ttl_exceeded" not in daemon.drops()


@pytest.mark.parametrize("words", [("--flows", "500"), ("--proto", "tcp", "--handshake", "--both", "--flows", "100")])
def test_frames_pass_a_service(daemon, words):
    daemon.apply(service(daemon))
    legs = [word for side in ("in", "out") for word in ("--service", f"{daemon.vhost_socket(f'ids-{side}')},listen")]
    before = returned(daemon)
    result = run(daemon, "flood", *legs, *words)
    assert returned(daemon) - before >= result["received"]


@pytest.mark.parametrize("mode, words, why", [
    ("crr", (), "vxlan= is for flood one way without --handshake, and for tso"),
    ("flood", ("--both",), "vxlan= is for flood one way without --handshake, and for tso"),
    ("tso", (), "--a: vxlan= does not go with tso, the fabric has packets only")])
def test_what_a_tunnel_can_not_do_is_refused(mode, words, why):
    done = subprocess.run([program("sluice-load"), mode, "--a", f"/a,vxlan={VNI}/{THERE}/{HERE}/{VTEP_MAC}", "--b", "/b", *words],
                          capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2 and done.stderr == f"sluice-load: {why}\n"
