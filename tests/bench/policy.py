# SPDX-License-Identifier: Apache-2.0
"""What is allowed between the two guests, once in Sluice's words and once in OpenFlow's.

A may open UDP and TCP to ports 80 and 5000-5999 of B; B may answer, and open nothing. Telnet is cut off by a stateless ACL.
Each guest may use its own MAC and addresses only. `rule_count` rules about other addresses stand before the one that
matches, and `set_size` members are in an address set that one of them names. firewall.py shows that a switch does this.
"""

import ipaddress
from dataclasses import dataclass

MACS = {"a": "02:00:00:00:00:01", "b": "02:00:00:00:00:02"}
IPS = {"a": "10.0.0.1", "b": "10.0.0.2"}
MANY_SOURCES = ipaddress.IPv4Network("10.0.1.0/25")  # A's other addresses: 128 x 61 440 connections without using one twice.
TCP_PORTS = ["80", "5000-5999"]
ZONE = 1
KEY_FILE = "group.key"  # In the switch's folder.
LONG_S = 86400  # Flows and connections of a flood outlive the runs of others.


def other_address(index):
    """An address that no guest has; a different one for each index below a million."""
    return str(ipaddress.IPv4Address(int(ipaddress.IPv4Address("172.16.0.0")) + index))


def port_masks(low, high):
    """OpenFlow matches (value, mask) that cover ports low..high exactly."""
    found = []
    while low <= high:
        size = low & -low or 1 << 16
        while size > high - low + 1:
            size >>= 1
        found.append((low, 0x10000 - size))
        low += size
    return found


@dataclass(frozen=True)
class Policy:
    """rule_count: rules before the one that matches. set_size: members of the address set `others`; 0 = no such set.
    has_many_sources: A owns MANY_SOURCES, too, and the load sends from these. seals: the algorithm by which what leaves this
    host is encrypted; only Sluice does."""

    rule_count: int = 0
    set_size: int = 0
    has_many_sources: bool = False
    seals: str = ""

    def source_addresses(self):
        """All that A owns."""
        return [IPS["a"]] + ([str(address) for address in MANY_SOURCES] if self.has_many_sources else [])

    def load_addresses(self, guest):
        """What the load uses as `guest`, in sluice-load's words."""
        if guest == "a" and self.has_many_sources:
            return f"{MANY_SOURCES[0]}-{MANY_SOURCES[-1]}"
        return IPS[guest]

    # Sluice

    def sluice_rules(self, generation=0):
        """The rules before the one that matches; other ones for another `generation`."""
        rules = [{"name": f"r{i}", "action": "allow" if i % 2 else "drop", "source": [other_address(i)],
                  "services": [f"tcp/{1 + (i + generation) % 60000}"]} for i in range(self.rule_count)]
        if self.set_size:
            rules.append({"name": "others", "action": "drop", "source": ["others"]})
        return rules

    def sluice_document(self, has_chain, socket_of, generation=0):
        """The whole document: with has_chain slots 0, 1 and 2 work on both vNICs, else no rule applies to either."""
        ips = {"a": self.source_addresses(), "b": [IPS["b"]]}
        document = {
            "switches": [{"name": "s"}],
            "port_groups": [{"name": "g", "switch": "s", "spoofguard": "manual" if has_chain else "off"}],
            "ports": [{"name": name, "port_group": "g", "socket": socket_of(name), "mac": MACS[name], "ips": ips[name]}
                      for name in ("a", "b")]}
        if not has_chain:
            return {**document, "dfw": {"exclude": ["g"]}}
        allow = {"name": "a-to-b", "action": "allow", "source": ["a"], "destination": ["b"],
                 "services": ["udp", *(f"tcp/{one}" for one in TCP_PORTS)]}
        if self.set_size:
            document["address_sets"] = [{"name": "others", "members": [other_address(i) for i in range(self.set_size)]}]
        if self.seals:
            document["encryption"] = {
                "key_policies": [{"name": "k", "algorithm": self.seals, "key_file": socket_of(KEY_FILE)}],
                "rules": [{"name": "all", "action": "encrypt", "required": True, "key_policy": "k"}]}
        return {**document,
                "acls": [{"name": "hardening", "rules": [{"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}]}],
                "dfw": {"default": "drop", "timeouts": {"udp_s": LONG_S, "udp_stream_s": LONG_S},
                        "limits": {"connections_per_port": 0},
                        "sections": [{"name": "app", "rules": [*self.sluice_rules(generation), allow]}]}}

    # Open vSwitch

    def openflow_rules(self, generation=0):
        """The rules before the one that matches, as flows of table 1."""
        actions = ("drop", f"ct(commit,zone={ZONE}),NORMAL")
        return [f"table=1,priority=60,ct_state=+trk+new,tcp,nw_src={other_address(i)},"
                f"tp_dst={1 + (i + generation) % 60000},actions={actions[i % 2]}" for i in range(self.rule_count)]

    def openflow(self, ports, generation=0):
        """All flows. `ports`: OpenFlow port number by guest."""
        sources = {"a": self.source_addresses(), "b": [IPS["b"]]}
        flows = ["table=0,priority=0,actions=drop", "table=0,priority=200,tcp,tp_dst=23,actions=drop"]
        for guest, number in ports.items():
            for network in ipaddress.collapse_addresses(map(ipaddress.IPv4Network, sources[guest])):
                own = f"table=0,priority=100,in_port={number},dl_src={MACS[guest]}"
                flows.append(f"{own},ip,nw_src={network},actions=ct(table=1,zone={ZONE})")
                flows.append(f"{own},arp,arp_spa={network},actions=NORMAL")
        new = f"table=1,priority=50,ct_state=+trk+new,in_port={ports['a']},nw_dst={IPS['b']}"
        commit = f"actions=ct(commit,zone={ZONE}),NORMAL"
        flows += ["table=1,priority=0,actions=drop", "table=1,priority=100,ct_state=+trk+est-inv,ip,actions=NORMAL",
                  f"{new},udp,{commit}"]
        for one in TCP_PORTS:
            low, _, high = one.partition("-")
            flows += [f"{new},tcp,tp_dst={value:#x}/{mask:#x},{commit}"
                      for value, mask in port_masks(int(low), int(high or low))]
        return flows + self.openflow_rules(generation)
