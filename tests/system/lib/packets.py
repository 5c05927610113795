# SPDX-License-Identifier: Apache-2.0
"""Frames written as one reads them, with right lengths and checksums unless told otherwise; no import costs.

    frame(src=A, dst=B).vlan(10).ipv4("10.0.0.1", "10.0.0.2").tcp(sport=1000, dport=80, flags="S")
    frame(src=A, dst=B).ipv6("2001:db8::1", "2001:db8::2").udp(sport=1, dport=53, payload=b"?")
    frame(src=A).arp("10.0.0.1", "10.0.0.2")
    frame(src=A).ipv6(LL, solicited_node(T), hop_limit=255).nd_solicit(T, source_mac=A)

Each step returns a new Frame; bytes(frame) is what goes on the wire (no FCS, not padded: see pad). A field given as None
is computed; given a number, it is written as it is, right or wrong. describe(bytes) is the reverse, for messages.
"""

import ipaddress
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"
TCP_FLAGS = "FSRPAUEC"  # From the lowest bit.
PROTOCOL_NAMES = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmpv6", 132: "sctp"}


def mac(text):
    """6 bytes of "02:00:00:00:00:01" (bytes pass through)."""
    return bytes(text) if isinstance(text, (bytes, bytearray)) else bytes.fromhex(text.replace(":", ""))


def ip(text):
    """4 or 16 bytes of an address."""
    return ipaddress.ip_address(text).packed


