#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of the fuzz targets, made of the conformance cases: make_corpus.py FOLDER.

One folder a target, one file a seed, named after what is in it, so that running it again changes nothing.
"""

import hashlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "..", "system", "cases", "firewall.json")
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
UDP, ICMPV6 = 17, 58


def ethertype(frame):
    return int.from_bytes(frame[12:14], "big")


def udp_payload(frame):
    """(is IPv6, source port, payload) of a UDP frame without tag, options and extension headers; else None."""
    if ethertype(frame) == IPV4 and len(frame) > 42 and frame[14] == 0x45 and frame[23] == UDP:
        return False, int.from_bytes(frame[34:36], "big"), frame[42:]
    if ethertype(frame) == IPV6 and len(frame) > 62 and frame[20] == UDP:
        return True, int.from_bytes(frame[54:56], "big"), frame[62:]
    return None


def parse_seeds(case):
    for step in case:
        yield b"\x01" + step
        yield b"\x04" + step


def dhcp_seeds(case):
    for step in case:
        found = udp_payload(step)
        if found and found[1] in (67, 68, 546, 547):
            yield bytes([found[0] | (found[1] in (67, 547)) << 1]) + found[2]


def nd_seeds(case):
    for step in case:
        if ethertype(step) == ARP:
            yield b"\x03\x00" + step[14:]
        if ethertype(step) == IPV6:
            yield (b"\x00\x00" if step[20] == ICMPV6 else bytes([1, step[20]])) + step[54:]


def vxlan_seeds(case):
    """Tunnelled frames, and the same with a tag (0x80: the VTEP of VLAN 10) or cut in two."""
    for step in case:
        if step[36:38] == b"\x12\xb5":
            yield b"\x01" + step
            yield b"\x24" + step
            yield b"\x81" + step[:12] + b"\x81\x00\x00\x0a" + step[12:]


def fragment_seeds(case):
    """The whole case from one vNIC: operation 4 takes a frame as it is."""
    if len(case) > 1:
        yield b"".join(b"\x04" + len(step).to_bytes(2, "big") + step for step in case if len(step) < 1600)


def fragment_orders():
    """Pieces of each kind of datagram in order, in reverse, twice, and with a gap; IPv4 and IPv6."""
    for what in (0x05, 0x15):
        for ident in range(4):
            pieces = [bytes([what, ident, where, 7]) for where in (0x20, 0x28, 0x10)]
            yield b"".join(pieces)
            yield b"".join(reversed(pieces))
            yield b"".join(pieces + pieces)
            yield pieces[0] + pieces[2] + b"\x00\xff\x01\xff" + pieces[1]


def underlay_seeds(case):
    """ARP and ICMPv6 of the case, each as a script of one frame: kind, where it is cut, size."""
    for step in case:
        if ethertype(step) == ARP:
            yield bytes([0, 0, len(step) - 14]) + step[14:]
        if ethertype(step) == IPV6 and step[20] == ICMPV6 and len(step) - 54 < 256:
            yield bytes([2, 0, len(step) - 54]) + step[54:]


def underlay_talk():
    """Answers to the VTEP's questions, then echo, an ICMP error, and BFD on its way up."""
    arp = bytes.fromhex("0001080006040002" "020000000001" "0a000001" "020000000002" "0a000002")
    echo = bytes.fromhex("0800000000070001") + bytes(16)
    error = bytes.fromhex("0304000000000578" "45000064000040004011" "0000" "0a000002" "0a000001" "c00012b500500000")
    bfd = bytes.fromhex("2040031800000007" "00000000" "000f4240" "000186a0" "00000000")
    steps = [bytes([0, 0, len(arp)]) + arp, b"\x05\x05", bytes([1, 0, len(echo)]) + echo,
             bytes([1, 0, len(error)]) + error, bytes([3, 0, len(bfd)]) + bfd, b"\x05\x10"]
    yield b"".join(steps)
    yield from steps


