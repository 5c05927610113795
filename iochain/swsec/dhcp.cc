// SPDX-License-Identifier: Apache-2.0
// DHCP from the VM (RFC 2131, RFC 2132, RFC 8415): well-formed, sent by a client and not by a
// server, about the vNIC's own MAC and addresses. The messages are read in dhcp4_message.cc and
// dhcp6_message.cc. Workers, packet by packet.
#include "iochain/swsec/claimant.h"
#include "sluice/iochain/dhcp_message.h"

namespace sluice::iochain {
namespace {

/// ADVERTISE, REPLY, RECONFIGURE, RELAY-FORW, RELAY-REPL.
constexpr bool is_server_type6(std::uint8_t type) noexcept {
    switch (static_cast<Dhcp6Type>(type)) {
        case Dhcp6Type::kAdvertise:
        case Dhcp6Type::kReply:
        case Dhcp6Type::kReconfigure:
        case Dhcp6Type::kRelayForward:
        case Dhcp6Type::kRelayReply: return true;
        default: return false;
    }
}

/// SpoofGuard on a client's message: its own MAC, no address but its own, or one that it could
/// have claimed instead of declining it. A server's is bound by its source only.
DropReason judge_client4(const Claimant& who, const Dhcp4Message& message) noexcept {
    if (!who.may_use(message.client_mac)) { return DropReason::kSpoofedMac; }
    if (!is_unspecified(message.client_ip) && !who.may_use(message.client_ip)) {
        return DropReason::kSpoofedIp;
    }
    const bool declines = message.type == Dhcp4Type::kDecline && message.requested_ip.has_value();
    return declines && !who.may_claim(*message.requested_ip) ? DropReason::kSpoofedIp
                                                             : DropReason::kNone;
}

/// The same for what a client gives back. What it asks for is the server's to refuse.
DropReason judge_client6(const Claimant& who, const Dhcp6Message& message) noexcept {
    if (message.type != Dhcp6Type::kRelease && message.type != Dhcp6Type::kDecline) {
        return DropReason::kNone;
    }
    for (const Dhcp6Lease& lease : message.addresses()) {
        if (!who.may_claim(lease.ip)) { return DropReason::kSpoofedIp; }
    }
    return DropReason::kNone;
}

/// First byte of the payload, whatever follows: enough to tell a server by.
std::uint8_t first_byte(const ParsedFrame& frame) noexcept {
    const auto payload = dhcp_payload(frame);
    return payload && !payload->empty() ? payload->front() : std::uint8_t{0};
}

}  // namespace

DropReason judge_dhcp4(const Claimant& who, const ParsedFrame& frame) noexcept {
    const model::Guards& guards = who.config().guards;
    const FlowKey& key = frame.key;
    const bool server_port = key.source_port.host() == kDhcp4ServerPort;
    const bool is_reply = first_byte(frame) == static_cast<std::uint8_t>(Dhcp4Operation::kReply);
    if (guards.dhcp_server && (server_port || is_reply)) { return DropReason::kGuardDhcpServer; }
    if (guards.dhcp_client && !server_port) { return DropReason::kGuardDhcpClient; }
    const IpAddr source = key.source();
    if (!is_unspecified(source) && !who.may_use(source)) { return DropReason::kSpoofedIp; }
    const auto payload = dhcp_payload(frame);
    const auto message = payload ? read_dhcp4(*payload) : std::nullopt;
    if (!message) { return DropReason::kBadDhcp; }
    // A relay is the server's side.
    if (guards.dhcp_server && !is_unspecified(message->relay_ip)) {
        return DropReason::kGuardDhcpServer;
    }
    const bool is_client = message->operation == Dhcp4Operation::kRequest && !server_port;
    return is_client ? judge_client4(who, *message) : DropReason::kNone;
}

DropReason judge_dhcp6(const Claimant& who, const ParsedFrame& frame) noexcept {
    const model::Guards& guards = who.config().guards;
    const bool server_port = frame.key.source_port.host() == kDhcp6ServerPort;
    const std::uint8_t type = first_byte(frame);
    if (guards.dhcp_server && (server_port || is_server_type6(type))) {
        return DropReason::kGuardDhcpServer;
    }
    if (guards.dhcp_client && !server_port && !is_server_type6(type)) {
        return DropReason::kGuardDhcpClient;
    }
    if (!who.may_use(frame.key.source())) { return DropReason::kSpoofedIp; }
    const auto payload = dhcp_payload(frame);
    const auto message = payload ? read_dhcp6(*payload) : std::nullopt;
    if (!message) { return DropReason::kBadDhcp; }
    return server_port ? DropReason::kNone : judge_client6(who, *message);
}

}  // namespace sluice::iochain
