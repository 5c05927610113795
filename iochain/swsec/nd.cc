// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery from the VM (RFC 4861, duplicate address detection RFC 4862 §5.4):
// well-formed, not fragmented (RFC 6980), and naming the vNIC. Parse has verified the ICMPv6
// checksum. Workers, packet by packet.
#include <algorithm>

#include "iochain/swsec/claimant.h"

namespace sluice::iochain {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum : std::uint8_t {
    kRouterSolicitation = 133,
    kRouterAdvertisement = 134,
    kNeighbourSolicitation = 135,
    kNeighbourAdvertisement = 136,
    kRedirect = 137,
};
constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;  // Options (RFC 4861 §4.6.1).
constexpr std::uint8_t kFragmentHeader = 44, kAuthenticationHeader = 51;
constexpr std::size_t kIpv6HeaderSize = 40;
constexpr std::uint8_t kHopLimit = 255;

/// Bytes before the options; 0 for a type that is no neighbour discovery.
std::size_t fixed_size(std::uint8_t type) noexcept {
    switch (type) {
        case kRouterSolicitation: return 8;
        case kRouterAdvertisement: return 16;
        case kNeighbourSolicitation:
        case kNeighbourAdvertisement: return 24;
        case kRedirect: return 40;
        default: return 0;
    }
}

IpAddr ipv6_at(const std::uint8_t* wire) noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV6;
    std::copy_n(wire, 16, ip.bytes.begin());
    return ip;
}

bool is_multicast(const IpAddr& ip) noexcept { return ip.bytes[0] == 0xff; }
bool is_link_local(const IpAddr& ip) noexcept {
    return ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0U) == 0x80;
}

/// ff02::1:ff00:0/104 (RFC 4291 §2.7.1).
bool is_solicited_node(const IpAddr& ip) noexcept {
    constexpr std::array<std::uint8_t, 13> kPrefix = {0xff, 0x02, 0, 0, 0, 0,   0,
                                                      0,    0,    0, 0, 1, 0xff};
    return std::equal(kPrefix.begin(), kPrefix.end(), ip.bytes.begin());
}

/// True if the headers before ICMPv6 hold a fragment header, or can't be followed.
bool has_fragment_header(const ParsedFrame& frame) noexcept {
    const std::uint8_t* data = frame.data;
    std::uint8_t next = data[frame.l3_offset + 6U];
    std::size_t at = frame.l3_offset + kIpv6HeaderSize;
    while (at < frame.l4_offset) {
        if (next == kFragmentHeader) { return true; }
        const std::size_t units = data[at + 1];
        next = data[at];
        at += next == kAuthenticationHeader ? (units + 2) * 4 : (units + 1) * 8;
    }
    return at != frame.l4_offset;
}

/// A parsed message. Link-layer options point into the frame.
struct Message {
    std::uint8_t type = 0;
    IpAddr source, destination;
    IpAddr target;  ///< NS, NA, redirect.
    bool has_source_link_layer = false;
    bool foreign_link_layer = false;  ///< An address option names a MAC that is not the sender's.
};

/// Walks the options. @return false if one has no length or runs past the message.
bool read_options(Bytes options, const MacAddr& own, Message& message) noexcept {
    while (!options.empty()) {
        if (options.size() < 8) { return false; }
        const std::size_t size = options[1] * 8U;
        if (size == 0 || size > options.size()) { return false; }
        if (options[0] == kSourceLinkLayer || options[0] == kTargetLinkLayer) {
            if (size != 8) { return false; }  // Ethernet's are eight bytes (RFC 2464 §6).
            message.has_source_link_layer |= options[0] == kSourceLinkLayer;
            message.foreign_link_layer |=
                !std::equal(own.bytes.begin(), own.bytes.end(), options.begin() + 2);
        }
        options = options.subspan(size);
    }
    return true;
}

std::optional<Message> read_message(const ParsedFrame& frame, const MacAddr& own) noexcept {
    const auto bytes = bytes_at(frame, frame.l4_offset, frame.l4_size);
    if (!bytes || bytes->size() < 8 || frame.fragment) { return std::nullopt; }
    if (frame.l4_offset < frame.l3_offset + kIpv6HeaderSize || has_fragment_header(frame)) {
        return std::nullopt;
    }
    Message message;
    message.type = (*bytes)[0];
    const std::size_t fixed = fixed_size(message.type);
    if (fixed == 0 || bytes->size() < fixed || (*bytes)[1] != 0) { return std::nullopt; }
    if (frame.data[frame.l3_offset + 7U] != kHopLimit) { return std::nullopt; }
    message.source = frame.key.source();
    message.destination = frame.key.destination();
    if (fixed >= 24) { message.target = ipv6_at(bytes->data() + 8); }
    if (!read_options(bytes->subspan(fixed), own, message)) { return std::nullopt; }
    return message;
}

/// The rules of RFC 4861 §6.1, §7.1 and §8.1 on addresses.
bool is_valid(const Message& m) noexcept {
    const bool unspecified = is_unspecified(m.source);
    switch (m.type) {
        case kRouterSolicitation: return !(unspecified && m.has_source_link_layer);
        case kRouterAdvertisement: return is_link_local(m.source);
        case kNeighbourSolicitation:
            if (is_multicast(m.target)) { return false; }
            return !unspecified || (is_solicited_node(m.destination) && !m.has_source_link_layer);
        case kNeighbourAdvertisement:
            return !is_multicast(m.target) &&
                   !unspecified;  // A wrong Solicited flag is the receiver's affair.
        default: return is_link_local(m.source);  // Redirect.
    }
}

/// What the message says is the sender's own: its source, the target of an advertisement, and the
/// target of duplicate address detection. That one is a claim already (RFC 6620 §3.2.3: it makes
/// the binding): the address is used right after it, and no other message needs to follow.
BindingClaims claims_of(const Message& m) noexcept {
    BindingClaims claims;
    claims.source = LearnedSource::kNd;
    if (!is_unspecified(m.source)) { add_claim(claims, m.source); }
    const bool is_detection = m.type == kNeighbourSolicitation && is_unspecified(m.source);
    if (is_detection || m.type == kNeighbourAdvertisement) { add_claim(claims, m.target); }
    return claims;
}

}  // namespace

DropReason judge_nd(const Claimant& who, const ParsedFrame& frame, BindingClaims& claims) noexcept {
    const SwsecInput& config = who.config();
    const std::uint8_t type = static_cast<std::uint8_t>(frame.key.source_port.host() >> 8U);
    if (config.guards.ra && (type == kRouterAdvertisement || type == kRedirect)) {
        return DropReason::kGuardRa;
    }
    const std::optional<Message> message = read_message(frame, frame.key.source_mac);
    if (!message || !is_valid(*message)) { return DropReason::kBadNd; }
    const bool is_own = message->type == kRedirect || !message->foreign_link_layer;
    if (config.spoofguard && !is_own) { return DropReason::kSpoofedNd; }
    if (is_own) { claims = claims_of(*message); }
    return who.may_claim(claims) ? DropReason::kNone : DropReason::kSpoofedNd;
}

}  // namespace sluice::iochain
