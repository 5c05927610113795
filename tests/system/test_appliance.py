# SPDX-License-Identifier: Apache-2.0
"""A switch without uplinks whose VMs are each in a VLAN of their own, and an appliance on a trunk that alone connects
them: Debian's Open vSwitch with its userspace datapath, on a kernel port. Without the appliance no VM reaches another."""

import os
import subprocess

import pytest
from openvswitch import OpenVSwitch
from scene import Scene, mac_of

VLANS = {"vm1": 101, "vm2": 102, "vm3": 103}
TRUNK = "trunk0"


@pytest.fixture(name="netns")
def _netns():
    name = f"sluice-appliance-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def alone(name):
    """A port in a VLAN that no other VM is in."""
    return {"overrides": {"vlan": {"mode": "access", "id": VLANS[name]}}}


def document(scene, netns):
    """The appliance's trunk beside the VMs, all in one port group."""
    trunk = {"name": "appliance", "port_group": "isolated", "kind": "kernel", "interface": TRUNK, "netns": netns,
             "overrides": {"vlan": {"mode": "trunk", "ranges": ["101-103"]},
                           "security": {"promiscuous": True, "forged_transmits": True}}}
    ports = scene.document()["ports"]
    return {"ports": [*ports, trunk]}


@pytest.fixture(name="scene")
def _scene():
    with Scene(vms=tuple(VLANS), switches=[{"name": "isolated-switch"}],
               port_groups=[{"name": "isolated", "switch": "isolated-switch"}],
               ports={name: alone(name) for name in VLANS}) as scene:
        yield scene
        scene.daemon.assert_books_balance()


def no_vm_reaches_another(scene):
    for one in VLANS:
        for other in VLANS:
            if one != other:
                scene.vms[one].send([scene.udp(one, other), scene.tcp(one, other),
                                     scene.ether(one, other).arp("10.0.0.1", "10.0.0.2")])
    for vm in scene.vms.values():
        vm.expect_silence()


def route(ovs, one, other):
    """The appliance lets `one` talk to `other`: from its VLAN into the other's."""
    ovs.add_flow("br0", f"in_port={TRUNK},dl_vlan={VLANS[one]},dl_dst={mac_of(other)},"
                        f"actions=mod_vlan_vid:{VLANS[other]},IN_PORT")


def test_only_the_appliance_connects_the_vms(scene, netns, tmp_path):
    no_vm_reaches_another(scene)
    scene.apply(**document(scene, netns))
    with OpenVSwitch(netns, tmp_path) as ovs:
        ovs.add_bridge("br0", TRUNK)
        scene.daemon.wait_port("appliance")
        no_vm_reaches_another(scene)  # It has no flows yet.
        for one, other in (("vm1", "vm2"), ("vm2", "vm1")):
            route(ovs, one, other)
        scene.conversation("vm1", "vm2")
        scene.conversation("vm2", "vm1", sport=4001)
        scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
        scene.passes(scene.ipv4("vm1", "vm2").icmp(8), "vm1", "vm2")
        scene.passes(scene.ipv4("vm2", "vm1").icmp(0), "vm2", "vm1")
        scene.vm1.send(scene.udp("vm1", "vm3"))  # The appliance has no flow for vm3.
        scene.vm3.expect_silence()
    no_vm_reaches_another(scene)  # Its process is gone, its port still there.
    scene.apply()
    no_vm_reaches_another(scene)
    assert TRUNK not in subprocess.run(["ip", "-n", netns, "link"], capture_output=True, text=True, check=True).stdout


def test_a_firewall_rule_holds_across_the_appliance(scene, netns, tmp_path):
    rules = [{"name": "web", "services": ["tcp/80"], "applied_to": ["vm2"], "direction": "in"},
             {"name": "rest", "action": "drop", "applied_to": ["vm2"], "direction": "in"}]
    firewall = {"sections": [{"name": "app", "rules": rules}]}
    scene.apply(dfw=firewall, **document(scene, netns))
    with OpenVSwitch(netns, tmp_path) as ovs:
        ovs.add_bridge("br0", TRUNK)
        scene.daemon.wait_port("appliance")
        for one, other in (("vm1", "vm2"), ("vm2", "vm1")):
            route(ovs, one, other)
        scene.conversation("vm1", "vm2")
        scene.vm1.send(scene.tcp("vm1", "vm2", 4002, 443))
        scene.vm2.expect_silence()
        assert scene.daemon.drops("appliance").get("dfw_deny", 0) > 0
