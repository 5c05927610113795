// SPDX-License-Identifier: Apache-2.0
// model::Acl: the noun `acls`, stateless rules of slot 0 (dvfilter). Lists of a rule that are empty
// mean `any`. An ACL without a match permits. Plain values, host byte order, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/model/service.h"
#include "sluice/net/address.h"

namespace sluice::model {

enum class AclAction : std::uint8_t {
    kPermit,
    kDeny,
    kCount,  ///< Counts, marks if set_dscp says so, and goes on to the next rule.
};

/// Matches a MAC m with (m & mask) == value. Bits of `value` outside `mask` are zero.
struct MacMatch {
    MacAddr value;
    MacAddr mask{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

    bool operator==(const MacMatch&) const = default;
    [[nodiscard]] constexpr bool matches(const MacAddr& mac) const noexcept {
        for (unsigned i = 0; i < 6; ++i) {
            if ((mac.bytes[i] & mask.bytes[i]) != value.bytes[i]) { return false; }
        }
        return true;
    }
};

/// Matches TCP flags f with (f & mask) == value. Bit order of RFC 9293 §3.1 (FIN = 1, SYN = 2,
/// ...).
struct TcpFlagsMatch {
    std::uint8_t value = 0;
    std::uint8_t mask = 0;

    bool operator==(const TcpFlagsMatch&) const = default;
};

/// One rule of an ACL. The first match that does not only count wins.
struct AclRule {
    std::string name;  ///< Unique in its ACL.
    AclAction action = AclAction::kPermit;
    RuleDirection direction = RuleDirection::kBoth;
    std::vector<std::string> source;       ///< Address, prefix or name; empty = any.
    std::vector<std::string> destination;  ///< Address, prefix or name; empty = any.
    std::vector<Service> services;         ///< Empty = any.
    std::optional<MacMatch> source_mac;
    std::optional<MacMatch> destination_mac;
    std::optional<std::uint16_t> ethertype;
    std::optional<std::uint16_t> vlan;       ///< 1..4094: the tag in the frame at the VM.
    std::optional<TcpFlagsMatch> tcp_flags;  ///< TCP only.
    std::optional<std::uint8_t> dscp;        ///< 0..63.
    std::optional<std::uint8_t> set_dscp;    ///< 0..63: IP frames that it lets pass leave with it.

    bool operator==(const AclRule&) const = default;
};

/// An ordered list of rules on some ports. Several ACLs of a port run in the document's order.
struct Acl {
    std::string name;
    std::vector<std::string> applied_to;  ///< Groups, port groups, ports; empty = every port.
    std::vector<AclRule> rules;

    bool operator==(const Acl&) const = default;
};

}  // namespace sluice::model
