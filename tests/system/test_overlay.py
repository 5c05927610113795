# SPDX-License-Identifier: Apache-2.0
"""Three hosts, six guests, two VNIs and a distributed router: every pair talks, and what is on the underlay is right byte by
byte; a host that dies and comes back; trace and capture from host to host."""

import hashlib
import ipaddress
import itertools
import os
import socket
import subprocess

import pytest
from conditions import eventually
from network import TcpEcho, Wire, run, tcp_round_trip
from overlay import NET, VMAC, VNI, Overlay, guest_ip, guest_mac, tunnelled, vtep_ip, vtep_mac
from packets import mac

GUESTS = [(host, net) for host in (1, 2, 3) for net in NET]
PAIRS = list(itertools.permutations(GUESTS, 2))


def name_of(guest):
    return f"h{guest[0]}{guest[1]}"


def pair_name(value):
    return f"{name_of(value[0])}-{name_of(value[1])}"


@pytest.fixture(name="overlay", scope="module")
def _overlay():
    with Overlay(hosts=3) as overlay:
        yield overlay
        for daemon in overlay.daemons.values():
            daemon.assert_books_balance()


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_every_pair_talks_and_the_underlay_has_the_right_headers(overlay, pair):
    """IPv4 and IPv6, in one network and across two: one packet each way on the wire, with the headers that its path asks
    for."""
    source, target = pair
    is_local, is_routed = source[0] == target[0], source[1] != target[1]
    for family in (4, 6):
        address = guest_ip(*target, family)
        overlay.ping(name_of(source), address)
        with overlay.tap(f"h{source[0]}") as here, overlay.tap(f"h{target[0]}") as there:
            overlay.ping(name_of(source), address)
            said = [tunnelled(wire.drain()) for wire in (here, there)]
        ends = {ipaddress.ip_address(guest_ip(*one, family)).packed for one in pair}
        echoes = [[one for one in seen if is_echo(one.inner, ends, family)] for seen in said]
        if is_local:
            assert echoes == [[], []], "guests of one host talk inside it"
            continue
        assert [len(seen) for seen in echoes] == [1, 1], "a request and an answer"
        for (one,), sender, receiver in ((echoes[0], source, target), (echoes[1], target, source)):
            assert_outer(one, sender[0], receiver[0])
            assert one.vni == VNI[receiver[1]], "it crosses on the destination's VNI"
            assert one.inner[:6] == mac(guest_mac(*receiver))
            if is_routed:
                assert one.inner[6:12] not in (mac(VMAC), mac(guest_mac(*sender))), "the host's own pMAC, never the vMAC"
            else:
                assert one.inner[6:12] == mac(guest_mac(*sender))
            ttl = one.inner[22] if family == 4 else one.inner[21]
            assert ttl == (63 if is_routed else 64)


def is_echo(inner, ends, family):
    if family == 4:
        return inner[12:14] == b"\x08\x00" and inner[23] == 1 and {inner[26:30], inner[30:34]} == ends
    is_icmp = inner[12:14] == b"\x86\xdd" and inner[20] == 58 and inner[54] in (128, 129)
    return is_icmp and {inner[22:38], inner[38:54]} == ends


def assert_outer(one, sender, receiver):
    assert one.outer_source == mac(vtep_mac(sender)) and one.outer_destination == mac(vtep_mac(receiver))
    assert one.source == ipaddress.ip_address(vtep_ip(sender)).packed
    assert one.destination == ipaddress.ip_address(vtep_ip(receiver)).packed
    assert 49152 <= one.source_port and one.flags == 0x08000000 and one.udp_checksum == 0
    assert one.has_right_checksum and one.has_right_lengths and one.is_unfragmented and one.ttl == 64


@pytest.mark.parametrize("pair", [((1, "web"), (2, "web")), ((1, "web"), (3, "db")), ((2, "db"), (2, "web")),
                                  ((3, "db"), (1, "db"))], ids=pair_name)
@pytest.mark.parametrize("family", [4, 6])
def test_large_segments_cross_intact(overlay, pair, family):
    """TCP whose sender leaves segmentation and checksums to the switch."""
    source, target = pair
    payload = os.urandom(1 << 23)
    with TcpEcho(overlay.net[name_of(target)], guest_ip(*target, family)):
        overlay.ping(name_of(source), guest_ip(*target, family))
        back = tcp_round_trip(overlay.net[name_of(source)], guest_ip(*target, family), payload)
    assert hashlib.sha256(back).digest() == hashlib.sha256(payload).digest()


def test_what_does_not_fit_is_said_by_icmp(overlay):
    """1500 bytes fit the underlay of 1600; the guests' own limit is the switch's MTU."""
    overlay.ping("h1web", guest_ip(2, "web"), size=1472, df=True)
    overlay.ping("h1web", guest_ip(2, "db"), size=1472, df=True)
    overlay.ping("h1web", guest_ip(3, "web", 6), size=1452, df=True)


