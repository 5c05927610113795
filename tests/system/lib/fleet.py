# SPDX-License-Identifier: Apache-2.0
"""A small fleet: databases, hosts (each a sluiced with --source in a namespace of its own, on one bridge) and VMs that talk.

    with Fleet(hosts=2) as fleet:
        fleet.apply()                                # the fleet's document, into the database; every host runs it
        fleet.attach()                               # vm1 on host-1, vm2 on host-2, played by front-ends
        with fleet.talk():                           # both send all the time; leaving asserts that nothing was lost
            fleet.databases.config.leader().kill()

Host N is "host-N" with VTEP 172.16.0.N; VM N has MAC 02:00:00:00:01:0N and 10.0.1.N in network "web" (VNI 5001).
"""

import contextlib
import json
import subprocess

from conditions import eventually
from daemon import CliError, Daemon
from frontend import FrontendProcess, program
from network import Namespaces, run
from ovsdb import Databases
from ovsdb_client import CONFIG, STATUS, Connection
from packets import frame

UNDERLAY_MTU = 1600
VNI = {"web": 5001, "db": 5002}
NET = {"web": 1, "db": 2}
GUEST_RING = 1024
DRAIN_MS = 5000  # Frames under way have all come when nothing does for a tenth of it.


def host_name(host):
    return f"host-{host}"


def vtep_ip(host):
    return f"172.16.0.{host}"


def guest_ip(host, net="web"):
    return f"10.0.{NET[net]}.{host}"


def guest_mac(host, net="web"):
    return f"02:00:00:00:{NET[net]:02x}:{host:02x}"


def host_objects(host):
    """Uplink and VTEP of a host, as the fleet's document has them."""
    owner = {"host": host_name(host)}
    return {"uplinks": [{"name": "up0", **owner, "device": "net_af_packet0,iface=eth0"}],
            "vteps": [{"name": "tep0", **owner, "ip": f"{vtep_ip(host)}/24", "mac": f"02:00:00:00:99:{host:02x}", "uplink": "up0",
                       "mtu": UNDERLAY_MTU}]}


def kernel_guest(host, net, netns):
    """A guest that is a real stack behind a kernel port in a namespace."""
    return {"name": f"h{host}{net}", "host": host_name(host), "port_group": net, "kind": "kernel", "interface": "eth0",
            "netns": netns, "mac": guest_mac(host, net), "ips": [guest_ip(host, net)],
            "addresses": [f"{guest_ip(host, net)}/24"]}


def networks():
    """What is everybody's: two networks and a router between them."""
    interfaces = [{"name": net, "port_group": net, "addresses": [f"10.0.{NET[net]}.254/24"]} for net in NET]
    return {"switches": [{"name": "dvs0", "uplinks": ["up0"]}],
            "port_groups": [{"name": net, "switch": "dvs0", "vni": VNI[net]} for net in NET],
            "routers": [{"name": "ldr1", "interfaces": interfaces}]}


def document(hosts, ports, **nouns):
    """A fleet's document of hosts 1..`hosts` with these ports; `nouns` replace or add."""
    each = [host_objects(host) for host in range(1, hosts + 1)]
    return {"hosts": [{"name": host_name(host)} for host in range(1, hosts + 1)],
            "uplinks": [one for host in each for one in host["uplinks"]],
            "vteps": [one for host in each for one in host["vteps"]], **networks(), "ports": ports, **nouns}


def playground_document(hosts, prefix="slf-"):
    """What scripts/fleet applies: on each host a guest in either network."""
    return document(hosts, [kernel_guest(host, net, f"{prefix}h{host}{net}") for host in range(1, hosts + 1) for net in NET])


def plug(net, name, cable):
    """A cable from the fabric's bridge br0 to eth0 of a host's namespace."""
    net.veth(name, "eth0", "fabric", cable)
    run("ip", "netns", "exec", net[name].name, "ethtool", "-K", "eth0", "tx", "off")
    net[name].ip("link", "set", "eth0", "mtu", UNDERLAY_MTU)
    net["fabric"].ip("link", "set", cable, "mtu", UNDERLAY_MTU, "master", "br0")