def ovsdb_sessions():
    """What a server answers to the client's first requests, then updates; and a second connection after nonsense."""
    text = {"type": "string"}
    many = {"min": 0, "max": "unlimited"}
    columns = {"name": text, "rates": {"type": {"key": "real", **many}}, "maybe": {"type": {"key": "uuid", "min": 0}},
               "items": {"type": {"key": "string", "value": "string", **many}}}
    schema = {"name": "Test", "tables": {"Thing": {"columns": columns}, "Other": {"columns": {"name": text}}}}
    row = "43002375-98cd-45ea-b3c7-1a4e8769cced"
    server = {"Database": {row: {"initial": {"name": "Test", "model": "clustered", "connected": True, "leader": True,
                                             "cid": ["uuid", row]}}}}
    whole = {"Thing": {row: {"initial": {"name": "a", "rates": ["set", [1, 1.5]], "items": ["map", [["k", "v"]]]}}}}
    answers = [{}, [False, "0", server], schema, [{"rows": [{"index": 7}]}], [False, row, whole]]
    session = [{"id": number, "result": result, "error": None} for number, result in enumerate(answers, 1)]
    changes = [{"modify": {"items": ["map", [["k", "w"], ["l", "v"]]], "rates": 1}}, {"insert": {"name": "b"}}, {"delete": None}]
    for change in changes:
        session.append({"id": None, "method": "update3", "params": ["Test/1", row, {"Thing": {row: change}}]})
    session += [{"id": 6, "result": {}}, {"id": 7, "result": [{"count": 1}]}, {"id": "e", "method": "echo", "params": []},
                {"id": None, "method": "stolen", "params": ["l"]}, {"id": None, "method": "monitor_canceled", "params": []}]
    parts = [json.dumps(message, separators=(",", ":")).encode() for message in session]
    yield b"".join(parts)
    yield b"".join(parts[:5]) + b"?" + b"".join(parts)
    for end in range(1, len(parts)):
        yield b"".join(parts[:end])


def bfd_packets():
    """Down, Init, Up, one with authentication (which must be discarded), one of another version, one that is short."""
    for flags in (0x40, 0x80, 0xC0, 0xC4):
        yield bytes.fromhex(f"20{flags:02x}0318" "00000007" "00000008" "000f4240" "000186a0" "00000000")
    yield bytes.fromhex("40c00318" "00000007" "00000008" "000f4240" "000186a0" "00000000")
    yield bytes.fromhex("20c00317" "00000007")


def esp_scripts():
    """Seal and deliver, twice, changed, out of order; both families and kinds of keys; nobody's frame."""
    for kind in (0, 1):
        for what in (0, 1, 2, 3):
            seal = bytes([0, what, 40]) + bytes(range(40))
            deliver = bytes([3, 0, 0, 0, 0, 0])
            yield bytes([kind]) + seal + deliver + deliver
            yield bytes([kind]) + seal + bytes([3, 0, 0, 60, 1, 0]) + deliver
            yield bytes([kind]) + seal * 3 + bytes([3, 2, 0, 0, 0, 0]) + deliver + bytes([3, 1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 130])
        yield bytes([kind, 7, 0, 40]) + bytes.fromhex("83010010" "00000001" "0000000000000001") + bytes(24)


def rpc_lines():
    """Calls, a notification, and what is refused."""
    for text in ('{"jsonrpc":"2.0","id":1,"method":"status","params":{}}', '{"jsonrpc":"2.0","method":"status"}',
                 '{"jsonrpc":"2.0","id":"x","method":"apply","params":{"document":{"ports":[]}}}', "[]", "{}", '{"id":1,"id":2}',
                 '{"jsonrpc":"2.0","id":null,"method":"show.ports","params":[1]}', '{"a":' * 40 + "1" + "}" * 40, r'"\ud800"', ""):
        yield text.encode()


def documents():
    """The documents that the product ships."""
    folder = os.path.join(HERE, "..", "..", "docs", "examples")
    yield b"{}"
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), "rb") as file:
                yield json.dumps(json.loads(file.read()), separators=(",", ":")).encode()


SEEDS = {"fuzz_parse": parse_seeds, "fuzz_dhcp": dhcp_seeds, "fuzz_nd": nd_seeds, "fuzz_fragments": fragment_seeds,
         "fuzz_vxlan": vxlan_seeds, "fuzz_underlay": underlay_seeds}

# Not made of cases.
OWN_SEEDS = {"fuzz_ovsdb": ovsdb_sessions, "fuzz_bfd": bfd_packets, "fuzz_esp": esp_scripts, "fuzz_rpc": rpc_lines,
             "fuzz_document": documents}


def write(folder, seed):
    with open(os.path.join(folder, hashlib.sha1(seed).hexdigest()), "wb") as file:
        file.write(seed)


def main():
    with open(CASES, encoding="utf-8") as file:
        cases = [[bytes.fromhex(step["frame"]) for step in case["steps"]] for case in json.load(file)["cases"]]
    for target, seeds_of in SEEDS.items():
        folder = os.path.join(sys.argv[1], target)
        os.makedirs(folder, exist_ok=True)
        for case in cases:
            for seed in seeds_of(case):
                write(folder, seed)
    for seed in fragment_orders():
        write(os.path.join(sys.argv[1], "fuzz_fragments"), seed)
    for target, seeds in OWN_SEEDS.items():
        os.makedirs(os.path.join(sys.argv[1], target), exist_ok=True)
        for seed in seeds():
            write(os.path.join(sys.argv[1], target), seed)
    for seed in underlay_talk():
        write(os.path.join(sys.argv[1], "fuzz_underlay"), seed)


if __name__ == "__main__":
    main()