def checksum(data):
    """Internet checksum (RFC 1071) of bytes."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def solicited_node(address):
    """Solicited-node multicast address of an IPv6 address (RFC 4291 §2.7.1)."""
    return str(ipaddress.IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + ip(address)[13:]))


def multicast_mac(address):
    """MAC of an IPv4 (RFC 1112 §6.4) or IPv6 (RFC 2464 §7) multicast address."""
    packed = ip(address)
    if len(packed) == 4:
        return "01:00:5e:" + ":".join(f"{b:02x}" for b in bytes([packed[1] & 0x7F]) + packed[2:])
    return "33:33:" + ":".join(f"{b:02x}" for b in packed[12:])


def link_local(address):
    """The EUI-64 link-local IPv6 address of a MAC (RFC 4291 appendix A)."""
    m = mac(address)
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + bytes([m[0] ^ 2]) + m[1:3] + b"\xff\xfe" + m[3:]))


def tcp_flags(text):
    """Number of "SA"."""
    return sum(1 << TCP_FLAGS.index(one) for one in text)


def frame(src="02:00:00:00:00:01", dst=BROADCAST, ethertype=None):
    """Starts a frame. `ethertype`: only to override what the next layer says, or for raw()."""
    return Frame([_Ethernet(mac(dst), mac(src), ethertype)])


class Frame:
    """An immutable stack of layers, outermost first."""

    def __init__(self, layers, padded_to=0, partial=None, trailer=b""):
        self._layers = layers
        self._padded_to = padded_to
        self._partial = partial
        self._trailer = trailer

    def _with(self, layer):
        return Frame(self._layers + [layer], self._padded_to, self._partial, self._trailer)

    def _last_ip(self):
        return next((layer for layer in reversed(self._layers) if isinstance(layer, (_Ipv4, _Ipv6))), None)

    # Layers

    def vlan(self, vid, pcp=0, tpid=0x8100):
        """An 802.1Q tag. Twice for QinQ (the outer with tpid=0x88a8)."""
        return self._with(_Vlan(vid | pcp << 13, tpid))

    def ipv4(self, src, dst, ttl=64, dscp=0, ident=1, df=False, mf=False, offset=0, protocol=None, options=b"", ihl=None,
             total_length=None, header_checksum=None, ecn=0):
        """`offset` in bytes, a multiple of 8. `options` are padded to 4 bytes."""
        return self._with(_Ipv4(ip(src), ip(dst), ttl, dscp << 2 | ecn, ident, df << 14 | mf << 13 | offset // 8, protocol,
                                options + bytes(-len(options) % 4), ihl, total_length, header_checksum))

    def ipv6(self, src, dst, hop_limit=64, dscp=0, next_header=None, payload_length=None, flow_label=0):
        return self._with(_Ipv6(ip(src), ip(dst), hop_limit, dscp << 2, next_header, payload_length, flow_label))

    def ipv6_extension(self, kind, body=bytes(6)):
        """An extension header: 0 hop-by-hop, 43 routing, 60 destination. `body` has 6 + 8n bytes."""
        return self._with(_Extension(kind, body))

    def ipv6_fragment(self, offset=0, mf=False, ident=1):
        """A fragment header; `offset` in bytes, a multiple of 8."""
        return self._with(_Fragment(offset, mf, ident))

    def tcp(self, sport=1000, dport=80, flags="S", seq=0, ack=0, window=65535, options=b"", payload=b"", urgent=0,
            data_offset=None, tcp_checksum=None):
        options = options + bytes(-len(options) % 4)
        return self._with(_Tcp(sport, dport, tcp_flags(flags), seq, ack, window, options, payload, urgent, data_offset,
                               tcp_checksum))

    def udp(self, sport=1000, dport=53, payload=b"", length=None, udp_checksum=None):
        return self._with(_Udp(sport, dport, payload, length, udp_checksum))

    def icmp(self, kind=8, code=0, ident=1, seq=1, payload=b"", icmp_checksum=None):
        """Echo and the like. An error has the offending packet as `payload` and ident=seq=0 (the MTU is `seq`)."""
        return self._with(_Icmp(1, kind, code, struct.pack("!HH", ident, seq) + payload, icmp_checksum))

    def icmpv6(self, kind=128, code=0, ident=1, seq=1, payload=b"", icmp_checksum=None):
        return self._with(_Icmp(58, kind, code, struct.pack("!HH", ident, seq) + payload, icmp_checksum))

    def nd_solicit(self, target, source_mac=None, options=b""):
        """Neighbour solicitation (RFC 4861 §4.3) after ipv6(..., hop_limit=255). No source_mac: as DAD sends it."""
        option = b"\x01\x01" + mac(source_mac) if source_mac else b""
        return self._with(_Icmp(58, 135, 0, bytes(4) + ip(target) + option + options, None))

    def nd_advertise(self, target, target_mac=None, router=False, solicited=True, override=True, options=b""):
        """Neighbour advertisement (RFC 4861 §4.4)."""
        option = b"\x02\x01" + mac(target_mac) if target_mac else b""
        flags = router << 31 | solicited << 30 | override << 29
        return self._with(_Icmp(58, 136, 0, struct.pack("!I", flags) + ip(target) + option + options, None))

    def arp(self, sender_ip, target_ip, op="request", sender_mac=None, target_mac=None):
        """op: "request", "reply" or a number. sender_mac: by default the frame's source; target_mac: zero, or the
        frame's destination in a reply."""
        ethernet = self._layers[0]
        number = {"request": 1, "reply": 2}.get(op, op)
        sender = mac(sender_mac) if sender_mac else ethernet.src
        target = mac(target_mac) if target_mac else (bytes(6) if number == 1 else ethernet.dst)
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, number) + sender + ip(sender_ip) + target + ip(target_ip)
        return self._with(_Raw(body, 0x0806))

    def raw(self, payload, ethertype=None):
        """Bytes as they are; `ethertype` if they follow Ethernet or a tag directly."""
        return self._with(_Raw(bytes(payload), ethertype))

    # The whole

    def pad(self, size=60):
        """Zero bytes behind the packet up to `size` bytes in all (60: the Ethernet minimum without FCS)."""
        return Frame(self._layers, size, self._partial, self._trailer)

    def trailer(self, data):
        """Bytes behind the packet that belong to none of its layers."""
        return Frame(self._layers, self._padded_to, self._partial, bytes(data))

    def offload(self, gso_size=0, **changes):
        """(frame, header): the TCP or UDP checksum is left to the device, as a guest with checksum offload sends it;
        with gso_size a TCP frame is to be segmented. Use: vm.send(f, **h) with f, h = frame(...).offload()."""
        partial = Frame(self._layers, self._padded_to, True, self._trailer)
        transport = self._layers[-1]
        start = len(bytes(self)) - len(self._trailer) - transport.size()
        header = {"flags": 1, "csum_start": start, "csum_offset": transport.checksum_at}
        if gso_size:
            kind = 1 if isinstance(self._last_ip(), _Ipv4) else 4
            header.update(gso_type=kind, gso_size=gso_size, hdr_len=start + transport.header_size())
        return partial, {**header, **changes}

    def __bytes__(self):
        data = b""
        for index in range(len(self._layers) - 1, -1, -1):
            above = self._layers[:index]
            network = next((one for one in reversed(above) if isinstance(one, (_Ipv4, _Ipv6))), None)
            following = self._layers[index + 1] if index + 1 < len(self._layers) else None
            data = self._layers[index].encode(data, following, network, self._partial)
        data += self._trailer
        return data + bytes(max(self._padded_to - len(data), 0))

    def __len__(self):
        return len(bytes(self))

    def __eq__(self, other):
        return isinstance(other, (Frame, bytes)) and bytes(self) == bytes(other)

    def __hash__(self):
        return hash(bytes(self))

    def __repr__(self):
        return describe(bytes(self))


