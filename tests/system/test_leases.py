# SPDX-License-Identifier: Apache-2.0
"""Addresses that DHCP lends, addresses that the document binds, and who waits for one: by scapy's DHCP.
vm1 is a client under SpoofGuard auto, vm2 a server on a trusted port group, vm3 a client like vm1."""

import pytest
from conditions import eventually
from packets import frame
from scapy.all import (BOOTP, DHCP, IP, UDP, DHCP6_Reply, DHCP6_Request, DHCP6OptClientId, DHCP6OptIA_NA,
                       DHCP6OptIAAddress, DUID_LL, Ether, IPv6)
from scene import Scene, ip6_of, ip_of, mac_of

LEASED, LEASED6 = "10.0.0.100", "2001:db8::100"
LINK6 = "fe80::1"
GROUPS = [{"name": "net", "switch": "dvs0", "spoofguard": "auto", "arp_suppression": False,
           "limits": {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}},
          {"name": "servers", "switch": "dvs0", "guards": {"dhcp_server": False}}]


@pytest.fixture(name="scene", scope="module", params=["cached", "uncached"])
def _scene(request):
    args = ["--no-flow-cache"] if request.param == "uncached" else []
    with Scene(vms=("vm1", "vm2", "vm3"), port_groups=GROUPS, args=args,
               ports={"vm1": {"ips": []}, "vm2": {"port_group": "servers"}, "vm3": {"ips": []}}) as scene:
        yield scene
        scene.daemon.assert_books_balance()


@pytest.fixture(autouse=True)
def _fresh(scene):
    scene.apply(port_groups=GROUPS)
    scene.daemon.cli("flush", "bindings")
    for vm in scene.vms.values():
        vm.drain(0.02)


def message(name, kind, xid=7, **fields):
    """A client's."""
    options = [("message-type", kind), *fields.pop("options", []), "end"]
    return bytes(Ether(src=mac_of(name), dst="ff:ff:ff:ff:ff:ff") / IP(src=fields.get("ciaddr", "0.0.0.0"), dst="255.255.255.255") /
                 UDP(sport=68, dport=67) / BOOTP(chaddr=bytes.fromhex(mac_of(name).replace(":", "")), xid=xid, **fields) /
                 DHCP(options=options))


def answer(name, kind, address=LEASED, lease_s=3600, xid=7, server="vm2"):
    """A server's."""
    options = [("message-type", kind), ("server_id", ip_of(server)), ("lease_time", lease_s), "end"]
    return bytes(Ether(src=mac_of(server), dst=mac_of(name)) / IP(src=ip_of(server), dst=address) / UDP(sport=67, dport=68) /
                 BOOTP(op=2, chaddr=bytes.fromhex(mac_of(name).replace(":", "")), xid=xid, yiaddr=address) / DHCP(options=options))


def lend(scene, name="vm1", **fields):
    scene.vms[name].send(message(name, "request", options=[("requested_addr", LEASED)]))
    scene.vm2.expect(message(name, "request", options=[("requested_addr", LEASED)]), alone=False)
    scene.vm2.send(answer(name, "ack", **fields))
    scene.vms[name].expect(answer(name, "ack", **fields), alone=False)


def data(scene, source, address):
    return scene.ether(source, "vm2").ipv4(address, ip_of("vm2")).udp(1, 2)


def refused(scene, name, one, reason):
    """Dropped for this reason alone. What passes next finds nothing before it."""
    wanted = scene.daemon.drops(name)
    wanted[reason] = wanted.get(reason, 0) + 1
    scene.vms[name].send(one)
    eventually(lambda: scene.daemon.drops(name) == wanted, f"one {reason}")


def rows(scene, *port):
    return [(row["port"], row["ip"], row["source"], row["state"]) for row in scene.daemon.cli("show", "bindings", *port)]


def test_the_first_packet_after_the_ack_passes(scene):
    refused(scene, "vm1", data(scene, "vm1", LEASED), "spoofed_ip")
    lend(scene)
    scene.passes(data(scene, "vm1", LEASED), "vm1", "vm2")
    assert rows(scene, "vm1") == [("vm1", LEASED, "dhcp", "active")]
    row = scene.daemon.cli("show", "bindings", "vm1")[0]
    assert 3590 <= row["expires_s"] <= 3600 and row["mac"] == mac_of("vm1")
    assert ("vm1", LEASED, "dhcp") in [(r["port"], r["ip"], r["source"]) for r in scene.daemon.cli("show", "arps")]
    assert scene.daemon.cli("flush", "bindings", "vm1") == {"removed": 1}
    scene.passes(answer("vm1", "ack"), "vm2", "vm1")
    assert rows(scene, "vm1") == [], "nor is the question known any more"
    refused(scene, "vm1", data(scene, "vm1", LEASED), "spoofed_ip")


