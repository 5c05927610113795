// SPDX-License-Identifier: Apache-2.0
// Slot 1, switch security, for flows: source MAC, SpoofGuard on the source address, guards. Only
// frames from the VM are judged; what goes to it was judged where it came from. Workers; the
// verdict hangs on the key alone and is cached.
#include <algorithm>

#include "iochain/swsec/claimant.h"
#include "sluice/iochain/token_bucket.h"
#include "sluice/model/service.h"

namespace sluice::iochain {
namespace {

constexpr std::uint16_t kEthertypeIpv4 = 0x0800, kEthertypeArp = 0x0806, kEthertypeIpv6 = 0x86dd;
constexpr std::uint16_t kEthertypePause = 0x8808, kEthertypeLldp = 0x88cc;
constexpr std::uint16_t kEthertypeFirst =
    0x0600;  // Smaller values are lengths (IEEE 802.3 §3.2.6).
constexpr std::uint16_t kDhcp4Server = 67, kDhcp6Server = 547;
constexpr unsigned kRouterAdvertisement = 134, kRedirect = 137;

/// 01:80:c2:00:00:00..0f, which a bridge never forwards (IEEE 802.1D §7.12.6).
bool is_bridge_group(const MacAddr& mac) noexcept {
    constexpr std::array<std::uint8_t, 5> kPrefix = {0x01, 0x80, 0xc2, 0x00, 0x00};
    return std::equal(kPrefix.begin(), kPrefix.end(), mac.bytes.begin()) && mac.bytes[5] <= 0x0f;
}

bool is_bridge_frame(const FlowKey& key) noexcept {
    const std::uint16_t ethertype = key.ethertype.host();
    return is_bridge_group(key.destination_mac) || ethertype == kEthertypeLldp ||
           ethertype == kEthertypePause || ethertype < kEthertypeFirst;
}

/// DHCP and router messages reach inspect(); here are the fragments whose head gave them away.
DropReason judge_guarded_flow(const model::Guards& guards, const FlowKey& key) noexcept {
    const std::uint16_t source = key.source_port.host();
    const std::uint16_t destination = key.destination_port.host();
    if (key.protocol == model::kProtocolUdp) {
        const std::uint16_t server = key.has(kKeyIpv4) ? kDhcp4Server : kDhcp6Server;
        if (guards.dhcp_server && source == server) { return DropReason::kGuardDhcpServer; }
        if (guards.dhcp_client && destination == server) { return DropReason::kGuardDhcpClient; }
    }
    const bool nd = key.has(kKeyIpv6) && key.protocol == model::kProtocolIcmpv6;
    if (guards.ra && nd && (source >> 8U == kRouterAdvertisement || source >> 8U == kRedirect)) {
        return DropReason::kGuardRa;
    }
    return DropReason::kNone;
}

/// Under SpoofGuard, the source of an IP frame is the vNIC's. ARP never comes as a flow.
DropReason judge_source(const Claimant& who, const FlowKey& key) noexcept {
    if (!who.config().spoofguard || (key.is_ip() && who.owns(key.source()))) {
        return DropReason::kNone;
    }
    return key.ethertype.host() == kEthertypeArp ? DropReason::kSpoofedArp : DropReason::kSpoofedIp;
}

/// Sources of group-membership reports: unspecified before there is an address (RFC 3590, RFC
/// 4541), else the vNIC's.
DropReason judge_membership(const Claimant& who, const FlowKey& key) noexcept {
    const IpAddr source = key.source();
    return is_unspecified(source) || who.may_use(source) ? DropReason::kNone
                                                         : DropReason::kSpoofedIp;
}

DropReason judge_conversation(const Claimant& who, const ParsedFrame& frame,
                              BindingClaims& claims) noexcept {
    switch (frame.inspect_kind) {
        case InspectKind::kArp: return judge_arp(who, frame, claims);
        case InspectKind::kNd: return judge_nd(who, frame, claims);
        case InspectKind::kDhcp4: return judge_dhcp4(who, frame);
        case InspectKind::kDhcp6: return judge_dhcp6(who, frame);
        case InspectKind::kMld:
        case InspectKind::kIgmp: return judge_membership(who, frame.key);
        case InspectKind::kLinkLocalGroup: return DropReason::kNone;  // judge_layer2() has seen it.
        case InspectKind::kIcmpError:
        case InspectKind::kNone: break;
    }
    return judge_source(who, frame.key);
}

/// What a frame that was refused for an address tried to use beyond the vNIC's own.
BindingClaims refused_of(const Claimant& who, const ParsedFrame& frame, DropReason reason,
                         const BindingClaims& claims) noexcept {
    BindingClaims out;
    out.source = reason == DropReason::kSpoofedIp ? LearnedSource::kData : claims.source;
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        if (!who.may_use(claims.ips[i])) { add_claim(out, claims.ips[i]); }
    }
    const IpAddr source = frame.key.source();
    if (reason == DropReason::kSpoofedIp && !who.may_use(source)) { add_claim(out, source); }
    return out;
}

DropReason charge(const SwsecProgram& program, const InspectInput& input) noexcept {
    const model::Limits& limits = program.config().limits;
    ChainState& state = *input.state;
    switch (input.frame.inspect_kind) {
        case InspectKind::kArp:
            return take_token(state.arp, limits.arp_pps, input.now_ns) ? DropReason::kNone
                                                                       : DropReason::kRateArp;
        case InspectKind::kNd:
            return take_token(state.nd, limits.nd_pps, input.now_ns) ? DropReason::kNone
                                                                     : DropReason::kRateNd;
        case InspectKind::kDhcp4:
        case InspectKind::kDhcp6:
            return take_token(state.dhcp, limits.dhcp_pps, input.now_ns) ? DropReason::kNone
                                                                         : DropReason::kRateDhcp;
        default: return DropReason::kNone;
    }
}

}  // namespace

