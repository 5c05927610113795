# SPDX-License-Identifier: Apache-2.0
"""Where the two guests are, once in sluice-load's words, once in Sluice's and once in Open vSwitch's: on one host, in two
networks with a router between them, or one of them behind a VXLAN tunnel, where the load plays the fabric at the
switch's uplink (DPDK's net_vhost for both switches)."""

from dataclasses import dataclass

from policy import IPS, MACS

VNI = 5000
UPLINK = "up"
LEGS = ("ids-in", "ids-out")
OWN_VTEP, REMOTE_VTEP, VTEP_MAC = "172.16.0.1", "172.16.0.2", "02:00:00:00:99:fe"
UNDERLAY_BITS, UNDERLAY_MTU = 24, 1600
ROUTER_MAC = "02:00:00:00:aa:01"
ROUTED_IPS = {"a": IPS["a"], "b": "10.0.8.2"}
GATEWAYS = {"a": "10.0.0.254/24", "b": "10.0.8.254/24"}


@dataclass(frozen=True)
class Place:
    """fabric: the guest behind the fabric, if any. is_routed: b is in another network than a. service: "redirect" or "bypass":
    what a rule does with their connections beside a service with two legs, which the load plays, too; only Sluice has it."""

    fabric: str = ""
    is_routed: bool = False
    service: str = ""

    def port_of(self, guest):
        """The port of the switch at which the load plays `guest`."""
        return UPLINK if guest == self.fabric else guest

    def end(self, guest, path, policy, listens):
        """sluice-load's END for `guest`."""
        ips = ROUTED_IPS[guest] if self.is_routed else policy.load_addresses(guest)
        words = [path, f"mac={MACS[guest]}", f"ip={ips}"]
        if self.is_routed:
            words.append(f"via={ROUTER_MAC}")
        if guest == self.fabric:
            words.append(f"vxlan={VNI}/{REMOTE_VTEP}/{OWN_VTEP}/{VTEP_MAC}")
        return ",".join(words + (["listen"] if listens else []))

    def service_words(self, socket_of, listens):
        """sluice-load's options for the service's legs."""
        return [word for leg in LEGS if self.service for word in ("--service", socket_of(leg) + (",listen" if listens else ""))]

    def sluice_document(self, policy, has_chain, socket_of):
        """The whole document."""
        document = policy.sluice_document(has_chain, socket_of)
        if self.fabric:
            self._add_tunnel(document, socket_of)
        elif self.is_routed:
            self._add_router(document, has_chain)
        elif self.service:
            self._add_service(document, socket_of)
        return document

    def _add_service(self, document, socket_of):
        document["ports"] += [{"name": leg, "kind": "service", "socket": socket_of(leg)} for leg in LEGS]
        inspect = {"name": "inspect", "instances": [{"name": "ids", "in": LEGS[0], "out": LEGS[1]}], "on_failure": "closed"}
        first = [{"name": "pass", "action": "bypass", "services": ["udp"]}] if self.service == "bypass" else []
        document["service_chains"] = [{"name": "ids", "rules": [*first, inspect]}]

    def _add_tunnel(self, document, socket_of):
        document["uplinks"] = [{"name": UPLINK, "device": f"net_vhost0,iface={socket_of(UPLINK)},client=1"}]
        document["vteps"] = [{"name": "tep", "ip": f"{OWN_VTEP}/{UNDERLAY_BITS}", "mac": VTEP_MAC, "uplink": UPLINK,
                              "mtu": UNDERLAY_MTU}]
        document["switches"] = [{"name": "s", "uplinks": [UPLINK], "remote_vteps": [REMOTE_VTEP], "bfd": {"enabled": False}}]
        document["port_groups"][0]["vni"] = VNI
        document["ports"] = [port for port in document["ports"] if port["name"] != self.fabric]
        for rule in _rules_of(document):  # The guest behind the fabric is no port here.
            rule["source"], rule["destination"] = [IPS["a"]], [IPS["b"]]

    @staticmethod
    def _add_router(document, has_chain):
        group = document["port_groups"][0]
        document["port_groups"] = [{**group, "name": name, "vlan": {"mode": "access", "id": vlan}}
                                   for name, vlan in (("g", 10), ("h", 20))]
        document["ports"][0]["ips"] = [ROUTED_IPS["a"]]
        document["ports"][1].update(ips=[ROUTED_IPS["b"]], port_group="h")
        document["routers"] = [{"name": "r", "mac": ROUTER_MAC, "interfaces": [
            {"name": "ra", "port_group": "g", "addresses": [GATEWAYS["a"]]},
            {"name": "rb", "port_group": "h", "addresses": [GATEWAYS["b"]]}]}]
        if not has_chain:
            document["dfw"] = {"exclude": ["g", "h"]}

    def openflow(self, ports):
        """Flows of a plain switch: none but NORMAL, and before it a router's two tables, a network's and its hosts'."""
        flows = ["table=0,priority=0,actions=NORMAL"]
        if self.is_routed:
            networks = {guest: gateway.replace(".254/", ".0/") for guest, gateway in GATEWAYS.items()}
            flows.append(f"table=0,priority=100,ip,dl_dst={ROUTER_MAC},actions=goto_table:1")
            flows += [f"table=1,priority=24,ip,nw_dst={network},actions=dec_ttl,set_field:{ROUTER_MAC}->eth_src,goto_table:2"
                      for network in networks.values()]
            flows += [f"table=2,priority=1,ip,nw_dst={ROUTED_IPS[guest]},actions=set_field:{MACS[guest]}->eth_dst,"
                      f"output:{number}" for guest, number in ports.items()]
        return flows


def _rules_of(document):
    return [rule for section in document["dfw"].get("sections", []) for rule in section["rules"] if rule["name"] == "a-to-b"]


def vtep_mac_of(guest):
    """The MAC of the VTEP that the load pretends to have."""
    parts = MACS[guest].split(":")
    return ":".join([*parts[:4], "99", parts[5]])


HOST = Place()
TUNNEL_OUT = Place(fabric="b")
TUNNEL_IN = Place(fabric="a")
ROUTED = Place(is_routed=True)
REDIRECTED = Place(service="redirect")
BYPASSED = Place(service="bypass")