def test_a_host_that_dies_is_noticed_and_returns(overlay):
    overlay.ping("h1web", guest_ip(2, "web"))

    def state_of(host):
        rows = overlay.daemons[1].cli("show", "vteps")
        return next((row["state"] for row in rows if row.get("ip") == vtep_ip(host)), None)
    eventually(lambda: state_of(2) == "up", "h1 has h2 up", 15.0)
    overlay.daemons[2].kill()
    eventually(lambda: state_of(2) == "down", "h1 has h2 down", 10.0)
    assert state_of(3) == "up"
    overlay.ping("h1web", guest_ip(3, "web"))
    overlay.daemons[2].start()
    for net in NET:
        overlay.daemons[2].wait_port(f"h2{net}", timeout=20.0)
        overlay.add_default_routes(f"h2{net}", net)
    eventually(lambda: state_of(2) == "up", "h1 has h2 up again", 15.0)
    overlay.ping("h1web", guest_ip(2, "web"))
    overlay.ping("h2db", guest_ip(1, "web"))


def test_a_trace_goes_on_at_the_remote_host(overlay):
    overlay.ping("h1web", guest_ip(2, "db"))
    answer = overlay.daemons[1].cli("trace", "h1web", "--dst", guest_ip(2, "db"), "--dport", "80", "--peer",
                                    overlay.daemons[2].admin_socket)
    assert answer["verdict"] == "delivered", answer
    whats = [step["what"] for step in answer["steps"]]
    assert "route" in whats and "encapsulate" in whats and "decapsulate" in whats
    assert answer["steps"][-1]["where"] == "h2db" and answer["steps"][-1]["host"] == "host-2"
    alone = overlay.daemons[1].cli("trace", "h1web", "--dst", guest_ip(2, "db"), "--dport", "80")
    assert alone["verdict"] == "forwarded"


def test_captures_of_uplink_and_vtep_decode(overlay, tmp_path):
    """Outside of the encapsulation at the uplink, inside at the VTEP."""
    files = {"up": tmp_path / "up.pcapng", "tep0": tmp_path / "tep0.pcapng"}
    taps = {port: start_capture(overlay.daemons[1], port, path) for port, path in files.items()}
    try:
        eventually(lambda: overlay.daemons[1].cli("status").get("captures", 2) == 2, "both captures run")
        overlay.ping("h1web", guest_ip(2, "web"), count=3)
        for tap in taps.values():
            assert tap.wait(20) == 0, tap.stderr.read()
    finally:
        for tap in taps.values():
            if tap.poll() is None:
                tap.kill()
                tap.wait()
            tap.stderr.close()
    outside = tshark(files["up"], "vxlan && icmp", "vxlan.vni", "ip.src", "eth.src")
    assert outside and all(line.startswith("5001\t172.16.0.") for line in outside), outside
    inside = tshark(files["tep0"], "icmp && !vxlan", "ip.src", "eth.src")
    assert inside and all(line.startswith("10.0.1.") for line in inside), inside