DropReason judge_layer2(const SwsecProgram& program, const FlowKey& key) noexcept {
    const SwsecInput& config = program.config();
    if ((config.spoofguard || !config.forged_transmits) && key.source_mac != config.mac) {
        return DropReason::kSpoofedMac;
    }
    if (config.guards.bpdu && is_bridge_frame(key)) { return DropReason::kGuardBpdu; }
    const std::uint16_t ethertype = key.ethertype.host();
    const bool known =
        ethertype == kEthertypeIpv4 || ethertype == kEthertypeIpv6 || ethertype == kEthertypeArp;
    return (config.guards.non_ip || config.spoofguard) && !known ? DropReason::kGuardNonIp
                                                                 : DropReason::kNone;
}

DropReason decide_swsec(const SlotProgram& program, const DecideInput& input, Decision&) noexcept {
    if (input.direction == Direction::kToVm) { return DropReason::kNone; }
    const auto& swsec = static_cast<const SwsecProgram&>(program);
    if (const DropReason reason = judge_layer2(swsec, input.key); reason != DropReason::kNone) {
        return reason;
    }
    const Claimant who(swsec, input.key.port, input.bindings);
    if (const DropReason reason = judge_source(who, input.key); reason != DropReason::kNone) {
        return reason;
    }
    return judge_guarded_flow(swsec.config().guards, input.key);
}

DropReason inspect_swsec(const SlotProgram& program, const InspectInput& input,
                         Decision&) noexcept {
    if (input.direction == Direction::kToVm) { return DropReason::kNone; }
    const auto& swsec = static_cast<const SwsecProgram&>(program);
    if (const DropReason reason = judge_layer2(swsec, input.frame.key);
        reason != DropReason::kNone) {
        return reason;
    }
    const Claimant who(swsec, input.frame.key.port, input.bindings);
    BindingClaims claims;
    if (const DropReason reason = judge_conversation(who, input.frame, claims);
        reason != DropReason::kNone) {
        if (input.claims != nullptr) {
            *input.claims = who.config().first_use ? who.contested(claims)
                                                   : refused_of(who, input.frame, reason, claims);
        }
        return reason;
    }
    if (input.claims != nullptr) { *input.claims = who.new_or_learned(claims); }
    return input.state == nullptr ? DropReason::kNone : charge(swsec, input);
}

DropReason meter_swsec(const SlotProgram& program, const ParsedFrame& frame, ChainState& state,
                       std::uint64_t now_ns) noexcept {
    const model::Limits& limits = static_cast<const SwsecProgram&>(program).config().limits;
    const MacAddr& destination = frame.key.destination_mac;
    if (destination.is_broadcast()) {
        return take_token(state.broadcast, limits.broadcast_pps, now_ns)
                   ? DropReason::kNone
                   : DropReason::kRateBroadcast;
    }
    if (!destination.is_group()) { return DropReason::kNone; }
    return take_token(state.multicast, limits.multicast_pps, now_ns) ? DropReason::kNone
                                                                     : DropReason::kRateMulticast;
}

}  // namespace sluice::iochain
