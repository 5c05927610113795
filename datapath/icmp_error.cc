// SPDX-License-Identifier: Apache-2.0
// ICMP errors: see icmp_error.h.
#include "datapath/icmp_error.h"

#include <algorithm>

#include "datapath/packet_writer.h"
#include "datapath/tunnel.h"
#include "datapath/tunnel_mark.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kIcmpHeaderSize = 8;
constexpr std::uint32_t kIpv4AnswerMax = 576;   // The whole datagram (RFC 1812 §4.3.2.3).
constexpr std::uint32_t kIpv6AnswerMax = 1280;  // The whole packet (RFC 4443 §2.4 (c)).
constexpr std::uint8_t kRedirect6 = 137;

struct TypeAndCode {
    std::uint8_t type, code;
};

TypeAndCode type_of(IcmpErrorKind kind, IpFamily family) noexcept {
    const bool is_v4 = family == IpFamily::kV4;
    switch (kind) {
        case IcmpErrorKind::kTimeExceeded: return is_v4 ? TypeAndCode{11, 0} : TypeAndCode{3, 0};
        case IcmpErrorKind::kNetUnreachable: return is_v4 ? TypeAndCode{3, 0} : TypeAndCode{1, 0};
        case IcmpErrorKind::kHostUnreachable: return is_v4 ? TypeAndCode{3, 1} : TypeAndCode{1, 3};
        case IcmpErrorKind::kPortUnreachable: return is_v4 ? TypeAndCode{3, 3} : TypeAndCode{1, 4};
        case IcmpErrorKind::kProhibited: return is_v4 ? TypeAndCode{3, 13} : TypeAndCode{1, 1};
        case IcmpErrorKind::kTooBig: break;
    }
    return is_v4 ? TypeAndCode{3, 4} : TypeAndCode{2, 0};
}

/// One host, as a source and as a destination.
bool is_one_host(const std::uint8_t* ip, IpFamily family) noexcept {
    if (family == IpFamily::kV6) {
        static constexpr std::uint8_t kUnspecified[16] = {};
        return ip[0] != 0xff && std::memcmp(ip, kUnspecified, sizeof kUnspecified) != 0;
    }
    return ip[12] != 0 && ip[12] != 127 && ip[12] < 224;
}

bool is_icmp_query(std::uint8_t type, IpFamily family) noexcept {
    if (family == IpFamily::kV6) { return type >= 128 && type != kRedirect6; }
    return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/// Bytes of the IP packet by its own header: what lies behind it in the frame is padding.
std::uint32_t packet_size(const ParsedFrame& frame) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    const std::uint32_t size =
        frame.key.has(kKeyIpv4) ? load_be16(ip + 2) : kIpv6Size + load_be16(ip + 4);
    return std::min(size, frame.frame_size - frame.l3_offset);
}

/// How much of the offender the sender's link can carry back in an error.
std::uint32_t quoted_size(const WorkerContext& context, const ParsedFrame& offender) noexcept {
    const IpFamily family = offender.key.family();
    const std::uint32_t mtu =
        context.snapshot->port(offender.key.port)->frame_size_max - kEthernetSize;
    const std::uint32_t allowed =
        std::min(mtu, family == IpFamily::kV4 ? kIpv4AnswerMax : kIpv6AnswerMax);
    return std::min(packet_size(offender), allowed - ip_size_of(family) - kIcmpHeaderSize);
}

// RFC 1191 §4: the MTU in the second half of the word; RFC 4443 §3.2: in all of it.
void write_icmp(std::uint8_t* icmp, const IcmpError& error, const rte_mbuf& frame,
                const ParsedFrame& offender, std::uint32_t quoted) noexcept {
    const TypeAndCode what = type_of(error.kind, offender.key.family());
    icmp[0] = what.type;
    icmp[1] = what.code;
    if (error.kind == IcmpErrorKind::kTooBig) { store_be32(icmp + 4, error.mtu); }
    std::uint8_t* quote = icmp + kIcmpHeaderSize;
    const void* from = rte_pktmbuf_read(&frame, offender.l3_offset, quoted, quote);
    if (from != nullptr && from != quote) { std::memcpy(quote, from, quoted); }
}

}  // namespace

bool may_be_told(const ParsedFrame& offender) noexcept {
    const FlowKey& key = offender.key;
    const IpFamily family = key.family();
    if (!key.is_ip() || offender.l3_offset == 0 || key.destination_mac.is_group()) { return false; }
    if (!is_one_host(key.source_ip, family) || !is_one_host(key.destination_ip, family)) {
        return false;
    }
    if (offender.fragment && offender.fragment_offset != 0) { return false; }
    const bool is_icmp =
        key.protocol == (family == IpFamily::kV4 ? kProtocolIcmp : kProtocolIcmpv6);
    const auto type = static_cast<std::uint8_t>(key.source_port.host() >> 8U);
    return !is_icmp || is_icmp_query(type, family);
}

rte_mbuf* make_icmp_error(WorkerContext& context, const rte_mbuf& frame,
                          const ParsedFrame& offender, const IcmpError& error) noexcept {
    const IpFamily family = offender.key.family();
    const std::uint8_t protocol = family == IpFamily::kV4 ? kProtocolIcmp : kProtocolIcmpv6;
    const std::uint32_t quoted = quoted_size(context, offender);
    const std::uint32_t size = kIcmpHeaderSize + quoted;
    rte_mbuf* made =
        new_frame(context, offender.key.port, offender.l3_offset + ip_size_of(family) + size);
    if (made == nullptr) { return nullptr; }
    std::uint8_t* ip = bytes_of(*made) + offender.l3_offset;
    std::uint8_t* icmp = ip + ip_size_of(family);
    write_answer_ethernet(offender, error.from_mac, bytes_of(*made));
    const std::uint8_t service = family == IpFamily::kV4 ? kInternetControl : std::uint8_t{0};
    write_ip(ip, {error.from_ip, offender.key.source(), protocol, kOwnHopLimit, service, size});
    write_icmp(icmp, error, frame, offender, quoted);
    store(icmp + 2, transport_sum(ip, family, protocol, size));
    made->hash.rss = frame.hash.rss;
    return made;
}

void tell_sender(WorkerContext& context, const rte_mbuf& frame, const ParsedFrame& offender,
                 const IcmpError& error) noexcept {
    TokenBucket& bucket = context.chains[offender.key.port.value].icmp_error;
    if (!may_be_told(offender) || !take_token(bucket, kIcmpErrorPerPortPps, context.now_ns)) {
        return;
    }
    rte_mbuf* made = make_icmp_error(context, frame, offender, error);
    if (made != nullptr) { send_back(context, made, offender); }
}

void return_to_sender(WorkerContext& context, rte_mbuf* frame, const ParsedFrame& to) noexcept {
    if (to.key.tunnel != 0) { set_tunnel_mark(*frame, mark_of(to.key)); }
    output(context, frame, to.key.port);
}

void send_back(WorkerContext& context, rte_mbuf* answer, const ParsedFrame& to) noexcept {
    context.counters.created.add(1);
    return_to_sender(context, answer, to);
}

}  // namespace sluice::datapath
