# SPDX-License-Identifier: Apache-2.0
"""`--source vtep:REMOTE`: hosts that controllers of the standard schema hardware_vtep steer.

Two daemons on one database that vtep-ctl writes, with a Linux vxlan device as the third end; and one daemon behind OVN's own
chain: ovn-nbctl, ovn-northd, ovn-controller-vtep. Names of hosts are host-a and host-b, those of stacks vm-a, vm-b, ...
"""

import pytest
from conditions import eventually
from vtep import Control, Fabric, Process, databases

VNI = 5001
A, B, P = "172.16.0.1", "172.16.0.2", "172.16.0.3"
MAC_A, MAC_B, MOVER = "02:00:00:00:0a:01", "02:00:00:00:0b:01", "02:00:00:00:0c:01"
IP_A, IP_B, IP_MOVER = "10.0.0.1", "10.0.0.2", "10.0.0.9"
LONG = 30.0  # What a loaded machine needs at most.


class Stage:
    """Hosts a and b and machine p on one underlay, one database, and vtep-ctl in the controller's place."""

    def __enter__(self):
        self._open = []
        try:
            self.fabric = self._enter(Fabric("a", "b", "p"))
            self.server = self._enter(databases("hardware_vtep"))
            self.ctl = Control("vtep-ctl", self.server)
            self.a = self._enter(self.fabric.daemon("a", A, self.server, self.fabric.kernel_port("vm-a", "vmk0", "vm-a", MAC_A, IP_A)))
            self.b = self._enter(self.fabric.daemon(
                "b", B, self.server, self.fabric.kernel_port("vm-b", "vmk0", "vm-b", MAC_B, IP_B),
                self.fabric.kernel_port("mover", "vmk1", "vm-p", MOVER, IP_MOVER)))
            self.fabric.linux("p", P)
            self._control()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        while self._open:
            self._open.pop().__exit__(kind, value, trace)

    def _enter(self, context):
        entered = context.__enter__()
        self._open.append(context)
        return entered

    def _control(self):
        """What a controller does: a network, who is in it, where floods and MACs go."""
        eventually(lambda: set(self.ctl("list-ps").split()) == {"host-a", "host-b"}, "both hosts in the database", LONG)
        self.ctl("add-ls", "web", "--", "set", "Logical_Switch", "web", f"tunnel_key={VNI}", "replication_mode=source_node")
        for host, port in (("host-a", "vm-a"), ("host-b", "vm-b"), ("host-b", "mover")):
            eventually(lambda h=host, p=port: p in self.ctl("list-ports", h).split(), f"{port} of {host}", LONG)
            self.ctl("bind-ls", host, port, "0", "web")
        for vtep in (A, B, P):
            self.ctl("add-mcast-remote", "web", "unknown-dst", vtep)
        for mac, vtep in ((MAC_A, A), (MAC_B, B), (MOVER, B)):
            self.ctl("add-ucast-remote", "web", mac, vtep)
        self.a.wait_port("vm-a", timeout=LONG)
        self.b.wait_port("vm-b", timeout=LONG)
        eventually(lambda: len(self.controlled(self.a)) == 2, "MACs of host-b at host-a", LONG)

    @staticmethod
    def controlled(daemon):
        """MACs that a daemon was told by its controller, with their VTEP."""
        return {row["mac"]: row.get("vtep") for row in daemon.cli("show", "macs") if row["source"] == "controller"}

    def local_macs(self):
        return self.ctl("list-local-macs", "web")


@pytest.fixture(name="stage", scope="module")
def _stage():
    with Stage() as stage:
        yield stage
        for daemon in (stage.a, stage.b):
            daemon.assert_books_balance()


def test_vms_of_two_hosts_ping(stage):
    eventually(lambda: stage.fabric.pings("vm-a", IP_B), "vm-a reaches vm-b", LONG)
    before = [daemon.drops() for daemon in (stage.a, stage.b)]  # While hosts did not know each other yet.
    assert stage.fabric.pings("vm-a", IP_B, count=20)
    assert stage.fabric.pings("vm-b", IP_A, count=20)
    for daemon, then in zip((stage.a, stage.b), before):
        now = daemon.drops()
        for reason in ("unknown_vtep", "unknown_vni", "bad_vxlan"):
            assert now.get(reason, 0) == then.get(reason, 0), now


