// SPDX-License-Identifier: Apache-2.0
// Compile input of slot 0 (dvfilter): the stateless rules of the ACLs on one vNIC, resolved.
// Control thread or its compile helper. Implemented in iochain/dvfilter.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/iochain/address_expression.h"
#include "sluice/iochain/chain.h"
#include "sluice/model/acl.h"

namespace sluice {

/// One ACL rule, resolved. What is left out matches everything, other ethertypes than IP included.
struct DvfilterRule {
    RuleId id;
    bool permit = true;
    bool goes_on = false;  ///< Counts, marks perhaps, and leaves the verdict to later rules.
    model::RuleDirection direction = model::RuleDirection::kBoth;  ///< Seen from the VM.
    AddressList source;                    ///< Empty = any; else IP frames only.
    AddressList destination;               ///< Empty = any; else IP frames only.
    std::vector<model::Service> services;  ///< Empty = any; else IP frames only.
    std::optional<model::MacMatch> source_mac;
    std::optional<model::MacMatch> destination_mac;
    std::optional<std::uint16_t> ethertype;         ///< Host order; behind the outermost tag.
    std::optional<std::uint16_t> vlan;              ///< Tagged frames with this VID only.
    std::optional<std::uint8_t> dscp;               ///< 0..63; IP frames only.
    std::optional<model::TcpFlagsMatch> tcp_flags;  ///< TCP only.
    std::optional<std::uint8_t> set_dscp;           ///< 0..63.
};

/// Program of a vNIC. The first match that does not go on wins, no match permits. Linear: made for
/// hundreds of rules.
/// @param rules  of all ACLs on the vNIC, in the document's order.
/// @return nullptr (an empty slot) if there are no rules.
[[nodiscard]] std::shared_ptr<const SlotProgram> compile_dvfilter(
    std::span<const DvfilterRule> rules);

/// True if a rule reads DSCP: ChainProgram::reads_dscp must be set then.
[[nodiscard]] bool reads_dscp(std::span<const DvfilterRule> rules) noexcept;

}  // namespace sluice