def start_capture(daemon, port, path):
    from frontend import program  # pylint: disable=import-outside-toplevel
    return subprocess.Popen([program("sluice"), "--socket", daemon.admin_socket, "capture", port, "--filter",
                             "icmp or udp port 4789", "-c", "4", "-w", str(path)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def tshark(path, wanted, *fields):
    """One line a frame that the display filter lets pass: its fields, as tshark decodes them."""
    command = ["tshark", "-r", str(path), "-Y", wanted, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "HOME": str(path.parent)})
    return [line for line in done.stdout.splitlines() if line.strip()]


MODES = {"unicast": (2, vtep_ip(2), vtep_ip(3)), "hybrid": (1, "239.1.1.1"), "multicast": (1, "239.1.1.1")}


@pytest.mark.parametrize("mode", MODES)
def test_a_broadcast_crosses_the_wire_as_its_mode_says(mode):
    """How many copies leave, to whom, and that each guest of the network gets one."""
    copies, *targets = MODES[mode]
    group = None if mode == "unicast" else "239.1.1.1"
    with Overlay(hosts=3, replication=mode, group=group) as overlay:
        overlay.ping("h1web", guest_ip(2, "web"))
        overlay.ping("h1web", guest_ip(3, "web"))
        payload = os.urandom(24)
        with overlay.tap("h1") as wire, Listener(overlay, "h2web", payload) as two, Listener(overlay, "h3web", payload) as three, \
                Listener(overlay, "h2db", payload) as other:
            broadcast(overlay.net["h1web"], payload)
            eventually(lambda: two.count() == 1 and three.count() == 1, "both guests hear it")
            overlay.ping("h1web", guest_ip(2, "web"))
            assert (two.count(), three.count(), other.count()) == (1, 1, 0), "each once, and nobody of another network"
            sent = [one for one in tunnelled(wire.drain()) if payload in one.inner]
        assert len(sent) == copies
        assert sorted(ipaddress.ip_address(one.destination).compressed for one in sent) == sorted(targets)
        assert {one.vni for one in sent} == {VNI["web"]}
        if group:
            assert sent[0].outer_destination == mac("01:00:5e:01:01:01")


def broadcast(namespace, payload):
    """Sends one UDP datagram to everybody on the link."""
    with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sender.sendto(payload, ("255.255.255.255", 9999))


class Listener:
    """Counts frames with `payload` that come to a guest's interface."""

    def __init__(self, overlay, name, payload):
        self._wire, self._payload, self._count = Wire(overlay.net[name], "eth0"), payload, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._wire.socket.close()

    def count(self):
        self._count += sum(self._payload in one for one in self._wire.drain())
        return self._count


def test_vnics_move_to_the_other_vtep_when_theirs_fails():
    """h1 has two uplinks with a VTEP each; all its guests go on when either is cut off, and come home."""
    with Overlay(hosts=2, remotes=["172.16.0.101"], bfd={"interval_ms": 100}) as overlay:
        overlay.plug("h1", "eth1", "c-h1b")
        first = overlay.document(1)
        first["uplinks"].append({"name": "up2", "device": "net_af_packet1,iface=eth1"})
        first["vteps"].append({**first["vteps"][0], "name": "tep1", "ip": "172.16.0.101/24", "mac": "02:00:00:00:99:65",
                               "uplink": "up2"})
        first["switches"][0].update(uplinks=["up", "up2"], remote_vteps=[vtep_ip(2)],
                                    teaming={"failback_hold_s": 1})
        overlay.daemons[1].apply(first)

        def state_of(name):
            rows = overlay.daemons[1].cli("show", "vteps")
            return next(row["state"] for row in rows if row.get("name") == name)

        def all_talk():
            for net in NET:
                overlay.ping(f"h1{net}", guest_ip(2, net))
                overlay.ping(f"h2{net}", guest_ip(1, net, 6))
        eventually(lambda: state_of("tep0") == state_of("tep1") == "up", "both VTEPs work", 15.0)
        all_talk()
        for cable, name in (("c-h1", "tep0"), ("c-h1b", "tep1")):
            overlay.net["fabric"].ip("link", "set", cable, "down")
            eventually(lambda name=name: state_of(name) == "down", f"{name} is cut off", 10.0)
            all_talk()
            overlay.net["fabric"].ip("link", "set", cable, "up")
            eventually(lambda name=name: state_of(name) == "up", f"{name} works again", 20.0)
            all_talk()


@pytest.fixture(name="mixed", scope="module")
def _mixed():
    """Two hosts, and in place of a third one Linux's own vxlan device in VNI 5001, without a router."""
    with Overlay(hosts=2, others=("linux",), remotes=["172.16.0.9"]) as overlay:
        linux = overlay.net["linux"]
        linux.ip("addr", "add", "172.16.0.9/24", "dev", "eth0")
        linux.ip("link", "add", "vx", "address", "02:00:00:00:01:09", "type", "vxlan", "id", VNI["web"], "dev", "eth0",
                 "dstport", 4789, "local", "172.16.0.9")
        run("ip", "netns", "exec", linux.name, "ethtool", "-K", "vx", "tx", "off")
        for host in overlay.hosts:
            run("bridge", "-n", linux.name, "fdb", "append", "00:00:00:00:00:00", "dev", "vx", "dst", vtep_ip(host))
        linux.ip("link", "set", "vx", "mtu", 1500, "up")
        linux.ip("addr", "add", "10.0.1.9/24", "dev", "vx")
        linux.ip("addr", "add", "2001:db8:1::9/64", "dev", "vx", "nodad")
        overlay.add_default_routes("linux", "web")
        yield overlay
        for daemon in overlay.daemons.values():
            daemon.assert_books_balance()


@pytest.mark.parametrize("guest", [(host, net) for host in (1, 2) for net in NET], ids=name_of)
@pytest.mark.parametrize("family, linux", [(4, "10.0.1.9"), (6, "2001:db8:1::9")])
def test_a_foreign_vtep_takes_part_in_both_networks(mixed, guest, family, linux):
    """In its own network, and in the other one through the router of some host; both directions, and TCP."""
    mixed.ping("linux", guest_ip(*guest, family))
    mixed.ping(name_of(guest), linux)
    payload = os.urandom(1 << 21)
    with TcpEcho(mixed.net[name_of(guest)], guest_ip(*guest, family)):
        assert tcp_round_trip(mixed.net["linux"], guest_ip(*guest, family), payload) == payload
    with TcpEcho(mixed.net["linux"], linux):
        assert tcp_round_trip(mixed.net[name_of(guest)], linux, payload) == payload
