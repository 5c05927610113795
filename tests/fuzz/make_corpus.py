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


SEEDS = {"fuzz_parse": parse_seeds, "fuzz_dhcp": dhcp_seeds, "fuzz_nd": nd_seeds, "fuzz_fragments": fragment_seeds}


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


if __name__ == "__main__":
    main()
