// SPDX-License-Identifier: Apache-2.0
// ARP from the VM (RFC 826, address conflict detection RFC 5227): well-formed, and naming the vNIC
// as its sender. Workers, packet by packet.
#include <algorithm>

#include "iochain/swsec/claimant.h"

namespace sluice::iochain {
namespace {

constexpr std::size_t kArpSize = 28;  // Ethernet and IPv4 (RFC 826).
constexpr std::uint8_t kRequest = 1, kReply = 2;

/// Hardware 1 (Ethernet), protocol 0x0800, lengths 6 and 4, high byte of the operation 0.
constexpr std::array<std::uint8_t, 7> kHeader = {0x00, 0x01, 0x08, 0x00, 6, 4, 0x00};

/// The fields that are judged. The target MAC of a request is arbitrary.
struct Arp {
    std::uint8_t operation;
    MacAddr sender_mac;
    IpAddr sender_ip, target_ip;
};

IpAddr ipv4_at(const std::uint8_t* wire) noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV4;
    std::copy_n(wire, 4, ip.bytes.begin() + 12);
    return ip;
}

std::optional<Arp> read_arp(const ParsedFrame& frame) noexcept {
    const auto bytes = bytes_at(frame, frame.l3_offset, kArpSize);
    if (!bytes || frame.l3_offset == 0 ||
        !std::equal(kHeader.begin(), kHeader.end(), bytes->begin())) {
        return std::nullopt;
    }
    Arp arp{(*bytes)[7], {}, ipv4_at(bytes->data() + 14), ipv4_at(bytes->data() + 24)};
    std::copy_n(bytes->begin() + 8, 6, arp.sender_mac.bytes.begin());
    if (arp.operation != kRequest && arp.operation != kReply) { return std::nullopt; }
    return arp;
}

/// A sender that no host can be: a group MAC, a multicast or broadcast address, nobody in a reply.
bool is_impossible(const Arp& arp) noexcept {
    const std::uint8_t first = arp.sender_ip.bytes[12];
    const bool group_ip = (first >= 224 && first < 240) || arp.sender_ip.v4_host() == 0xffffffffU;
    return arp.sender_mac.is_group() || arp.sender_mac.is_zero() || group_ip ||
           (arp.operation == kReply && is_unspecified(arp.sender_ip));
}

}  // namespace

DropReason judge_arp(const Claimant& who, const ParsedFrame& frame,
                     BindingClaims& claims) noexcept {
    const std::optional<Arp> arp = read_arp(frame);
    if (!arp || is_impossible(*arp)) { return DropReason::kBadArp; }
    // judge_layer2() has held the Ethernet source against the vNIC's MAC.
    if (!who.may_use(arp->sender_mac)) { return DropReason::kSpoofedArp; }
    if (is_unspecified(arp->sender_ip)) {
        // A probe (RFC 5227 §2.1.1) asks whether its target is free: let it only ask for what the
        // vNIC has, or could have. The announcement claims.
        if (who.may_claim(arp->target_ip)) { return DropReason::kNone; }
        if (!who.config().first_use) { add_claim(claims, arp->target_ip); }  // To be listed.
        return DropReason::kSpoofedArp;
    }
    claims.source = LearnedSource::kArp;
    if (arp->sender_mac == frame.key.source_mac) { add_claim(claims, arp->sender_ip); }
    return who.may_claim(claims) ? DropReason::kNone : DropReason::kSpoofedArp;
}

}  // namespace sluice::iochain
