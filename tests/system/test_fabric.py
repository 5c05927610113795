# SPDX-License-Identifier: Apache-2.0
"""Kernel ports and uplinks: a host service in a namespace, a VM and a machine behind the uplink.

The daemon runs in a namespace of its own ("host"), with one end of a cable ("up0"); the other end ("eth0") lies in
"machine". Services live in "svc" and "other". VLAN 10 has vm1, the kernel port of svc and that of other; VLAN 20 has vm2.
"""

import hashlib
import os

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from network import Machine, Namespaces, TcpEcho, Wire, tcp_fails, tcp_round_trip
from packets import BROADCAST, frame, mac

VM1, VM2 = "02:00:00:00:00:01", "02:00:00:00:00:02"
SVC, OTHER, FAR = "02:00:00:00:0a:01", "02:00:00:00:0a:02", "02:00:00:00:0f:03"
UPLINK = "net_af_packet0,iface=up0"


class Fabric:
    """The stage; `device` is the uplink's."""

    def __init__(self, device=UPLINK):
        self.device = device

    def __enter__(self):
        self.net = Namespaces("host", "svc", "other", "machine", ipv6=("other",))
        self.net.__enter__()
        try:
            self.net.veth("host", "up0", "machine", "eth0")
            self.daemon = Daemon(netns=self.net["host"].name)
            self.guests = FrontendProcess()
            self.apply()
            self.vm1 = self.guests.open("vm1", self.daemon.vhost_socket("vm1"), timeout=10.0)
            self.vm2 = self.guests.open("vm2", self.daemon.vhost_socket("vm2"), timeout=10.0)
            for name in ("vm1", "vm2", "svc", "other"):
                self.daemon.wait_port(name)
            self.wait_uplink("up")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if hasattr(self, "guests"):
            self.guests.close()
        try:
            if hasattr(self, "daemon"):
                self.daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def document(self, **nouns):
        def group(vid):
            return {"name": f"v{vid}", "switch": "dvs0", "vlan": {"mode": "access", "id": vid}}
        kernel = {"port_group": "v10", "kind": "kernel", "interface": "vmk0"}
        return {"uplinks": [{"name": "up", "device": self.device}],
                "switches": [{"name": "dvs0", "uplinks": ["up"]}],
                "port_groups": [group(10), group(20)],
                "ports": [self.daemon.port("vm1", "v10", mac=VM1, ips=["10.0.10.11"]),
                          self.daemon.port("vm2", "v20", mac=VM2, ips=["10.0.20.12"]),
                          {**kernel, "name": "svc", "netns": self.net["svc"].name, "mac": SVC,
                           "addresses": ["10.0.10.1/24"]},
                          {**kernel, "name": "other", "netns": self.net["other"].name, "mac": OTHER,
                           "addresses": ["10.0.10.2/24", "2001:db8::2/64"]}], **nouns}

    def apply(self, **nouns):
        return self.daemon.apply(self.document(**nouns))

    def without(self, port):
        return [one for one in self.document()["ports"] if one["name"] != port]

    def uplink(self):
        return self.daemon.cli("show", "uplinks")[0]

    def wait_uplink(self, state, timeout=5.0):
        return eventually(lambda: (row := self.uplink())["state"] == state and row, f"uplink {state}", timeout)

    def row(self, port):
        return next(one for one in self.daemon.cli("show", "ports") if one["name"] == port)

    def vm1_until(self, one):
        """What came to vm1 from the cable before the frame `one`. What the stacks of VLAN 10 say by themselves is
        left out: their MACs are others."""
        found, others = self.vm1.receive_until(bytes(one))
        assert found is not None, f"{one} did not come"
        return [each.frame for each in others if each.frame[6:12] == mac(FAR)]

    def drain(self):
        self.vm1.drain(0.01)
        self.vm2.drain(0.01)


@pytest.fixture(name="fabric", scope="module")
def _fabric():
    with Fabric() as fabric:
        yield fabric
        fabric.daemon.assert_books_balance()


@pytest.fixture(name="wire")
def _wire(fabric):
    fabric.drain()
    with Wire(fabric.net["machine"], "eth0") as wire:
        yield wire


def udp(source, target, payload=b"a datagram"):
    return frame(src=source, dst=target).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, payload)