def test_status_and_document(stage):
    source = stage.a.cli("status")["source"]
    assert (source["kind"], source["state"], source["problems"], source["networks"]) == ("vtep", "live", 0, 1)
    document = stage.a.cli("export")
    assert document["ports"] == [{"name": "vm-a", "port_group": "web"}], "the rest of the port is the file's"
    assert stage.a.cli("show", "port", "vm-a")["port_group"] == "web"
    assert stage.controlled(stage.a) == {MAC_B: B, MOVER: B}


def test_the_configuration_is_the_controllers(stage):
    error = stage.a.apply_error({"switches": [{"name": "mine"}]})
    assert error.error["code"] == "state" and "vtep:" in error.error["message"]


def test_hosts_tell_their_macs_and_addresses(stage):
    eventually(lambda: f"{MAC_A} -> vxlan_over_ipv4/{A}" in stage.local_macs(), "vm-a's MAC in the database", LONG)
    eventually(lambda: f"{MAC_B} -> vxlan_over_ipv4/{B}" in stage.local_macs(), "vm-b's MAC in the database", LONG)
    assert "unknown-dst -> vxlan_over_ipv4/172.16.0." in stage.local_macs()
    rows = stage.ctl("--columns=MAC,ipaddr", "list", "Ucast_Macs_Local")
    assert IP_A in rows and IP_B in rows


def test_a_mac_moves(stage):
    """From host-b to a foreign VTEP: the controller says so, and frames of vm-a go there."""
    eventually(lambda: stage.fabric.pings("vm-a", IP_MOVER), "vm-a reaches the VM that will move", LONG)
    stage.ctl("unbind-ls", "host-b", "mover", "0")
    eventually(lambda: all(port["name"] != "mover" for port in stage.b.cli("show", "ports")), "the port is detached", LONG)
    assert not stage.fabric.pings("vm-a", IP_MOVER)
    eventually(lambda: MOVER not in stage.local_macs(), "host-b takes the MAC back", LONG)
    stage.fabric.linux_vtep("p", P, VNI, MOVER, IP_MOVER, (A, B))
    stage.ctl("add-ucast-remote", "web", MOVER, P)
    eventually(lambda: stage.controlled(stage.a).get(MOVER) == P, "host-a knows the new place", LONG)
    eventually(lambda: stage.fabric.pings("vm-a", IP_MOVER), "vm-a reaches it there", LONG)
    assert stage.fabric.pings("p", IP_B, count=5)


def test_what_cant_be_made_is_a_fault(stage):
    """A VLAN beside untagged attaches nothing, and says so; it is attached again when that is gone."""
    stage.ctl("bind-ls", "host-b", "mover", "7", "web")
    eventually(lambda: "invalid_vlan_map" in stage.ctl("list", "Physical_Port"), "the port's fault", LONG)
    faults = stage.b.cli("status")["source"]["faults"]
    assert [one["object"] for one in faults] == ["port mover"] and "VLAN" in faults[0]["reason"]
    assert all(port["name"] != "mover" for port in stage.b.cli("show", "ports"))
    stage.ctl("unbind-ls", "host-b", "mover", "7")
    eventually(lambda: "invalid_vlan_map" not in stage.ctl("list", "Physical_Port"), "no fault any more", LONG)
    assert stage.fabric.pings("vm-a", IP_B)


def test_without_its_database_a_host_goes_on(stage):
    """Also when the daemon itself is restarted meanwhile: document and MACs are on its disk."""
    eventually(lambda: stage.a.cli("status")["source"]["state"] == "live", "live", LONG)
    stage.server.kill()
    eventually(lambda: stage.a.cli("status")["source"]["state"] in ("lost", "headless"), "it says so", LONG)
    assert stage.fabric.pings("vm-a", IP_B, count=5)
    stage.a.restart()
    eventually(lambda: stage.fabric.pings("vm-a", IP_B), "vm-a reaches vm-b from the snapshot", LONG)
    assert stage.controlled(stage.a)[MAC_B] == B
    generation = stage.a.cli("status")["generation"]
    stage.server.start()
    eventually(lambda: stage.a.cli("status")["source"]["state"] == "live", "live again", LONG)
    assert stage.a.cli("status")["generation"] == generation, "nothing differed, nothing was applied"
    assert stage.fabric.pings("vm-a", IP_B, count=5)


