# SPDX-License-Identifier: Apache-2.0
"""A stage of several uplinks: the daemon in the namespace "host", with up0, up1, ...; their other ends sw0, sw1, ... are
ports of a bridge in "fabric", where "machine" hangs, too, by its eth0. What is sent into the cables is seen at swN.

    with UplinkStage(2, teaming={"policy": "explicit", "active": ["up0", "up1"]}) as stage:
        stage.vm("vm1").send(...)
"""

import select
import time

from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from network import Namespaces, Wire
from packets import frame, mac

FAR = "02:00:00:00:0f:03"


def mac_of(name):
    return f"02:00:00:00:00:{int(name[2:]):02x}"


def ip_of(name):
    return f"10.0.0.{int(name[2:])}"


def to_far(name, payload=b"to the machine"):
    return frame(src=mac_of(name), dst=FAR).ipv4(ip_of(name), "10.0.0.99").udp(1000, 2000, payload)


def from_far(target, payload=b"from the machine"):
    return frame(src=FAR, dst=target).ipv4("10.0.0.99", "10.0.0.1").udp(2000, 1000, payload)


class UplinkStage:
    """Arguments: how many uplinks, the switch's teaming, VMs, how the fabric is made (a function of the stage; a Linux
    bridge if None), the rest goes to Daemon."""

    def __init__(self, uplinks, teaming, vms=("vm1", "vm2"), make_fabric=None, **daemon):
        self.count, self.teaming, self.names = uplinks, teaming, vms
        self._make_fabric = make_fabric or UplinkStage.make_bridge
        self._options = daemon

    def __enter__(self):
        self.net = Namespaces("host", "fabric", "machine")
        self.net.__enter__()
        self.wires = {}
        try:
            for number in range(self.count):
                self.net.veth("host", f"up{number}", "fabric", f"sw{number}")
            self.net.veth("machine", "eth0", "fabric", "m0")
            self._make_fabric(self)
            self.daemon = Daemon(netns=self.net["host"].name, **self._options)
            self.guests = FrontendProcess()
            self.apply()
            self.vms = {name: self.guests.open(name, self.daemon.vhost_socket(name), timeout=10.0) for name in self.names}
            for name in self.names:
                self.daemon.wait_port(name)
            self.wires = {f"sw{number}": Wire(self.net["fabric"], f"sw{number}") for number in range(self.count)}
            self.wires["eth0"] = Wire(self.net["machine"], "eth0")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for wire in self.wires.values():
            wire.socket.close()
        if hasattr(self, "guests"):
            self.guests.close()
        try:
            if hasattr(self, "daemon"):
                self.daemon.__exit__(kind, value, trace)
        finally:
            self.net.__exit__(kind, value, trace)

    def make_bridge(self):
        fabric = self.net["fabric"]
        fabric.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        for port in [f"sw{number}" for number in range(self.count)] + ["m0"]:
            fabric.ip("link", "set", port, "master", "br0")
        fabric.ip("link", "set", "br0", "up")

    def document(self, **switch):
        names = [f"up{number}" for number in range(self.count)]
        return {"host": {"name": "host-a"},
                "uplinks": [{"name": name, "device": f"net_af_packet{name[2:]},iface={name}"} for name in names],
                "switches": [{"name": "dvs0", "uplinks": names, "teaming": self.teaming, **switch}],
                "port_groups": [{"name": "net", "switch": "dvs0"}],
                "ports": [self.daemon.port(name, "net", mac=mac_of(name), ips=[ip_of(name)]) for name in self.names]}

    def apply(self, **switch):
        return self.daemon.apply(self.document(**switch))

    def vm(self, name):
        return self.vms[name]

    def uplinks(self):
        return {row["name"]: row for row in self.daemon.cli("show", "uplinks")}

    def wait_works(self, *names, timeout=10.0):
        """Waits until exactly these uplinks are used."""
        def rows():
            found = self.uplinks()
            return found if {name for name, row in found.items() if row["works"]} == set(names) else None
        return eventually(rows, f"{names} used", timeout)

    def uplink_of(self, name):
        return self.daemon.cli("show", "port", name)["uplink"]

    def cut(self, number):
        """The far end of a cable loses its link."""
        self.net["fabric"].ip("link", "set", f"sw{number}", "down")

    def join(self, number):
        self.net["fabric"].ip("link", "set", f"sw{number}", "up")

    def drain(self):
        for wire in self.wires.values():
            wire.drain()
        for one in self.vms.values():
            one.drain(0.01)

    def first_matching(self, wire, test, timeout=5.0):
        """The first frame on a wire for which `test` is true."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            select.select([self.wires[wire].socket], [], [], 0.01)
            while (one := self.wires[wire].next()) is not None:
                if test(one):
                    return one
        raise AssertionError(f"{wire}: no such frame within {timeout} s")

    def expect_announced(self, name, wire="eth0", timeout=5.0):
        """A RARP from the VM's MAC, then a gratuitous ARP for its address."""
        own, address = mac(mac_of(name)), bytes(int(part) for part in ip_of(name).split("."))
        self.first_matching(wire, lambda one: one[6:14] == own + b"\x80\x35", timeout)
        self.first_matching(wire, lambda one: one[6:14] == own + b"\x08\x06" and one[28:32] == address == one[38:42],
                            timeout)
