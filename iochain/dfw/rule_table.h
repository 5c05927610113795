// SPDX-License-Identifier: Apache-2.0
// RuleTable: what all firewall rules of the host name, compiled once for every vNIC: from an
// address or a service to its atoms, and from a rule to the atoms in its lists. Which rules match
// is AppliedRules' (applied_rules.h), a vNIC's policy at a time. Four lanes: destination, source,
// service, source port. Built on the compile helper; immutable then: workers read.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "iochain/dfw/address_index.h"
#include "iochain/dfw/atom_classes.h"
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
    AddressHolders holders{};        ///< Groups follow them.
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

enum class Lane : std::uint8_t { kDestination, kSource, kService, kSourcePort };
inline constexpr std::size_t kLaneCount = 4;

/// Where a packet lies in each lane: codes of classes of atoms.
using Places = std::array<std::uint32_t, kLaneCount>;

/// The atoms of a packet in one lane.
struct LaneAtoms {
    const AtomClasses* classes;
    std::uint32_t code;
    std::span<const std::uint32_t> more;

    template <typename Visit>
    void for_each(Visit&& visit) const noexcept {
        classes->for_each(code, visit);
        for (const std::uint32_t atom : more) { visit(atom); }
    }
};

class RuleTable {
public:
    explicit RuleTable(const DfwInput& input);

    /// @param rule  at most size(), which is the default rule
    [[nodiscard]] const RuleOutcome& outcome(std::uint32_t rule) const noexcept {
        return outcomes_[rule];
    }
    [[nodiscard]] std::uint32_t size() const noexcept {
        return static_cast<std::uint32_t>(outcomes_.size() - 1);
    }
    [[nodiscard]] const RuleOutcome& default_outcome() const noexcept { return outcomes_.back(); }
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
    /// True if some rule names what follows learned addresses: queries need the holders' atoms.
    [[nodiscard]] bool follows_ports() const noexcept { return addresses_.follows_ports(); }

    /// The atoms that a rule's list names, in any order.
    [[nodiscard]] std::span<const std::uint32_t> atoms(Lane lane,
                                                       std::uint32_t rule) const noexcept {
        const Lists& lists = lists_[static_cast<std::size_t>(lane)];
        return {lists.atoms.data() + lists.first[rule],
                lists.atoms.data() + lists.first[rule + 1U]};
    }
    /// The rule matches there what its list does not hold: it is empty, or negated.
    [[nodiscard]] bool is_flipped(Lane lane, std::uint32_t rule) const noexcept {
        return lists_[static_cast<std::size_t>(lane)].flips[rule];
    }
    [[nodiscard]] std::uint32_t atom_count(Lane lane) const noexcept {
        return lists_[static_cast<std::size_t>(lane)].atom_count;
    }

    /// The searches for a packet's places, begun: what ends them is on its way into the cache.
    struct Searches {
        std::array<AddressIndex::Search, 2> addresses;  // Destination, source.
        std::array<NestedIndex<std::uint32_t>::Search, 2> services;
    };
    [[nodiscard]] Searches begin(const FlowQuery& query) const noexcept;
    [[nodiscard]] Places finish(const Searches& searches) const noexcept;
    [[nodiscard]] Places locate(const FlowQuery& query) const noexcept {
        return finish(begin(query));
    }
    [[nodiscard]] std::array<LaneAtoms, kLaneCount> atoms_at(
        const Places& places, IpFamily family, const AddressHolders& holders) const noexcept;
    /// False: of a rule that matches in every lane, no single service does.
    [[nodiscard]] bool confirm(std::uint32_t rule, const FlowQuery& query) const noexcept;

private:
    /// What the rules name in a lane.
    struct Lists {
        std::vector<std::uint32_t> first;  // By rule, one more at the end.
        std::vector<std::uint32_t> atoms;
        std::vector<bool> flips;  // By rule.
        std::uint32_t atom_count = 0;

        void start(bool is_flipped) {
            first.push_back(static_cast<std::uint32_t>(atoms.size()));
            flips.push_back(is_flipped);
        }
        void add(std::uint32_t atom) { atoms.push_back(atom); }
        void finish(std::uint32_t count) {
            first.push_back(static_cast<std::uint32_t>(atoms.size()));
            atom_count = count;
        }
    };
    struct Exact {
        ServiceRange destination, source;
    };

    [[nodiscard]] Lists& lists(Lane lane) noexcept {
        return lists_[static_cast<std::size_t>(lane)];
    }
    void compile_addresses(const DfwInput& input);
    void compile_services(const DfwInput& input);
    void compile_exact(std::span<const model::Service> services);

    AddressIndex addresses_;
    NestedIndex<std::uint32_t> destination_ports_;
    NestedIndex<std::uint32_t> source_ports_;
    std::array<Lists, kLaneCount> lists_;
    // Rules of several services of which some name source ports: the lanes are necessary there, not
    // sufficient.
    std::vector<std::uint32_t> exact_first_;  // By rule, one more at the end.
    std::vector<Exact> exact_;                // None if the lanes are sufficient.
    std::vector<RuleOutcome> outcomes_;       // By rule; the default is last.
    std::vector<model::RuleDirection> directions_;
    std::vector<std::array<std::uint64_t, 2>> fingerprints_;
};

}  // namespace sluice::iochain