class Ovn:
    """host-a behind OVN's own chain, and a chassis whose tunnels Linux ends."""

    def __enter__(self):
        self._open = []
        try:
            self.fabric = self._enter(Fabric("a", "p"))
            self.server = self._enter(databases("OVN_Northbound", "OVN_Southbound", "hardware_vtep"))
            remote, folder = self.server.remotes, self.server.directory
            self._enter(Process(folder, "ovn-northd", f"--ovnnb-db={remote}", f"--ovnsb-db={remote}", f"--unixctl={folder}/northd.ctl"))
            self._enter(Process(folder, "ovn-controller-vtep", f"--vtep-db={remote}", f"--ovnsb-db={remote}"))
            self.ctl, self.nb, self.sb = (Control(one, self.server) for one in ("vtep-ctl", "ovn-nbctl", "ovn-sbctl"))
            self.a = self._enter(self.fabric.daemon("a", A, self.server, self.fabric.kernel_port("vm-a", "vmk0", "vm-a", MAC_A, IP_A)))
            self.fabric.linux("p", P)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        while self._open:
            self._open.pop().__exit__(kind, value, trace)

    def _enter(self, context):
        entered = context.__enter__()
        self._open.append(context)
        return entered


def test_ovn_drives_a_host():
    """A logical port of OVN on another chassis and a vNIC of Sluice are in one network."""
    with Ovn() as ovn:
        eventually(lambda: "vm-a" in ovn.ctl("list-ports", "host-a").split() if "host-a" in ovn.ctl("list-ps").split() else False,
                   "host-a offers its port", LONG)
        ovn.ctl("add-ls", "ls0")
        ovn.ctl("bind-ls", "host-a", "vm-a", "0", "ls0")
        ovn.nb("ls-add", "sw0", "--", "lsp-add", "sw0", "sw0-vtep", "--", "lsp-set-type", "sw0-vtep", "vtep", "--",
               "lsp-set-options", "sw0-vtep", "vtep-physical-switch=host-a", "vtep-logical-switch=ls0", "--",
               "lsp-set-addresses", "sw0-vtep", "unknown", "--",
               "lsp-add", "sw0", "far", "--", "lsp-set-addresses", "far", f"{MOVER} {IP_MOVER}")
        ovn.sb("chassis-add", "hv1", "vxlan", P)
        eventually(lambda: "far" in ovn.sb("--columns=logical_port", "list", "Port_Binding"), "northd made the port", LONG)
        ovn.sb("lsp-bind", "far", "hv1")
        eventually(lambda: f"{MOVER} -> vxlan_over_ipv4/{P}" in ovn.ctl("list-remote-macs", "ls0"), "OVN's MAC for hardware VTEPs", LONG)
        vni = int(ovn.ctl("get", "Logical_Switch", "ls0", "tunnel_key"))
        ovn.a.wait_port("vm-a", timeout=LONG)
        eventually(lambda: Stage.controlled(ovn.a) == {MOVER: P}, "the MAC at the host", LONG)
        group = ovn.a.cli("export")["port_groups"][0]
        assert (group["name"], group["vni"], group["replication"], group["flood_vteps"]) == ("ls0", vni, "head_end", [P])
        ovn.fabric.linux_vtep("p", P, vni, MOVER, IP_MOVER, (A,))
        eventually(lambda: ovn.fabric.pings("vm-a", IP_MOVER), "vm-a reaches OVN's port", LONG)
        assert ovn.fabric.pings("p", IP_A, count=5)
        eventually(lambda: f"{MAC_A} -> vxlan_over_ipv4/{A}" in ovn.ctl("list-local-macs", "ls0"), "vm-a's MAC for OVN", LONG)
        ovn.sb("lsp-unbind", "far")
        eventually(lambda: not Stage.controlled(ovn.a), "a port that OVN took away", LONG)
        ovn.a.assert_books_balance()