def test_an_ack_that_nobody_asked_for_and_a_server_behind_the_guard_lend_nothing(scene):
    scene.passes(answer("vm1", "ack"), "vm2", "vm1")
    scene.vm1.send(message("vm1", "request"))
    refused(scene, "vm3", answer("vm1", "ack", server="vm3"), "guard_dhcp_server")
    assert rows(scene, "vm1") == []
    scene.vm2.drain()


def test_a_lease_ends(scene):
    lend(scene, lease_s=1)
    assert rows(scene, "vm1") == [("vm1", LEASED, "dhcp", "active")]
    eventually(lambda: rows(scene, "vm1") == [], "the lease's end")
    refused(scene, "vm1", data(scene, "vm1", LEASED), "spoofed_ip")


def test_a_release_ends_it(scene):
    lend(scene)
    scene.passes(message("vm1", "release", ciaddr=LEASED), "vm1", "vm2")
    assert rows(scene, "vm1") == []


def test_dhcpv6_lends(scene):
    client = DHCP6OptClientId(duid=DUID_LL(lladdr=mac_of("vm1")))

    def datagram(src, dst, path, ports, what):
        return bytes(Ether(src=mac_of(src), dst=mac_of(dst)) / IPv6(**path) / UDP(sport=ports[0], dport=ports[1]) / what)

    scene.passes(scene.ether("vm1", "vm2").ipv6(LINK6, ip6_of("vm2"), hop_limit=255).nd_solicit(ip6_of("vm2"), mac_of("vm1")), "vm1", "vm2")
    request = datagram("vm1", "vm2", {"src": LINK6, "dst": ip6_of("vm2")}, (546, 547),
                       DHCP6_Request(trid=9) / client / DHCP6OptIA_NA(iaid=1))
    reply = datagram("vm2", "vm1", {"src": ip6_of("vm2"), "dst": LINK6}, (547, 546),
                     DHCP6_Reply(trid=9) / client / DHCP6OptIA_NA(iaid=1, ianaopts=[
                         DHCP6OptIAAddress(addr=LEASED6, preflft=300, validlft=600)]))
    one = scene.ether("vm1", "vm2").ipv6(LEASED6, ip6_of("vm2")).udp(1, 2)
    refused(scene, "vm1", one, "spoofed_ip")
    scene.passes(request, "vm1", "vm2")
    scene.passes(reply, "vm2", "vm1")
    scene.passes(one, "vm1", "vm2")
    assert ("vm1", LEASED6, "dhcp", "active") in rows(scene, "vm1")


def test_the_second_claimant_is_seen_and_waits(scene):
    def claim(name):
        return frame(src=mac_of(name)).arp(LEASED, ip_of("vm2"))

    scene.passes(claim("vm1"), "vm1", "vm2")
    refused(scene, "vm3", claim("vm3"), "spoofed_arp")
    assert rows(scene, "vm3") == [("vm3", LEASED, "arp", "seen")]
    refused(scene, "vm3", data(scene, "vm3", LEASED), "spoofed_ip")
    scene.daemon.cli("flush", "bindings", "vm1")
    assert rows(scene, "vm3") == [("vm3", LEASED, "arp", "active")]
    scene.passes(data(scene, "vm3", LEASED), "vm3", "vm2")


def test_bindings_of_the_document(scene):
    elsewhere = {"port_group": "net", "mac": "02:00:00:00:00:77", "ip": "10.0.0.77"}
    own = {"port_group": "net", "mac": mac_of("vm1"), "ip": "10.0.0.50"}
    scene.apply(port_groups=GROUPS, bindings=[elsewhere, own])
    assert rows(scene, "vm1") == [("vm1", "10.0.0.50", "static", "active")]
    assert (None, "10.0.0.77", "static", "active") in rows(scene)
    scene.passes(data(scene, "vm1", "10.0.0.50"), "vm1", "vm2")
    assert scene.daemon.cli("export")["bindings"] == [elsewhere, own]
    error = scene.daemon.apply_error(scene.document(port_groups=GROUPS, bindings=[{**own, "vtep": "172.16.0.2"}]))
    assert "vtep 172.16.0.2 is given, port_group net has no vni" in error.error["message"]
    scene.apply(port_groups=GROUPS)
    refused(scene, "vm1", data(scene, "vm1", "10.0.0.50"), "spoofed_ip")
