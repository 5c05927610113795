// SPDX-License-Identifier: Apache-2.0
// DHCP from the VM (RFC 2131, RFC 2132, RFC 8415): well-formed, sent by a client and not by a
// server, about the vNIC's own MAC and addresses. Workers, packet by packet.
#include <algorithm>

#include "iochain/swsec/claimant.h"

namespace sluice::iochain {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kUdpHeaderSize = 8;
constexpr std::uint16_t kServerPort4 = 67, kServerPort6 = 547;
constexpr std::size_t kBootpSize = 236;                                         // RFC 951.
constexpr std::array<std::uint8_t, 4> kMagicCookie = {0x63, 0x82, 0x53, 0x63};  // RFC 2131 §3.
constexpr std::uint8_t kBootRequest = 1, kBootReply = 2;
enum : std::uint8_t {
    kOptionPad = 0,
    kOptionRequestedIp = 50,
    kOptionMessageType = 53,
    kOptionEnd = 255
};
enum : std::uint8_t { kOffer = 2, kDecline = 4, kAck = 5, kNak = 6, kInform = 8 };

/// DHCPv4 message types that only a server sends.
constexpr bool is_server_type(std::uint8_t type) noexcept {
    return type == kOffer || type == kAck || type == kNak;
}

/// DHCPv6: ADVERTISE, REPLY, RECONFIGURE, RELAY-FORW, RELAY-REPL (RFC 8415 §7.3).
constexpr bool is_server_type6(std::uint8_t type) noexcept {
    return type == 2 || type == 7 || type == 10 || type == 12 || type == 13;
}

IpAddr ipv4_at(const std::uint8_t* wire) noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV4;
    std::copy_n(wire, 4, ip.bytes.begin() + 12);
    return ip;
}

std::optional<Bytes> udp_payload(const ParsedFrame& frame) noexcept {
    const auto bytes = bytes_at(frame, frame.l4_offset, frame.l4_size);
    if (!bytes || frame.l4_offset == 0 || bytes->size() < kUdpHeaderSize || frame.fragment) {
        return std::nullopt;
    }
    return bytes->subspan(kUdpHeaderSize);
}

struct Message4 {
    std::uint8_t operation = 0;
    std::uint8_t type = 0;
    MacAddr client_mac;
    IpAddr client_ip, relay_ip;
    std::optional<IpAddr> requested_ip;
};

/// @return false if an option runs past the message or contradicts the RFC.
bool read_option(std::uint8_t code, Bytes value, Message4& message) noexcept {
    if (code == kOptionMessageType) {
        if (value.size() != 1 || message.type != 0 || value[0] == 0) { return false; }
        message.type = value[0];
    }
    if (code == kOptionRequestedIp) {
        if (value.size() != 4 || message.requested_ip) { return false; }
        message.requested_ip = ipv4_at(value.data());
    }
    return true;
}

bool read_options(Bytes options, Message4& message) noexcept {
    while (!options.empty() && options[0] != kOptionEnd) {
        if (options[0] == kOptionPad) {
            options = options.subspan(1);
            continue;
        }
        if (options.size() < 2 || options.size() - 2 < options[1]) { return false; }
        if (!read_option(options[0], options.subspan(2, options[1]), message)) { return false; }
        options = options.subspan(2U + options[1]);
    }
    return message.type != 0;
}

std::optional<Message4> read_message4(const ParsedFrame& frame) noexcept {
    const auto payload = udp_payload(frame);
    if (!payload || payload->size() < kBootpSize + kMagicCookie.size()) { return std::nullopt; }
    const Bytes p = *payload;
    if (p[1] != 1 || p[2] != 6) { return std::nullopt; }  // Hardware: Ethernet, six bytes.
    if (!std::equal(kMagicCookie.begin(), kMagicCookie.end(), p.begin() + kBootpSize)) {
        return std::nullopt;
    }
    Message4 message;
    message.operation = p[0];
    message.client_ip = ipv4_at(p.data() + 12);
    message.relay_ip = ipv4_at(p.data() + 24);
    std::copy_n(p.begin() + 28, 6, message.client_mac.bytes.begin());
    if (!read_options(p.subspan(kBootpSize + kMagicCookie.size()), message)) {
        return std::nullopt;
    }
    const bool from_server = message.operation == kBootReply;
    if (!from_server && message.operation != kBootRequest) { return std::nullopt; }
    if (message.type > kInform || from_server != is_server_type(message.type)) {
        return std::nullopt;
    }
    return message;
}

