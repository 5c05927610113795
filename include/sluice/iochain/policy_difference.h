// SPDX-License-Identifier: Apache-2.0
// PolicyDifference: what changed from one generation of the rules of slots 0 and 2 to the next, as
// a classifier over flow keys: a flow that none of it matches is decided as before, down to the
// rule, so that its program need not be decided anew. Theory: verdicts are first matches. If the
// rules that match a flow are the same, with the same meaning and in the same order, so is the
// first of them. Rules that came, went, moved or changed are kept as they were and as they are; of
// a rule that changed its addresses only, just the addresses that are in one of both. It may match
// more flows than it concerns, never fewer. Made on the compile helper, immutable then: workers
// ask. Implemented in iochain/dfw.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/dfw.h"
#include "sluice/iochain/dvfilter.h"
#include "sluice/iochain/flow_key.h"

namespace sluice {

using PortSet = std::bitset<kPortMax>;  ///< By PortIndex.

/// One rule of slot 0 or 2, and the vNICs that it applies to.
struct PolicyRule {
    RuleId id;
    std::array<std::uint64_t, 2> rest{};  ///< Hash of all that is not below: action, direction...
    AddressList source, destination;      ///< Empty = any.
    bool negate_source = false, negate_destination = false;
    bool beyond_ip = false;                ///< May match frames that are not IP.
    std::vector<model::Service> services;  ///< Empty = any.
    std::shared_ptr<const PortSet> ports;  ///< Never null.
};
[[nodiscard]] PolicyRule policy_rule(const DfwRule& rule, std::shared_ptr<const PortSet> ports);
[[nodiscard]] PolicyRule policy_rule(const DvfilterRule& rule,
                                     std::shared_ptr<const PortSet> ports);

/// The rules of one generation, kept for the next one to be compared with.
struct PolicyImage {
    std::vector<PolicyRule> rules;        ///< In order of evaluation, ACLs before the firewall.
    std::array<std::uint64_t, 2> rest{};  ///< Hash of the default rule.
};

class PolicyDifference {
public:
    /// @param ports  vNICs whose policy changed in its rules only; others are left out
    PolicyDifference(const PolicyImage& before, const PolicyImage& after, const PortSet& ports);
    ~PolicyDifference();

    /// True if something changed for the vNIC. Any thread.
    [[nodiscard]] bool concerns(PortIndex port) const noexcept {
        return port.value < kPortMax && ports_[port.value];
    }
    /// True if a flow of `key` may be decided otherwise than before. A reply is judged by its own
    /// key or its opener's: both are asked. Any thread; tens of cycles if the answer is no.
    /// @param holders  of the addresses of `key` now; read if follows_ports()
    [[nodiscard]] bool matches(const FlowKey& key, bool is_reply,
                               const AddressHolders& holders = {}) const noexcept;
    /// True if rules that changed follow learned addresses.
    [[nodiscard]] bool follows_ports() const noexcept { return follows_ports_; }
    /// Rules and parts of rules that it holds.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    struct Classifier;
    PortSet ports_;
    std::size_t size_ = 0;
    bool follows_ports_ = false;
    std::unique_ptr<const Classifier> classifier_;  // Null: everything matches.
};

}  // namespace sluice