def tagged(vid, source, target, payload=b"a datagram"):
    return frame(src=source, dst=target).vlan(vid).ipv4("10.0.10.99", "10.0.10.11").udp(2000, 1000, payload)


def untagged(source, target, payload=b"a datagram"):
    return frame(src=source, dst=target).ipv4("10.0.10.99", "10.0.10.11").udp(2000, 1000, payload)


# Tags

def test_frames_to_the_fabric_are_tagged_byte_exactly(fabric, wire):
    fabric.vm1.send(udp(VM1, FAR))
    wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"a datagram"))
    fabric.vm2.send(udp(VM2, FAR))
    wire.expect(frame(src=VM2, dst=FAR).vlan(20).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"a datagram"))


def test_frames_from_the_fabric_lose_their_tag_byte_exactly(fabric, wire):
    for size in (0, 1, 700, 1472):
        wire.send(tagged(10, FAR, VM1, b"x" * size))
        got = fabric.vm1.expect(untagged(FAR, VM1, b"x" * size), alone=False)
        assert got.frame == bytes(untagged(FAR, VM1, b"x" * size))


def test_a_frame_of_another_vlan_reaches_nobody_else(fabric, wire):
    """To vm1's MAC in vm2's VLAN, in one that nobody is in, and untagged; then one that must come, alone."""
    before = fabric.daemon.drops("up")
    wire.send(tagged(20, FAR, VM1), tagged(30, FAR, VM1), untagged(FAR, VM1), tagged(10, FAR, VM1, b"the last"))
    assert fabric.vm1_until(untagged(FAR, VM1, b"the last")) == []
    after = fabric.daemon.drops("up")
    assert after.get("unknown_unicast", 0) - before.get("unknown_unicast", 0) == 1
    assert after.get("vlan_not_allowed", 0) - before.get("vlan_not_allowed", 0) == 2


def test_broadcasts_go_both_ways_once_in_their_vlan(fabric, wire):
    fabric.vm1.send(udp(VM1, BROADCAST, b"from the vm"))
    on_wire = frame(src=VM1, dst=BROADCAST).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"from the vm")
    wire.expect(on_wire)
    wire.send(tagged(10, FAR, BROADCAST, b"from the machine"), tagged(10, FAR, VM1, b"end"),
              tagged(20, FAR, VM2, b"end"))
    assert fabric.vm1_until(untagged(FAR, VM1, b"end")) == [bytes(untagged(FAR, BROADCAST, b"from the machine"))]
    fabric.vm2.expect(untagged(FAR, VM2, b"end"))
    fabric.vm1.send(udp(VM1, FAR, b"done"))
    wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"done"))


def test_jumbled_tags_do_no_harm(fabric, wire):
    """Double tags, a tag cut short, priority tags: counted, and the next frame passes."""
    wire.send(frame(src=FAR, dst=VM1).vlan(10).vlan(20).ipv4("10.0.10.99", "10.0.10.11").udp(1, 2),
              frame(src=FAR, dst=VM1).vlan(0).ipv4("10.0.10.99", "10.0.10.11").udp(1, 2),
              bytes(frame(src=FAR, dst=VM1).vlan(10).raw(b""))[:16], tagged(10, FAR, VM1, b"after"))
    fabric.vm1.expect(untagged(FAR, VM1, b"after"), alone=False)
    fabric.daemon.assert_books_balance()


# Three parties

def test_fragments_from_the_fabric_stay_fragments(fabric, wire):
    """The kernel hands them over as they came: put together they are longer than a frame of the network."""
    whole = bytes(untagged(FAR, VM1, bytes(range(256)) * 8))  # 14 bytes of Ethernet, 20 of IPv4, 2056 of UDP.
    pieces = [frame(src=FAR, dst=VM1).vlan(10).ipv4("10.0.10.99", "10.0.10.11", ident=9, mf=at == 0, offset=at, protocol=17)
              .raw(whole[34 + at:34 + at + 1480]) for at in (0, 1480)]
    wire.send(*pieces)
    for piece in pieces:
        data = bytes(piece)
        fabric.vm1_until(data[:12] + data[16:])