/// SpoofGuard on a client's message: its own MAC, no address but its own, or one that it could
/// have claimed instead of declining it. A server's is bound by its source only.
DropReason judge_client(const Claimant& who, const Message4& message) noexcept {
    if (!who.may_use(message.client_mac)) { return DropReason::kSpoofedMac; }
    if (!is_unspecified(message.client_ip) && !who.may_use(message.client_ip)) {
        return DropReason::kSpoofedIp;
    }
    const bool declines = message.type == kDecline && message.requested_ip.has_value();
    return declines && !who.may_claim(*message.requested_ip) ? DropReason::kSpoofedIp
                                                             : DropReason::kNone;
}

/// First byte of the payload, whatever follows: enough to tell a server by.
std::uint8_t first_byte(const ParsedFrame& frame) noexcept {
    const auto payload = udp_payload(frame);
    return payload && !payload->empty() ? payload->front() : std::uint8_t{0};
}

/// True if the options, each with a two-byte code and length (RFC 8415 §21.1), fill the message
/// exactly.
bool are_options6(Bytes options) noexcept {
    while (!options.empty()) {
        if (options.size() < 4) { return false; }
        const std::size_t size = 4U + ((std::size_t{options[2]} << 8U) | options[3]);
        if (size > options.size()) { return false; }
        options = options.subspan(size);
    }
    return true;
}

}  // namespace

DropReason judge_dhcp4(const Claimant& who, const ParsedFrame& frame) noexcept {
    const model::Guards& guards = who.config().guards;
    const FlowKey& key = frame.key;
    const bool server_port = key.source_port.host() == kServerPort4;
    if (guards.dhcp_server && (server_port || first_byte(frame) == kBootReply)) {
        return DropReason::kGuardDhcpServer;
    }
    if (guards.dhcp_client && !server_port) { return DropReason::kGuardDhcpClient; }
    const IpAddr source = key.source();
    if (!is_unspecified(source) && !who.may_use(source)) { return DropReason::kSpoofedIp; }
    const std::optional<Message4> message = read_message4(frame);
    if (!message) { return DropReason::kBadDhcp; }
    // A relay is the server's side.
    if (guards.dhcp_server && !is_unspecified(message->relay_ip)) {
        return DropReason::kGuardDhcpServer;
    }
    return message->operation == kBootRequest && !server_port ? judge_client(who, *message)
                                                              : DropReason::kNone;
}

DropReason judge_dhcp6(const Claimant& who, const ParsedFrame& frame) noexcept {
    const model::Guards& guards = who.config().guards;
    const bool server_port = frame.key.source_port.host() == kServerPort6;
    const std::uint8_t type = first_byte(frame);
    if (guards.dhcp_server && (server_port || is_server_type6(type))) {
        return DropReason::kGuardDhcpServer;
    }
    if (guards.dhcp_client && !server_port && !is_server_type6(type)) {
        return DropReason::kGuardDhcpClient;
    }
    if (!who.may_use(frame.key.source())) { return DropReason::kSpoofedIp; }
    const auto payload = udp_payload(frame);
    if (!payload || payload->size() < 4 || type == 0) { return DropReason::kBadDhcp; }
    const bool relayed =
        type == 12 || type == 13;  // Relay messages have a longer header (RFC 8415 §9).
    const std::size_t header = relayed ? 34 : 4;
    if (payload->size() < header || !are_options6(payload->subspan(header))) {
        return DropReason::kBadDhcp;
    }
    return DropReason::kNone;
}

}  // namespace sluice::iochain
