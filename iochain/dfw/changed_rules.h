// SPDX-License-Identifier: Apache-2.0
// ChangedRules: two generations of rules, compared: what a flow must match for its verdict to have
// changed, as rules whose action means nothing. Compile helper only.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sluice/iochain/policy_difference.h"

namespace sluice::iochain {

struct ChangedRules {
    /// @param known  vNICs to look at
    ChangedRules(const PolicyImage& before, const PolicyImage& after, const PortSet& known);

    std::vector<DfwRule> rules;  ///< Ids are 1.
    PortSet ports;               ///< vNICs for which something changed.
    bool beyond_ip = false;      ///< So do frames that are not IP.

private:
    using Prints = std::vector<std::array<std::uint64_t, 2>>;

    void add(const PolicyRule& rule, const PortSet& where);
    void compare(const PolicyRule& before, const PolicyRule& after);
    void add_changed_addresses(const PolicyRule& before, const PolicyRule& after,
                               const PortSet& where);
    [[nodiscard]] AddressList changed_addresses(const AddressList& before,
                                                const AddressList& after);

    const PortSet& known_;
    std::map<std::pair<Prints, Prints>, AddressList> changed_lists_;  // Shared by all rules.
};

/// Of numbers that are all different, the indices of a longest ascending subsequence, ascending.
/// O(n log n).
[[nodiscard]] std::vector<std::size_t> longest_ascending(const std::vector<std::size_t>& numbers);

}  // namespace sluice::iochain