def test_service_vm_and_machine_talk_in_vlan_10_and_not_in_vlan_20(fabric, wire):
    machine = fabric.net["machine"]
    payload = os.urandom(1 << 18)
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        with Machine(machine, "eth0", "m10", 10, "10.0.10.3/24", FAR), TcpEcho(machine, "10.0.10.3", 8081):
            assert tcp_round_trip(machine, "10.0.10.1", payload) == payload
            assert tcp_round_trip(fabric.net["svc"], "10.0.10.3", b"few bytes", port=8081) == b"few bytes"
            fabric.drain()
            syn = frame(src=VM1, dst=FAR).ipv4("10.0.10.11", "10.0.10.3").tcp(3000, 8081, "S", seq=1)
            fabric.vm1.send([frame(src=VM1).arp("10.0.10.11", "10.0.10.3"), syn])
            answer, _ = fabric.vm1.receive_until(b"\x1f\x91\x0b\xb8")  # From port 8081 to 3000.
            assert answer is not None and answer.frame[47] == 0x12  # SYN and ACK.
            syn = frame(src=VM1, dst=SVC).ipv4("10.0.10.11", "10.0.10.1").tcp(3000, 8080, "S", seq=1)
            fabric.vm1.send([frame(src=VM1).arp("10.0.10.11", "10.0.10.1"), syn])
            answer, _ = fabric.vm1.receive_until(b"\x1f\x90\x0b\xb8")
            assert answer is not None and answer.frame[47] == 0x12
        with Machine(machine, "eth0", "m20", 20, "10.0.10.4/24", FAR):
            fabric.drain()
            assert tcp_fails(machine, "10.0.10.1")
            assert fabric.vm2.receive_until(b"\x0a\x00\x0a\x04")[0] is not None  # Its question is heard in VLAN 20 only.
    wire.drain()


def test_tcp_between_kernel_ports_goes_both_ways_in_large_segments(fabric):
    payload = os.urandom(1 << 24)
    before = fabric.row("other")
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        back = tcp_round_trip(fabric.net["other"], "10.0.10.1", payload)
    assert hashlib.sha256(back).digest() == hashlib.sha256(payload).digest()
    after = fabric.row("other")
    for way in ("rx", "tx"):
        count = after[f"{way}_packets"] - before[f"{way}_packets"]
        size = after[f"{way}_bytes"] - before[f"{way}_bytes"]
        assert size > len(payload) and size / count > 1600, f"{way}: {count} frames, {size} bytes: not segmented by TSO"


def test_a_guest_that_knows_no_offloads_talks_to_the_stack(fabric):
    """The stack leaves the checksum to its device; the front-end of vm1 takes it finished or partial as it negotiated."""
    fabric.drain()
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        fabric.vm1.send([frame(src=VM1).arp("10.0.10.11", "10.0.10.1"),
                         frame(src=VM1, dst=SVC).ipv4("10.0.10.11", "10.0.10.1").tcp(3001, 8080, "S", seq=1)])
        assert fabric.vm1.receive_until(b"\x1f\x90\x0b\xb9")[0] is not None


# Kernel ports

def test_interface_has_what_the_document_says(fabric):
    mtu, mac, addresses = fabric.net["other"].interfaces()["vmk0"]
    assert (mtu, mac) == (1500, OTHER) and addresses == ["10.0.10.2/24", "2001:db8::2/64"]
    row = fabric.daemon.cli("show", "port", "other")
    assert row["kind"] == "kernel" and row["interface"] == "vmk0" and row["netns"] == fabric.net["other"].name
    assert row["ips"] == ["10.0.10.2", "2001:db8::2"] and row["state"] == "up"


def test_settings_change_in_place(fabric):
    ports = fabric.document()["ports"]
    other = next(one for one in ports if one["name"] == "other")
    other.update(mac="02:00:00:00:0a:77", addresses=["10.0.10.2/24", "10.0.10.22/24"])
    fabric.apply(ports=ports, switches=[{"name": "dvs0", "uplinks": ["up"], "mtu": 1400}])
    eventually(lambda: fabric.net["other"].interfaces()["vmk0"] ==
               (1400, "02:00:00:00:0a:77", ["10.0.10.2/24", "10.0.10.22/24"]), "new settings")
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        assert tcp_round_trip(fabric.net["other"], "10.0.10.1", b"still there") == b"still there"
    fabric.apply()
    eventually(lambda: fabric.net["other"].interfaces()["vmk0"] ==
               (1500, OTHER, ["10.0.10.2/24", "2001:db8::2/64"]), "old settings")


