# SPDX-License-Identifier: Apache-2.0
"""The usual stage of a system test: one daemon, some VMs on it, each played by a front-end.

    with Scene() as scene:                       # vm1 and vm2 on port group "net" of switch "dvs0"
        scene.vm1.send(scene.udp("vm1", "vm2"))
        scene.vm2.expect(...)
        scene.apply(dfw=drop_all())              # the same ports, another policy

VM number N has MAC 02:00:00:00:00:NN, IPv4 10.0.0.N, IPv6 2001:db8::N. A Scene is what the tests of one file share;
they set the policy that they need and call fresh() for a start without connections.
"""

from conditions import eventually
from daemon import Daemon
from frontend import FrontendProcess
from packets import frame


def mac_of(name):
    """MAC of "vm3"."""
    return f"02:00:00:00:00:{int(name[2:]):02x}"


def ip_of(name):
    return f"10.0.0.{int(name[2:])}"


def ip6_of(name):
    return f"2001:db8::{int(name[2:])}"


class Scene:
    """Arguments: names of the VMs, port_groups (list of the document; the first is the VMs'), ports ({name: fields}
    that differ), guests ({name: options of FrontendProcess.open}), daemon_type (Daemon), the rest goes to that."""

    def __init__(self, vms=("vm1", "vm2"), port_groups=None, switches=None, ports=None, guests=None, daemon_type=Daemon,
                 **daemon):
        self._names = tuple(vms)
        self._groups = port_groups or [{"name": "net", "switch": "dvs0"}]
        self._switches = switches or [{"name": "dvs0"}]
        self._fields = ports or {}
        self._options = guests or {}
        self._daemon_type = daemon_type
        self._daemon_options = daemon
        self.vms = {}

    def __enter__(self):
        self.daemon = self._daemon_type(**self._daemon_options)
        self.guests = FrontendProcess()
        try:
            self.apply()
            for name in self._names:
                self.attach(name)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.guests.close()
        self.daemon.__exit__(kind, value, trace)

    def __getattr__(self, name):
        try:
            return self.__dict__["vms"][name]
        except KeyError:
            raise AttributeError(name) from None

    def attach(self, name):
        """Opens the front-end of port `name`, and waits until the switch says that the port is up."""
        options = {"timeout": 10.0, **self._options.get(name, {})}
        self.vms[name] = self.guests.open(name, self.daemon.vhost_socket(name), **options)
        self.daemon.wait_port(name)
        return self.vms[name]

    # The document

    def document(self, **nouns):
        """The scene's document; `nouns` (dfw, acls, groups, address_sets, port_groups ...) replace or add to it."""
        ports = [{**self.daemon.port(name, self._groups[0]["name"], mac=mac_of(name), ips=[ip_of(name), ip6_of(name)]),
                  **self._fields.get(name, {})} for name in self._names]
        return {"switches": self._switches, "port_groups": self._groups, "ports": ports, **nouns}

    def apply(self, **nouns):
        return self.daemon.apply(self.document(**nouns))

    def fresh(self, **nouns):
        """Applies, forgets every connection, and empties what the guests have received."""
        self.apply(**nouns)
        self.daemon.cli("flush", "conns")
        for vm in self.vms.values():
            while vm.receive(256, 0.002):
                pass

    # Frames

    @staticmethod
    def ether(source, target):
        return frame(src=mac_of(source), dst=mac_of(target))

    def ipv4(self, source, target, **fields):
        return self.ether(source, target).ipv4(ip_of(source), ip_of(target), **fields)

    def udp(self, source, target, sport=1000, dport=2000, payload=b"payload of a datagram", **fields):
        return self.ipv4(source, target, **fields).udp(sport, dport, payload)

    def tcp(self, source, target, sport=1000, dport=80, flags="S", **fields):
        return self.ipv4(source, target).tcp(sport, dport, flags, **fields)

    def marker(self, source, target, number=0):
        """A frame that no firewall rule judges (no IP), to see the end of what was sent before it."""
        return self.ether(source, target).raw(b"marker %06d" % number).pad()

    # Facts

    def passes(self, one, source, target):
        """Asserts that `one` comes out at `target` as it went in."""
        self.vms[source].send(one)
        got = self.vms[target].expect(one)
        assert got.frame == bytes(one), f"changed on the way: {got.frame.hex()}"

    def is_dropped(self, one, source, target, reason=None, times=1):
        """Asserts that `one` does not come out at `target`, and that a counter (`reason`, or any) rises by it."""
        before = self.daemon.drops(source)
        self.vms[source].send(one)
        marker = self.marker(source, target)
        self.vms[source].send(marker)
        self.vms[target].expect(marker)
        after = self.daemon.drops(source)
        risen = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
        assert sum(risen.values()) == times, f"dropped once, but counters rose by {risen}"
        assert reason is None or risen == {reason: times}, f"expected {reason}, counters rose by {risen}"
        return risen

    def conversation(self, one="vm1", other="vm2", sport=4000, dport=80, payload=b"GET /"):
        """A TCP connection opened by `one`, with data: asserts that each segment passes."""
        self.passes(self.tcp(one, other, sport, dport, "S", seq=100), one, other)
        self.passes(self.tcp(other, one, dport, sport, "SA", seq=500, ack=101), other, one)
        self.passes(self.tcp(one, other, sport, dport, "A", seq=101, ack=501), one, other)
        self.passes(self.tcp(one, other, sport, dport, "PA", seq=101, ack=501, payload=payload), one, other)

    def ports_up(self):
        return {row["name"]: row["state"] for row in self.daemon.cli("show", "ports")}

    def wait_drops(self, reason, port=None, least=1):
        """Waits until the counter `reason` has reached `least`."""
        return eventually(lambda: self.daemon.drops(port).get(reason, 0) >= least, f"{least} drops of {reason}")
