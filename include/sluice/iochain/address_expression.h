// SPDX-License-Identifier: Apache-2.0
// AddressExpression: the addresses behind one name or literal of a rule (address set, group, port
// group, port, prefix), resolved and canonical. Made once a snapshot, shared by every rule, slot
// and vNIC that names it, never copied. Immutable after construction: any thread reads. Implemented
// in iochain/address_expression.cc. What stands for ports holds, beside the addresses that the
// document gives them, whatever they are bound to at the time (LearnedTable::holder()): who asks
// finds the port that holds an address, and asks has_member().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/net/address.h"

namespace sluice {

/// A set of addresses, both families mixed. Empty = matches nothing (`any` is the absence of an
/// expression).
class AddressExpression {
public:
    /// Takes prefixes in any order, nested or twice; keeps the smallest equal list. Control thread
    /// or its helper, O(n log n), O(n) when sorted. Prefixes without family are dropped.
    /// @param members  ports whose learned addresses it follows, any order
    explicit AddressExpression(std::vector<IpPrefix> prefixes, std::vector<PortIndex> members = {});

    /// True if `ip` is inside. O(log n), no allocation, any thread.
    [[nodiscard]] bool contains(const IpAddr& ip) const noexcept;

    /// True if it follows the learned addresses of `port`; never of kNoPort. O(log n), any thread.
    [[nodiscard]] bool has_member(PortIndex port) const noexcept;
    /// Those ports, ascending, without duplicates.
    [[nodiscard]] std::span<const PortIndex> members() const noexcept { return members_; }

    /// Disjoint prefixes, ascending; no two of them make up a shorter one.
    [[nodiscard]] std::span<const IpPrefix> v4() const noexcept {
        return {prefixes_.data(), v4_count_};
    }
    [[nodiscard]] std::span<const IpPrefix> v6() const noexcept {
        return {prefixes_.data() + v4_count_, prefixes_.size() - v4_count_};
    }
    /// Hash of the addresses and members themselves: equal sets have equal fingerprints, however
    /// they were written. What members are bound to is not in it: that changes by itself.
    [[nodiscard]] const std::array<std::uint64_t, 2>& fingerprint() const noexcept {
        return fingerprint_;
    }

private:
    std::vector<IpPrefix> prefixes_;  // IPv4 first.
    std::size_t v4_count_ = 0;
    std::vector<PortIndex> members_;
    std::array<std::uint64_t, 2> fingerprint_{};
};

/// How rules hold expressions. A list matches if one of its members does; an empty list is `any`.
using AddressList = std::vector<std::shared_ptr<const AddressExpression>>;

}  // namespace sluice