def test_namespace_deleted_and_made_again(fabric):
    namespace = fabric.net["other"]
    before = fabric.row("other")["rx_packets"]
    namespace.delete()
    fabric.daemon.wait_port("other", "down")
    detail = fabric.daemon.cli("show", "port", "other")["detail"]
    assert detail == f'netns "{namespace.name}" does not exist in /run/netns'
    assert {"port": "other", "why": detail} in fabric.daemon.cli("health")["ports_down"]
    fabric.apply(host={"name": "goes-on"})
    fabric.vm1.send(udp(VM1, OTHER))
    eventually(lambda: fabric.daemon.drops("vm1").get("port_down"), "a frame to it dropped as port_down")
    namespace.add()
    fabric.daemon.wait_port("other", "up")
    assert namespace.interfaces()["vmk0"] == (1500, OTHER, ["10.0.10.2/24", "2001:db8::2/64"])
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        assert tcp_round_trip(namespace, "10.0.10.1", b"again") == b"again"
    assert fabric.row("other")["rx_packets"] > before


def test_interface_deleted_or_set_down_by_hand(fabric):
    fabric.net["svc"].ip("link", "del", "vmk0")
    eventually(lambda: "vmk0" in fabric.net["svc"].interfaces(), "the interface made again")
    fabric.daemon.wait_port("svc", "up")
    fabric.net["svc"].ip("link", "set", "vmk0", "down")

    def is_noticed():
        fabric.vm1.send(udp(VM1, SVC))
        return fabric.daemon.cli("show", "port", "svc")["detail"] == 'interface "vmk0" is set down'
    eventually(is_noticed, "the port down")
    fabric.net["svc"].ip("link", "set", "vmk0", "up")
    fabric.daemon.wait_port("svc", "up")


def test_removed_port_takes_its_interface_along(fabric):
    fabric.apply(ports=fabric.without("svc"))
    assert "vmk0" not in fabric.net["svc"].interfaces()
    fabric.apply()
    assert "vmk0" in fabric.net["svc"].interfaces()


# Uplinks

def test_show_uplinks(fabric):
    row = fabric.uplink()
    assert row["name"] == "up" and row["switch"] == "dvs0" and row["device"] == UPLINK and row["why"] == ""
    assert row["mac"] == fabric.net["host"].interfaces()["up0"][1] and row["mtu"] == 1500
    assert row["rx_packets"] > 0 and row["tx_packets"] > 0
    assert "up0" in fabric.daemon.text("show", "uplinks")


def test_carrier(fabric, wire):
    fabric.net["machine"].ip("link", "set", "eth0", "down")
    assert fabric.wait_uplink("down")["why"] == 'interface "up0" has no carrier'
    health = fabric.daemon.cli("health")
    assert health["status"] == "uplinks_down" and health["uplinks_down"][0]["uplink"] == "up"
    before = fabric.daemon.drops("vm1").get("no_uplink", 0)
    fabric.vm1.send(udp(VM1, FAR))
    eventually(lambda: fabric.daemon.drops("vm1").get("no_uplink", 0) == before + 1, "a drop no_uplink")
    fabric.net["machine"].ip("link", "set", "eth0", "up")
    fabric.wait_uplink("up")
    wire.drain()
    fabric.vm1.send(udp(VM1, FAR, b"is back"))
    wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"is back"))


def test_interface_of_an_uplink_deleted_and_made_again(fabric):
    fabric.net["host"].ip("link", "del", "up0")
    assert "up0" in fabric.wait_uplink("down")["why"]
    eventually(lambda: "does not exist" in fabric.uplink()["why"], "the reason")
    fabric.net.veth("host", "up0", "machine", "eth0")
    fabric.wait_uplink("up")
    with Wire(fabric.net["machine"], "eth0") as wire:
        fabric.vm1.send(udp(VM1, FAR, b"is new"))
        wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"is new"))


