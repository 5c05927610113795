# SPDX-License-Identifier: Apache-2.0
"""Guests elsewhere: the load's words and the switches' say the same."""

from places import (BYPASSED, HOST, LEGS, OWN_VTEP, REDIRECTED, REMOTE_VTEP, ROUTED, ROUTED_IPS, ROUTER_MAC, TUNNEL_IN,
                    TUNNEL_OUT, VNI, VTEP_MAC, vtep_mac_of)
from policy import IPS, MACS, Policy

POLICY = Policy()


def socket_of(port):
    return f"/s/{port}"


def document(place, has_chain=True):
    return place.sluice_document(POLICY, has_chain, socket_of)


def test_two_guests_of_a_host():
    assert document(HOST) == POLICY.sluice_document(True, socket_of)
    assert HOST.end("a", "/s/a", POLICY, True) == f"/s/a,mac={MACS['a']},ip={IPS['a']},listen"
    assert HOST.openflow({"a": 1, "b": 2}) == ["table=0,priority=0,actions=NORMAL"]


def test_a_guest_behind_the_fabric_is_no_port():
    for place, near, far in ((TUNNEL_OUT, "a", "b"), (TUNNEL_IN, "b", "a")):
        made = document(place)
        assert [port["name"] for port in made["ports"]] == [near] and made["port_groups"][0]["vni"] == VNI
        assert socket_of(place.port_of(far)) in made["uplinks"][0]["device"] and place.port_of(near) == near
        assert made["switches"][0]["remote_vteps"] == [REMOTE_VTEP] and made["vteps"][0]["mac"] == VTEP_MAC
        rule = made["dfw"]["sections"][0]["rules"][-1]
        assert (rule["source"], rule["destination"]) == ([IPS["a"]], [IPS["b"]]), "a name that no port has would be refused"
        assert f"vxlan={VNI}/{REMOTE_VTEP}/{OWN_VTEP}/{VTEP_MAC}" in place.end(far, "/s/up", POLICY, False)
        assert "vxlan" not in place.end(near, f"/s/{near}", POLICY, False)
        assert vtep_mac_of(far) not in (VTEP_MAC, *MACS.values())


def test_a_service_beside_the_guests():
    redirected, bypassed = document(REDIRECTED), document(BYPASSED)
    assert [port["name"] for port in redirected["ports"]] == ["a", "b", *LEGS]
    assert [rule.get("action") for rule in redirected["service_chains"][0]["rules"]] == [None]
    assert [rule.get("action") for rule in bypassed["service_chains"][0]["rules"]] == ["bypass", None]
    words = ["--service", f"/s/{LEGS[0]},listen", "--service", f"/s/{LEGS[1]},listen"]
    assert REDIRECTED.service_words(socket_of, True) == words and HOST.service_words(socket_of, True) == []


def test_a_router_between_two_networks():
    for has_chain in (True, False):
        made = document(ROUTED, has_chain)
        assert [port["ips"] for port in made["ports"]] == [[ROUTED_IPS["a"]], [ROUTED_IPS["b"]]]
        assert len({port["port_group"] for port in made["ports"]}) == 2
        assert made["routers"][0]["mac"] == ROUTER_MAC
        assert has_chain or made["dfw"] == {"exclude": ["g", "h"]}
    assert f"via={ROUTER_MAC}" in ROUTED.end("a", "/s/a", POLICY, False)
    flows = ROUTED.openflow({"a": 1, "b": 2})
    assert any(f"set_field:{MACS['b']}->eth_dst,output:2" in flow for flow in flows)
    assert sum("dec_ttl" in flow for flow in flows) == 2