# Layers. Each has `ethertype` and `protocol`, what the layer below calls it, and encode(data behind it, next layer,
# the IP layer that carries it, partial checksum wanted).

class _Layer:
    ethertype = 0
    protocol = 59  # No next header.


class _Ethernet(_Layer):
    def __init__(self, dst, src, ethertype):
        self.dst, self.src, self.override = dst, src, ethertype

    def encode(self, data, following, network, partial):
        kind = self.override if self.override is not None else (following.ethertype if following else 0)
        return self.dst + self.src + struct.pack("!H", kind) + data


class _Vlan(_Layer):
    def __init__(self, tci, tpid):
        self.tci, self.ethertype = tci, tpid

    def encode(self, data, following, network, partial):
        return struct.pack("!HH", self.tci, following.ethertype if following else 0) + data


class _Ipv4(_Layer):
    ethertype = 0x0800
    protocol = 4

    def __init__(self, src, dst, ttl, tos, ident, fragment, proto, options, ihl, total_length, header_checksum):
        self.src, self.dst, self.ttl, self.tos, self.ident, self.fragment = src, dst, ttl, tos, ident, fragment
        self.proto, self.options, self.ihl, self.total_length = proto, options, ihl, total_length
        self.header_checksum = header_checksum

    def pseudo_header(self, protocol, size):
        return self.src + self.dst + struct.pack("!HH", protocol, size)

    def encode(self, data, following, network, partial):
        size = 20 + len(self.options)
        protocol = self.proto if self.proto is not None else (following.protocol if following else 59)
        total = self.total_length if self.total_length is not None else size + len(data)
        words = self.ihl if self.ihl is not None else size // 4
        head = struct.pack("!BBHHHBB", 0x40 | words, self.tos, total, self.ident, self.fragment, self.ttl, protocol)
        addresses = self.src + self.dst + self.options
        right = checksum(head + b"\0\0" + addresses)
        return head + struct.pack("!H", right if self.header_checksum is None else self.header_checksum) + addresses + data


class _Ipv6(_Layer):
    ethertype = 0x86DD
    protocol = 41

    def __init__(self, src, dst, hop_limit, traffic_class, next_header, payload_length, flow_label):
        self.src, self.dst, self.hop_limit, self.traffic_class = src, dst, hop_limit, traffic_class
        self.next_header, self.payload_length, self.flow_label = next_header, payload_length, flow_label

    def pseudo_header(self, protocol, size):
        return self.src + self.dst + struct.pack("!II", size, protocol)

    def encode(self, data, following, network, partial):
        kind = self.next_header if self.next_header is not None else (following.protocol if following else 59)
        size = self.payload_length if self.payload_length is not None else len(data)
        word = 6 << 28 | self.traffic_class << 20 | self.flow_label
        return struct.pack("!IHBB", word, size, kind, self.hop_limit) + self.src + self.dst + data