def test_hot_removal_and_return_under_traffic(fabric):
    """Frames to the uplink go on while it is taken away and plugged in again; a neighbour's traffic never stops."""
    fabric.drain()
    fabric.vm1.start_flood([udp(VM1, FAR)], pps=2000)
    try:
        for _ in range(3):
            fabric.apply(uplinks=[], switches=[{"name": "dvs0"}])
            assert fabric.daemon.cli("show", "uplinks") == []
            with TcpEcho(fabric.net["svc"], "10.0.10.1"):
                assert tcp_round_trip(fabric.net["other"], "10.0.10.1", b"goes on") == b"goes on"
            fabric.apply()
            fabric.wait_uplink("up")
    finally:
        fabric.vm1.finish_flood()
    fabric.daemon.assert_books_balance()


# What is refused

@pytest.mark.parametrize("device, sentence", [
    ("net_af_packet0,iface=none0", 'uplink up: device net_af_packet0,iface=none0: interface "none0" does not exist'),
    ("net_nothing0,iface=up0", "uplink up: device net_nothing0,iface=up0: no driver of that name is built in, there are "),
    ("ffff:00:00.0", "uplink up: device ffff:00:00.0: no such PCI device"),
    ("net_vhost0,client=1", "uplink up: device net_vhost0,client=1: iface=, the path of its socket, is missing"),
    ("net_vhost0,iface=/none/up.sock", "uplink up: device net_vhost0,iface=/none/up.sock: folder /none does not exist"),
    ("net_af_packet0,iface=up0,nonsense=1", "uplink up: device net_af_packet0,iface=up0,nonsense=1: can't be opened"),
])
def test_device_that_cannot_be_opened(fabric, wire, device, sentence):
    generation = fabric.daemon.cli("status")["generation"]
    error = fabric.daemon.apply_error(fabric.document(uplinks=[{"name": "up", "device": device}]))
    assert error.error["message"].startswith(sentence) and error.error["object"] == "uplink up"
    assert "\n" not in error.error["message"]
    assert fabric.daemon.cli("status")["generation"] == generation
    fabric.vm1.send(udp(VM1, FAR, b"goes on"))
    wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, b"goes on"))


def test_mtu_that_the_device_cannot_carry(fabric):
    error = fabric.daemon.apply_error(fabric.document(switches=[{"name": "dvs0", "uplinks": ["up"], "mtu": 9000}]))
    assert "can't carry an mtu of 9000" in error.error["message"]


def test_jumbo_frames(fabric):
    device = "net_af_packet0,framesz=16384,blocksz=65536,iface=up0"
    fabric.net["machine"].ip("link", "set", "eth0", "mtu", "9000")
    fabric.apply(uplinks=[{"name": "up", "device": device}],
                 switches=[{"name": "dvs0", "uplinks": ["up"], "mtu": 9000}])
    fabric.wait_uplink("up")
    assert fabric.net["host"].interfaces()["up0"][0] == 9000
    with Wire(fabric.net["machine"], "eth0") as wire:
        large = b"j" * 8972
        fabric.vm1.send(udp(VM1, FAR, large))
        wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, large))
        wire.send(tagged(10, FAR, VM1, large))
        fabric.vm1.expect(untagged(FAR, VM1, large), alone=False)
    fabric.apply()
    fabric.wait_uplink("up")


def kernel_port(**fields):
    return {"name": "extra", "port_group": "v10", "kind": "kernel", **fields}


def test_interface_name_that_is_taken(fabric):
    extra = kernel_port(interface="up0")
    error = fabric.daemon.apply_error(fabric.document(ports=fabric.document()["ports"] + [extra]))
    assert error.error == {"code": "exists", "object": "port extra",
                           "message": 'port extra: interface name "up0" is taken on this host'}
    extra = kernel_port(interface="lo", netns=fabric.net["svc"].name)
    error = fabric.daemon.apply_error(fabric.document(ports=fabric.document()["ports"] + [extra]))
    assert error.error["message"] == f'port extra: interface name "lo" is taken in netns "{fabric.net["svc"].name}"'


def test_namespace_that_is_missing(fabric):
    extra = kernel_port(netns="no-such-netns")
    error = fabric.daemon.apply_error(fabric.document(ports=fabric.document()["ports"] + [extra]))
    assert error.error == {"code": "invalid", "object": "port extra",
                           "message": 'port extra: netns "no-such-netns" does not exist in /run/netns'}


