// SPDX-License-Identifier: Apache-2.0
// RuleTable: all firewall rules of the host, compiled once for every vNIC. Four lanes (service,
// destination, source, source port) each give the rules that match in their dimension; the first
// match is the lowest bit set in all lanes and in the caller's mask of applied rules. Cost follows
// the depth of nesting around the packet, hardly the number of rules. Built on the compile helper;
// immutable then: workers read.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "iochain/dfw/address_index.h"
#include "iochain/dfw/rule_bits.h"
#include "iochain/dfw/service_index.h"
#include "sluice/iochain/dfw.h"

namespace sluice::iochain {

/// What rules match on. Addresses are 16 wire bytes as in FlowKey.
struct FlowQuery {
    const std::uint8_t* source;
    const std::uint8_t* destination;
    IpFamily family;
    std::uint8_t protocol;
    std::uint16_t source_port;       ///< Host order; ICMP: type << 8 | code.
    std::uint16_t destination_port;  ///< Host order.
};

/// What a rule says.
struct RuleOutcome {
    RuleId id;
    bool allow = true;
    bool reject = false;  // With !allow.
    bool log = false;
    bool stateful = true;
    bool tcp_strict = true;
    model::Alg alg = model::Alg::kNone;
};

class RuleTable {
public:
    explicit RuleTable(const DfwInput& input);

    /// The first rule of `applied` that matches; the default, size(), if none does.
    [[nodiscard]] std::uint32_t judge(const DenseBits& applied,
                                      const FlowQuery& query) const noexcept;
    /// @param rule  at most size()
    [[nodiscard]] const RuleOutcome& outcome(std::uint32_t rule) const noexcept {
        return outcomes_[rule];
    }

    [[nodiscard]] std::uint32_t size() const noexcept {
        return static_cast<std::uint32_t>(outcomes_.size() - 1);
    }
    [[nodiscard]] bool applies(std::uint32_t rule, Direction direction) const noexcept {
        return directions_[rule] == model::RuleDirection::kBoth ||
               (directions_[rule] == model::RuleDirection::kOut) ==
                   (direction == Direction::kFromVm);
    }
    /// Hash of the rule's meaning and id, its addresses included.
    [[nodiscard]] const std::array<std::uint64_t, 2>& fingerprint(
        std::uint32_t rule) const noexcept {
        return fingerprints_[rule];
    }
    [[nodiscard]] const RuleOutcome& default_outcome() const noexcept { return outcomes_.back(); }

private:
    using Members =
        std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // (atom, rule), rules ascending.

    /// A rule matches in a lane if its list holds the packet's value, flipped for negated and empty
    /// lists.
    struct Lane {
        RowSet rows;
        DenseBits flip;
    };
    /// A lane at the place where the packet's value lies.
    struct Cursor {
        const Lane* lane;
        const NestedTree* tree;
        std::uint32_t node;
        [[nodiscard]] std::uint64_t top() const noexcept;
        [[nodiscard]] std::uint64_t summary(unsigned s) const noexcept;
        [[nodiscard]] std::uint64_t word(unsigned s, unsigned w) const noexcept;
    };
    struct Exact {
        ServiceRange destination, source;
    };

    void compile_addresses(const DfwInput& input);
    void compile_services(const DfwInput& input);
    void compile_exact(const DfwRule& rule, std::uint32_t index);
    [[nodiscard]] std::uint32_t first_match(const DenseBits& applied,
                                            const FlowQuery& query) const noexcept;
    [[nodiscard]] bool confirm(std::uint32_t rule, const FlowQuery& query) const noexcept;

    AddressIndex addresses_;
    NestedIndex<std::uint32_t> destination_ports_;
    NestedIndex<std::uint32_t> source_ports_;
    Lane service_, destination_, source_, source_port_;
    bool reads_source_ports_ = false;
    // Rules of several services of which some name source ports: the lanes are necessary there, not
    // sufficient.
    DenseBits inexact_;
    std::vector<std::uint32_t>
        exact_first_;  // By rule, one more at the end; empty if no rule is inexact.
    std::vector<Exact> exact_;
    std::vector<RuleOutcome> outcomes_;  // By rule; the default is last.
    std::vector<model::RuleDirection> directions_;
    std::vector<std::array<std::uint64_t, 2>> fingerprints_;
};

}  // namespace sluice::iochain