class _Extension(_Layer):
    def __init__(self, kind, body):
        self.protocol, self.body = kind, body

    def encode(self, data, following, network, partial):
        kind = following.protocol if following else 59
        return bytes([kind, (len(self.body) - 6) // 8]) + self.body + data


class _Fragment(_Layer):
    protocol = 44

    def __init__(self, offset, mf, ident):
        self.offset, self.mf, self.ident = offset, mf, ident

    def encode(self, data, following, network, partial):
        return struct.pack("!BBHI", following.protocol if following else 59, 0, self.offset | self.mf, self.ident) + data


class _Transport(_Layer):
    checksum_at = 0

    def size(self):
        return self.header_size() + len(self.payload)

    def finish(self, data, network, partial, given):
        """Writes the checksum of `data`, whose checksum field is zero."""
        pseudo = network.pseudo_header(self.protocol, len(data)) if network else b""
        if given is not None:
            value = given
        elif partial:
            value = ~checksum(pseudo) & 0xFFFF
        else:
            value = checksum(pseudo + data)
            if value == 0 and self.protocol == 17:
                value = 0xFFFF
        return data[:self.checksum_at] + struct.pack("!H", value) + data[self.checksum_at + 2:]


class _Tcp(_Transport):
    protocol = 6
    checksum_at = 16

    def __init__(self, sport, dport, flags, seq, ack, window, options, payload, urgent, data_offset, given):
        self.sport, self.dport, self.flags, self.seq, self.ack, self.window = sport, dport, flags, seq, ack, window
        self.options, self.payload, self.urgent, self.data_offset, self.given = options, payload, urgent, data_offset, given

    def header_size(self):
        return 20 + len(self.options)

    def encode(self, data, following, network, partial):
        words = self.header_size() // 4 if self.data_offset is None else self.data_offset
        head = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq & 0xFFFFFFFF, self.ack & 0xFFFFFFFF, words << 4,
                           self.flags, self.window, 0, self.urgent)
        return self.finish(head + self.options + self.payload + data, network, partial, self.given)


class _Udp(_Transport):
    protocol = 17
    checksum_at = 6

    def __init__(self, sport, dport, payload, length, given):
        self.sport, self.dport, self.payload, self.length, self.given = sport, dport, payload, length, given

    def header_size(self):
        return 8

    def encode(self, data, following, network, partial):
        body = self.payload + data
        size = 8 + len(body) if self.length is None else self.length
        return self.finish(struct.pack("!HHHH", self.sport, self.dport, size, 0) + body, network, partial, self.given)


class _Icmp(_Transport):
    checksum_at = 2

    def __init__(self, protocol, kind, code, rest, given):
        self.protocol, self.kind, self.code, self.payload, self.given = protocol, kind, code, rest, given

    def header_size(self):
        return 4

    def encode(self, data, following, network, partial):
        body = struct.pack("!BBH", self.kind, self.code, 0) + self.payload + data
        carrier = network if self.protocol == 58 else None  # ICMP for IPv4 has no pseudo-header.
        return self.finish(body, carrier, partial, self.given)


class _Raw(_Layer):
    def __init__(self, payload, ethertype):
        self.payload = payload
        self.ethertype = ethertype if ethertype is not None else 0x88B5  # Local experimental.

    def encode(self, data, following, network, partial):
        return self.payload + data


# Reading

def fields(data):
    """What a frame says, as a dict of the keys that apply: dst, src, vlans, ethertype, ip_src, ip_dst, protocol, ttl,
    dscp, fragment, sport, dport, flags, seq, ack, window, icmp_type, icmp_code, payload, arp_op, arp_sender_mac,
    arp_sender_ip, arp_target_mac, arp_target_ip, nd_target. Stops at the first header that is cut off."""
    data = bytes(data)
    out = {"dst": data[:6].hex(":"), "src": data[6:12].hex(":"), "vlans": []}
    try:
        at, kind = 14, int.from_bytes(data[12:14], "big")
        while kind in (0x8100, 0x88A8):
            tci, kind = struct.unpack_from("!HH", data, at)
            out["vlans"].append(tci & 0xFFF)
            at += 4
        out["ethertype"] = kind
        if kind == 0x0806:
            _read_arp(out, data, at)
        elif kind == 0x0800:
            _read_ipv4(out, data, at)
        elif kind == 0x86DD:
            _read_ipv6(out, data, at)
        else:
            out["payload"] = data[at:]
    except struct.error:
        pass
    return out


def _text(packed):
    return str(ipaddress.ip_address(bytes(packed)))


def _read_arp(out, data, at):
    op, sender_mac, sender_ip, target_mac, target_ip = struct.unpack_from("!6xH6s4s6s4s", data, at)
    out.update(arp_op=op, arp_sender_mac=sender_mac.hex(":"), arp_sender_ip=_text(sender_ip),
               arp_target_mac=target_mac.hex(":"), arp_target_ip=_text(target_ip))


def _read_ipv4(out, data, at):
    version, tos, total, _, fragment, ttl, protocol, _, src, dst = struct.unpack_from("!BBHHHBBH4s4s", data, at)
    out.update(ip_src=_text(src), ip_dst=_text(dst), protocol=protocol, ttl=ttl, dscp=tos >> 2,
               fragment=(fragment & 0x1FFF) * 8, more_fragments=bool(fragment & 0x2000))
    if not fragment & 0x1FFF:
        _read_transport(out, data[:at + total], at + (version & 15) * 4, protocol)


def _read_ipv6(out, data, at):
    word, size, protocol, hop_limit, src, dst = struct.unpack_from("!IHBB16s16s", data, at)
    out.update(ip_src=_text(src), ip_dst=_text(dst), ttl=hop_limit, dscp=word >> 22 & 63)
    end, at = at + 40 + size, at + 40
    while protocol in (0, 43, 60):
        following, length = struct.unpack_from("!BB", data, at)
        protocol, at = following, at + 8 + 8 * length
    if protocol == 44:
        protocol, offset = struct.unpack_from("!BxH", data, at)
        out.update(fragment=offset & 0xFFF8, more_fragments=bool(offset & 1))
        at += 8
    out["protocol"] = protocol
    if not out.get("fragment"):
        _read_transport(out, data[:end], at, protocol)


def _read_transport(out, data, at, protocol):
    if protocol == 6:
        sport, dport, seq, ack, words, flags, window = struct.unpack_from("!HHIIBBH4x", data, at)
        text = "".join(name for bit, name in enumerate(TCP_FLAGS) if flags >> bit & 1)
        out.update(sport=sport, dport=dport, seq=seq, ack=ack, flags=text, window=window, payload=data[at + (words >> 4) * 4:])
    elif protocol == 17:
        sport, dport = struct.unpack_from("!HH4x", data, at)
        out.update(sport=sport, dport=dport, payload=data[at + 8:])
    elif protocol in (1, 58):
        kind, code, _ = struct.unpack_from("!BBH", data, at)
        out.update(icmp_type=kind, icmp_code=code, payload=data[at + 8:])
        if protocol == 58 and kind in (135, 136):
            out["nd_target"] = _text(struct.unpack_from("!16s", data, at + 8)[0])
    else:
        out["payload"] = data[at:]


def describe(data):
    """One line for a test's message: "02:..:01>02:..:02 10.0.0.1:1000>10.0.0.2:80 tcp S payload 0, 54 bytes"."""
    data = bytes(data)
    f = fields(data)
    words = [f"{f['src']}>{f['dst']}"] + [f"vlan {vid}" for vid in f["vlans"]]
    if "arp_op" in f:
        words.append(f"arp op {f['arp_op']} {f['arp_sender_mac']}/{f['arp_sender_ip']}>"
                     f"{f['arp_target_mac']}/{f['arp_target_ip']}")
    elif "ip_src" in f:
        ports = (f":{f['sport']}", f":{f['dport']}") if "sport" in f else ("", "")
        words.append(f"{f['ip_src']}{ports[0]}>{f['ip_dst']}{ports[1]}")
        words.append(PROTOCOL_NAMES.get(f.get("protocol"), str(f.get("protocol"))))
        if "flags" in f:
            words.append(f"{f['flags'] or 'none'} seq {f['seq']} ack {f['ack']}")
        if "icmp_type" in f:
            words.append(f"type {f['icmp_type']} code {f['icmp_code']}")
        if f.get("fragment") or f.get("more_fragments"):
            words.append(f"fragment at {f.get('fragment')}")
        if "payload" in f:
            words.append(f"payload {len(f['payload'])}")
    elif "ethertype" in f:
        words.append(f"ethertype 0x{f['ethertype']:04x}")
    return " ".join(words) + f", {len(data)} bytes"