def test_ipv6_address_where_ipv6_is_off(fabric):
    extra = kernel_port(netns=fabric.net["svc"].name, addresses=["2001:db8::9/64"])
    error = fabric.daemon.apply_error(fabric.document(ports=fabric.document()["ports"] + [extra]))
    assert error.error["message"] == ("port extra: address 2001:db8::9 can't be set: IPv6 is off for \"extra\" in netns "
                                      f'"{fabric.net["svc"].name}"')
    assert "extra" not in fabric.net["svc"].interfaces()


def test_a_refused_document_leaves_no_interface_behind(fabric):
    extra = kernel_port(interface="left0", netns=fabric.net["svc"].name)
    bad = {"uplinks": [{"name": "up", "device": "net_af_packet0,iface=none0"}]}
    fabric.daemon.apply_error(fabric.document(ports=fabric.document()["ports"] + [extra], **bad))
    assert "left0" not in fabric.net["svc"].interfaces()


# Start

def test_start_without_namespace_and_device_waits_for_them(fabric):
    fabric.daemon.stop()
    fabric.net["other"].delete()
    fabric.net["host"].ip("link", "del", "up0")
    fabric.daemon.start()
    assert fabric.row("other")["state"] == "down"
    eventually(lambda: "does not exist" in fabric.uplink()["why"], "why the uplink is down")
    fabric.daemon.wait_port("svc", "up")
    fabric.net["other"].add()
    fabric.net.veth("host", "up0", "machine", "eth0")
    fabric.daemon.wait_port("other", "up")
    fabric.wait_uplink("up")
    with TcpEcho(fabric.net["svc"], "10.0.10.1"):
        assert tcp_round_trip(fabric.net["other"], "10.0.10.1", b"hello") == b"hello"
    for vm in (fabric.vm1, fabric.vm2):
        vm.reconnect(timeout=10.0)
    fabric.daemon.wait_port("vm1")
    fabric.daemon.wait_port("vm2")


def test_killed_daemon_leaves_neither_helper_nor_interface(fabric):
    fabric.daemon.kill()
    eventually(lambda: "vmk0" not in fabric.net["svc"].interfaces(), "the interface gone")
    fabric.daemon.start()
    fabric.daemon.wait_port("svc", "up")
    for vm in (fabric.vm1, fabric.vm2):
        vm.reconnect(timeout=10.0)


def test_uplink_of_the_hosts_own_file():
    with Namespaces("own", "peer") as net:
        net.veth("own", "up0", "peer", "eth0")
        config = {"uplinks": [{"name": "up", "device": UPLINK}]}
        document = {"switches": [{"name": "s", "uplinks": ["up"]}]}
        with Daemon(netns=net["own"].name, config=config, document=document) as daemon:
            eventually(lambda: daemon.cli("show", "uplinks")[0]["state"] == "up", "uplink up")
            assert "uplinks" not in daemon.cli("export")
            error = daemon.apply_error({"uplinks": [{"name": "up", "device": "net_af_packet0,iface=eth9"}]})
            assert "is defined by the host's own configuration file" in error.error["message"]
            assert "uplinks" in daemon.apply_error({"uplinks": {"name": "x"}}).error["message"]


def test_af_xdp():
    """The same cable over AF_XDP, where the kernel lets us."""
    with Fabric("net_af_packet0,iface=up0") as fabric:
        try:
            fabric.apply(uplinks=[{"name": "up", "device": "net_af_xdp0,iface=up0"}])
        except RuntimeError as error:
            pytest.skip(f"no AF_XDP here: {error}")
        fabric.wait_uplink("up")
        with Wire(fabric.net["machine"], "eth0") as wire:
            for number in range(20):
                payload = b"number %d" % number
                fabric.vm1.send(udp(VM1, FAR, payload))
                wire.expect(frame(src=VM1, dst=FAR).vlan(10).ipv4("10.0.10.11", "10.0.10.99").udp(1000, 2000, payload))
                wire.send(tagged(10, FAR, VM1, payload))
                fabric.vm1.expect(untagged(FAR, VM1, payload), alone=False)
        fabric.apply()
        fabric.daemon.assert_books_balance()
