// SPDX-License-Identifier: Apache-2.0
// Membership: IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) messages as snooping needs them:
// who asks, who wants which group, who leaves. Sources are ignored: a group with any wanted source
// is wanted. Pure functions over the message's bytes; workers, frame by frame.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sluice/base/limits.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

enum class MembershipKind : std::uint8_t {
    kOther,   ///< None of these: unknown types are forwarded like any frame.
    kQuery,   ///< General or of a group.
    kReport,  ///< Of any version.
    kLeave,   ///< IGMPv2 leave, MLDv1 done.
};

/// One group of a report or leave.
struct GroupRecord {
    MacAddr group;       ///< The MAC that the group's frames are sent to.
    bool joins = false;  ///< Else it leaves.
};

struct Membership {
    MembershipKind kind = MembershipKind::kOther;
    std::uint32_t query_interval_s = 0;  ///< Of a query that says so (IGMPv3, MLDv2), else 0.
    std::size_t record_count = 0;        ///< Records beyond kMembershipRecordMax are not read.
    std::array<GroupRecord, kMembershipRecordMax> records;
};

/// Reads an IGMP message: `message` is the IP payload, whole. False if it is malformed. Parse
/// has checked its checksum.
[[nodiscard]] bool read_igmp(std::span<const std::uint8_t> message, Membership& out) noexcept;
/// The same for MLD: an ICMPv6 message of type 130, 131, 132 or 143.
[[nodiscard]] bool read_mld(std::span<const std::uint8_t> message, Membership& out) noexcept;

/// MAC of an IPv4 group (RFC 1112 §6.4) or an IPv6 group (RFC 2464 §7), as 16 wire bytes of IpAddr.
[[nodiscard]] MacAddr group_mac(const IpAddr& group) noexcept;
/// Solicited-node group of an IPv6 address (RFC 4291 §2.7.1).
[[nodiscard]] IpAddr solicited_node(const IpAddr& ip) noexcept;

}  // namespace sluice::datapath
