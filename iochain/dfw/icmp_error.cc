// SPDX-License-Identifier: Apache-2.0
// judge_icmp_error(): does an ICMP or ICMPv6 error quote a live connection of this host? Called by
// the worker for InspectKind::kIcmpError before the chain inspects the frame. Changes no state:
// what an unauthenticated router says must not end a connection (RFC 5927).
#include <cstring>
#include <optional>

#include "iochain/dfw/tcp_tracker.h"
#include "sluice/iochain/chain.h"
#include "sluice/model/service.h"

namespace sluice {
namespace {

constexpr std::uint8_t kProtocolIcmp = 1;
constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolIcmp6 = 58;
constexpr std::size_t kIcmpHeaderSize = 8;
constexpr std::size_t kQuotedL4Size = 8;    // RFC 792: the header and 64 bits of the datagram.
constexpr unsigned kExtensionCountMax = 8;  // Of the quoted packet; parse of real ones is no laxer.

// Bytes of the quoted packet that lie in the frame.
struct Bytes {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;

    [[nodiscard]] bool holds(std::size_t count) const noexcept { return size >= count; }
    void skip(std::size_t count) noexcept {
        data += count;
        size -= count;
    }
    [[nodiscard]] Be16 be16(std::size_t at) const noexcept {
        Be16 value;
        std::memcpy(&value, data + at, sizeof value);
        return value;
    }
};

// What was quoted. `l4` holds kQuotedL4Size bytes unless it is a later fragment.
struct Quote {
    FlowKey key;
    Bytes l4;
    bool later_fragment = false;
};

bool is_v4_error(std::uint8_t type) noexcept {
    return type == 3 || type == 11 || type == 12;
}  // RFC 6633 ended type 4.
bool is_v6_error(std::uint8_t type) noexcept { return type >= 1 && type <= 4; }  // RFC 4443 §3.

std::optional<Quote> quoted_v4(Bytes bytes) noexcept {
    if (!bytes.holds(20) || bytes.data[0] >> 4U != 4U) { return std::nullopt; }
    const std::size_t header_size = std::size_t{bytes.data[0] & 0xfU} * 4U;
    if (header_size < 20 || !bytes.holds(header_size) || bytes.be16(2).host() < header_size) {
        return std::nullopt;
    }
    Quote quote;
    quote.key.flags = kKeyIpv4;
    quote.key.protocol = bytes.data[9];
    quote.later_fragment = (bytes.be16(6).host() & 0x1fffU) != 0;
    std::memcpy(quote.key.source_ip + 12, bytes.data + 12, 4);
    std::memcpy(quote.key.destination_ip + 12, bytes.data + 16, 4);
    bytes.skip(header_size);
    quote.l4 = bytes;
    return quote;
}

bool is_extension(std::uint8_t header) noexcept {
    return header == 0 || header == 43 || header == 44 || header == 51 || header == 60 ||
           header == 135;
}

// Size of an extension header; AH counts in words of four bytes (RFC 4302 §2.2), fragments are
// fixed.
std::size_t extension_size(std::uint8_t header, std::uint8_t length) noexcept {
    if (header == 44) { return 8; }
    return header == 51 ? (std::size_t{length} + 2U) * 4U : (std::size_t{length} + 1U) * 8U;
}

std::optional<Quote> quoted_v6(Bytes bytes) noexcept {
    if (!bytes.holds(40) || bytes.data[0] >> 4U != 6U) { return std::nullopt; }
    Quote quote;
    quote.key.flags = kKeyIpv6;
    std::memcpy(quote.key.source_ip, bytes.data + 8, 16);
    std::memcpy(quote.key.destination_ip, bytes.data + 24, 16);
    std::uint8_t header = bytes.data[6];
    bytes.skip(40);
    for (unsigned count = 0; is_extension(header) && !quote.later_fragment; ++count) {
        if (count == kExtensionCountMax || !bytes.holds(8)) { return std::nullopt; }
        const std::size_t size = extension_size(header, bytes.data[1]);
        if (!bytes.holds(size)) { return std::nullopt; }
        quote.later_fragment = header == 44 && (bytes.be16(2).host() & 0xfff8U) != 0;
        header = bytes.data[0];
        bytes.skip(size);
    }
    quote.key.protocol = header;
    quote.l4 = bytes;
    return quote;
}

// Completes the key from the quoted transport header. False for an error about an error (RFC 1122
// §3.2.2, RFC 4443 §2.4).
bool complete(Quote& quote) noexcept {
    FlowKey& key = quote.key;
    if (key.protocol == kProtocolIcmp || key.protocol == kProtocolIcmp6) {
        const std::uint8_t type = quote.l4.data[0];
        const bool v4 = key.has(kKeyIpv4);
        const bool error =
            v4 ? is_v4_error(type) || type == 4 || type == 5 : type < 128 || type == 137;
        if (error || (key.protocol == kProtocolIcmp) != v4) { return false; }
        key.source_port = quote.l4.be16(0);
        key.destination_port = quote.l4.be16(4);
        key.flags |= kKeyPorts;
    } else if (model::has_ports(key.protocol)) {  // As parse has them: others go by addresses.
        key.source_port = quote.l4.be16(0);
        key.destination_port = quote.l4.be16(2);
        key.flags |= kKeyPorts;
    }
    return true;
}

// The quoted sequence number must be one that the sender could have in flight (RFC 5927 §4.1),
// loosely.
bool in_flight(const Connection& record, ConnectionSide side, const Bytes& l4) noexcept {
    std::uint32_t sequence = 0;
    std::memcpy(&sequence, l4.data + 4, sizeof sequence);
    sequence = __builtin_bswap32(sequence);
    const auto from = static_cast<unsigned>(side);
    const TcpPeer& sender = record.peer[from];
    const std::uint32_t window = window_bytes(record.peer[from ^ 1U]);
    const std::uint32_t age = window < kTcpAckLagMin ? kTcpAckLagMin : window;
    return !sequence_after(sequence, sender.end) && !sequence_after(sender.end - age, sequence);
}

DropReason match(ConnectionTable& connections, const Quote& quote, DomainId domain,
                 std::uint64_t now_ns) noexcept {
    const TupleOfFrame tuple = tuple_of(quote.key, domain);
    const ConnectionHandle handle = connections.find(tuple, now_ns);
    Connection record;
    if (!handle.is_set() || !connections.snapshot(handle, record)) {
        return DropReason::kIcmpNoConnection;
    }
    if (quote.key.protocol != kProtocolTcp) { return DropReason::kNone; }
    const bool opener_is_a = (record.flags & kConnOpenerIsA) != 0;
    const auto side =
        opener_is_a == tuple.from_a ? ConnectionSide::kOpener : ConnectionSide::kResponder;
    const bool liberal = (record.flags & kConnLiberal) != 0;
    return liberal || in_flight(record, side, quote.l4) ? DropReason::kNone
                                                        : DropReason::kIcmpNoConnection;
}

std::optional<Bytes> quoted_bytes(const ParsedFrame& frame) noexcept {
    if (frame.fragment || frame.l4_offset == 0 || frame.l4_offset > frame.data_size) {
        return std::nullopt;
    }
    const std::size_t held = std::size_t{frame.data_size} - frame.l4_offset;
    Bytes bytes{frame.data + frame.l4_offset, frame.l4_size < held ? frame.l4_size : held};
    if (!bytes.holds(kIcmpHeaderSize)) { return std::nullopt; }
    const std::uint8_t type = bytes.data[0];
    const bool v4 = frame.key.has(kKeyIpv4);
    if (frame.key.protocol != (v4 ? kProtocolIcmp : kProtocolIcmp6)) { return std::nullopt; }
    if (!(v4 ? is_v4_error(type) : is_v6_error(type))) { return std::nullopt; }
    bytes.skip(kIcmpHeaderSize);
    return bytes;
}

}  // namespace

DropReason judge_icmp_error(ConnectionTable& connections, const ParsedFrame& frame, DomainId domain,
                            std::uint64_t now_ns) noexcept {
    const std::optional<Bytes> bytes = quoted_bytes(frame);
    if (!bytes) { return DropReason::kBadIcmp; }
    std::optional<Quote> quote = frame.key.has(kKeyIpv4) ? quoted_v4(*bytes) : quoted_v6(*bytes);
    if (!quote) { return DropReason::kBadIcmp; }
    if (std::memcmp(quote->key.source_ip, frame.key.destination_ip, 16) != 0) {
        return DropReason::kBadIcmp;
    }
    if (quote->later_fragment) { return DropReason::kIcmpNoConnection; }  // No ports to find it by.
    if (!quote->l4.holds(kQuotedL4Size) || !complete(*quote)) { return DropReason::kBadIcmp; }
    return match(connections, *quote, domain, now_ns);
}

}  // namespace sluice