class Fleet:
    """`hosts`: how many; `cluster`, `relays`: of Databases; `args`: of each daemon."""

    def __init__(self, hosts=2, cluster=3, relays=2, args=()):
        self.hosts = range(1, hosts + 1)
        self._args = list(args)
        self.databases = Databases(cluster, relays)
        self.daemons, self.vms = {}, {}

    def __enter__(self):
        self.net = Namespaces("fabric", *[f"h{host}" for host in self.hosts])
        try:
            self.net.__enter__()
            self.databases.__enter__()
            self.guests = FrontendProcess()
            self.net["fabric"].ip("link", "add", "br0", "mtu", UNDERLAY_MTU, "up", "type", "bridge", "mcast_snooping", "0")
            for host in self.hosts:
                plug(self.net, f"h{host}", f"c-h{host}")
                self.daemons[host] = Daemon(netns=self.net[f"h{host}"].name, config={"host": {"name": host_name(host)}},
                                            args=[*self._args, "--source", self.databases.source])
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        with contextlib.ExitStack() as rest:
            rest.callback(self.net.__exit__, kind, value, trace)
            rest.callback(self.databases.__exit__, kind, value, trace)
            for daemon in self.daemons.values():
                rest.callback(daemon.__exit__, kind, value, trace)
            if hasattr(self, "guests"):
                rest.callback(self.guests.close)

    # The document

    def vm(self, host, **fields):
        """The port of VM `host`."""
        return self.daemons[host].port(f"vm{host}", "web", host=host_name(host), mac=guest_mac(host), ips=[guest_ip(host)],
                                       **fields)

    def document(self, **nouns):
        return document(len(self.hosts), [self.vm(host) for host in self.hosts], **nouns)

    def sluice(self, *arguments, stdin=None, timeout=60, db=None):
        """`sluice --db ... ARGUMENTS` and its JSON; CliError if it fails. `db`: of the whole cluster if None."""
        command = [program("sluice"), "--db", db or self.databases.db, "-o", "json", *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise CliError(list(map(str, arguments)), done.returncode, {}, done.stderr + done.stdout)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def apply(self, content=None, wait=True, db=None, **nouns):
        """Applies the fleet's document; returns when every host runs it."""
        content = content if content is not None else self.document(**nouns)
        return self.sluice("apply", "-", *(["--wait", "40"] if wait else []), stdin=json.dumps(content), db=db)

    # Hosts

    def status(self, host):
        """`source` of `sluice status` of a host."""
        return self.daemons[host].cli("status")["source"]

    def wait_state(self, *states, hosts=None, timeout=40.0):
        for host in hosts or self.hosts:
            what = f"host {host} is {' or '.join(states)}"
            eventually(lambda host=host: self.status(host)["state"] in states, what, timeout, 0.05)

    def generation(self):
        (row,) = self.databases.rows(CONFIG, "Global")
        return row["generation"]

    def wait_realized(self, timeout=30.0):
        """Every host says that it runs the database's generation."""
        generation = self.generation()
        for host in self.hosts:
            self.databases.wait_host(host_name(host), timeout, state="live", generation=generation)

    def wait_settled(self, timeout=30.0):
        """Nothing is on its way any more: every host runs the database's generation, has claimed its VM's MAC, and knows
        the others' ends of tunnels, which are a change of its own view after theirs."""
        self.wait_realized(timeout)
        wanted = {guest_mac(host): host_name(host) for host in self.vms}
        eventually(lambda: self.claims() == wanted, f"the claims {wanted}", timeout, 0.05)
        for host in self.hosts:
            others = {vtep_ip(other) for other in self.hosts if other != host}
            eventually(lambda host=host, others=others: self.tunnels(host) == others, f"host {host} knows {others}",
                       timeout, 0.05)
            eventually(lambda host=host: self.status(host)["bindings"] >= len(wanted.keys() - {guest_mac(host)}),
                       f"host {host} knows where the other VMs are", timeout, 0.05)

    def tunnels(self, host):
        """Remote VTEPs of the view that a host runs."""
        return {ip for switch in self.daemons[host].cli("export").get("switches", []) for ip in switch.get("remote_vteps", [])}

    def snapshots(self):
        """Generation of what each host runs: it grows with each change that reached the data path."""
        return {host: daemon.cli("status")["generation"] for host, daemon in self.daemons.items()}

    def views(self):
        """The document that each host runs."""
        return {host: daemon.cli("export") for host, daemon in self.daemons.items()}

    def edit(self, operations):
        """A transaction past our own CLI, at the leader."""
        with Connection(self.databases.db, leader_only=CONFIG) as connection:
            return connection.transact(CONFIG, operations)

    def claims(self):
        """{MAC: host} as hosts tell it in Sluice_Status."""
        return {mac: row["host"] for row in self.databases.rows(STATUS, "Binding") for mac in row["items"]}

    # VMs

    def attach(self, *hosts):
        for host in hosts or self.hosts:
            name = f"vm{host}"
            self.vms[host] = self.guests.open(name, self.daemons[host].vhost_socket(name), timeout=15.0, queue_size=GUEST_RING)
            self.daemons[host].wait_port(name, timeout=15.0)

    @staticmethod
    def datagram(source, target, number=0):
        return frame(src=guest_mac(source), dst=guest_mac(target)).ipv4(guest_ip(source), guest_ip(target)).udp(
            4000 + number, 5000, b"from %d to %d" % (source, target))

    def passes(self, source, target, timeout=20.0):
        """Until a frame of one VM reaches the other."""
        one = self.datagram(source, target)

        def arrives():
            self.vms[source].send(one)
            return self.vms[target].receive_until(one, 0.3)[0]
        eventually(arrives, f"vm{source} reaches vm{target}", timeout)

    def reach_each_other(self):
        """vm1 and vm2 reach each other, and nothing that asked for that is under way any more."""
        for one, other in ((1, 2), (2, 1)):
            self.passes(one, other)
        for vm in self.vms.values():
            vm.drain(quiet=0.4)

    def exchange(self, count=400, pps=400):
        """vm1 and vm2 send each other `count` frames, which all arrive."""
        self.reach_each_other()
        results = self.vms[1].flood(self.datagram(1, 2), seconds=60, count=count, pps=pps, burst=1, drain_ms=DRAIN_MS,
                                    senders={self.vms[2]: self.datagram(2, 1)})
        assert all(result["sent"] == result["received"] == count for result in results.values()), results

    @contextlib.contextmanager
    def talk(self, pps=200, lost=0):
        """vm1 and vm2 send to each other for the length of the block. At its end: everything arrived, but for `lost`. Slowly,
        and into deep rings: on a loaded machine the guests' process and the workers stand still for half a second."""
        self.reach_each_other()
        self.vms[1].start_flood(self.datagram(1, 2), pps=pps, senders={self.vms[2]: self.datagram(2, 1)}, burst=1,
                                drain_ms=DRAIN_MS)
        try:
            yield
        finally:
            results = self.vms[1].finish_flood()
        sent = {name: result["sent"] for name, result in results.items()}
        got = {name: result["received"] for name, result in results.items()}
        assert min(sent.values()) > 0, results
        missing = {"vm2": sent["vm1"] - got["vm2"], "vm1": sent["vm2"] - got["vm1"]}
        assert all(0 <= count <= lost for count in missing.values()), f"lost {missing} of {sent}; drops: " + \
            str({host: daemon.drops() for host, daemon in self.daemons.items()})
        print(f"talk: sent {sent}, lost {missing}")
