# SPDX-License-Identifier: Apache-2.0
"""Does the firewall hold? Frames that the policy must drop are sent before a contestant is measured; each is followed by
one that must arrive, and that one must come first: one worker keeps order. A contestant that fails is never a number."""

from frontend import FrontendError, FrontendProcess
from machine import Failure, wait_for
from packets import frame
from policy import IPS, MACS

ATTACH_TIMEOUT = 10.0


def _from(guest, source_ip=None, source_mac=None):
    other = "b" if guest == "a" else "a"
    return frame(src=source_mac or MACS[guest], dst=MACS[other]).ipv4(source_ip or IPS[guest], IPS[other])


ALLOWED = [
    ("UDP from A", "a", _from("a").udp(40000, 5000, b"allowed-1")),
    ("its answer from B", "b", _from("b").udp(5000, 40000, b"allowed-2")),
    ("a SYN from A to port 80", "a", _from("a").tcp(40001, 80, "S")),
    ("its SYN-ACK from B", "b", _from("b").tcp(80, 40001, "SA", seq=7, ack=1)),
]
FORBIDDEN = [
    ("TCP to a port that no rule allows", "a", _from("a").tcp(40002, 443, "S")),
    ("telnet, which the ACL denies", "a", _from("a").tcp(40003, 23, "S")),
    ("a spoofed source address", "a", _from("a", source_ip="10.0.77.1").udp(40000, 5000, b"spoofed-1")),
    ("a spoofed source MAC", "a", _from("a", source_mac="02:00:00:00:00:77").udp(40000, 5000, b"spoofed-2")),
    ("an answer from B that nobody asked for", "b", _from("b").udp(5000, 41111, b"unsolicited")),
    ("a connection that B opens", "b", _from("b").tcp(40004, 80, "S")),
    ("a SYN-ACK from B without a SYN", "b", _from("b").tcp(80, 40005, "SA", seq=7, ack=1)),
]
MARKERS = {"a": ALLOWED[0][2], "b": ALLOWED[1][2]}


def check(switch):
    """Failure with the first frame that got a wrong verdict."""
    mode = "server" if switch.listens else "client"
    try:
        with FrontendProcess() as process:
            guests = {name: process.open(name, switch.socket_path(name), mode=mode, wait=False) for name in MACS}
            for guest in guests.values():
                guest.wait_ready(ATTACH_TIMEOUT)
            wait_for(lambda: _passes(guests), "the first allowed frame arrived", ATTACH_TIMEOUT)
            probe(guests)
    except (FrontendError, AssertionError, Failure) as error:
        raise Failure(f"the firewall test of {switch.name} failed: {str(error).splitlines()[0]}") from None


def _passes(guests):
    """A switch takes both ports into service some time after they are attached."""
    guests["a"].send(MARKERS["a"])
    return guests["b"].drain(0.1)


def probe(guests):
    """AssertionError names what arrived and must not, or did not arrive and must."""
    for what, sender, sent in ALLOWED:
        guests[sender].send(sent)
        assert _first_at(guests, sender, sent) == bytes(sent), f"{what} did not arrive"
    for what, sender, sent in FORBIDDEN:
        guests[sender].send(sent)
        guests[sender].send(MARKERS[sender])
        assert _first_at(guests, sender, MARKERS[sender]) == bytes(MARKERS[sender]), f"{what} arrived, or nothing did"


def _first_at(guests, sender, sent):
    received = guests["b" if sender == "a" else "a"].receive(1, 3.0)
    return received[0].frame[:len(bytes(sent))] if received else None
