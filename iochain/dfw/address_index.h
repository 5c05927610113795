// SPDX-License-Identifier: Apache-2.0
// AddressIndex: from an address to the expressions that hold it, for all expressions of a rule
// table at once. Built on the compile helper, once a table; immutable then. An expression's atom is
// its number in order of first use.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "iochain/address_order.h"
#include "iochain/dfw/nested_index.h"
#include "sluice/iochain/address_expression.h"

namespace sluice::iochain {

class AddressIndex {
public:
    /// A search that has begun, in one of both families.
    struct Search {
        NestedIndex<std::uint32_t>::Search v4;
        NestedIndex<Uint128>::Search v6;
        bool is_v4;

        [[nodiscard]] std::uint32_t finish() const noexcept {
            return is_v4 ? v4.finish() : v6.finish();
        }
    };

    AddressIndex() = default;
    explicit AddressIndex(const std::vector<const AddressExpression*>& expressions);

    /// @param wire  16 bytes as in FlowKey. Any thread.
    [[nodiscard]] Search begin(const std::uint8_t* wire, IpFamily family) const noexcept {
        const Uint128 value = wide(wire);
        if (family == IpFamily::kV4) {
            return {v4_.begin(static_cast<std::uint32_t>(value)), {nullptr, 0}, true};
        }
        return {{nullptr, 0}, v6_.begin(value), false};
    }

    [[nodiscard]] const AtomClasses& classes(bool is_v4) const noexcept {
        return is_v4 ? v4_.classes() : v6_.classes();
    }

    /// Atoms of the expressions that follow what `port` is bound to; none for kNoPort. Any thread.
    [[nodiscard]] std::span<const std::uint32_t> of_port(PortIndex port) const noexcept {
        if (port.value + 1U >= port_first_.size()) { return {}; }
        const std::uint32_t first = port_first_[port.value];
        return {port_atoms_.data() + first, port_first_[port.value + 1U] - first};
    }
    /// True if some expression follows a port.
    [[nodiscard]] bool follows_ports() const noexcept { return !port_atoms_.empty(); }

private:
    void index_ports(const std::vector<const AddressExpression*>& expressions);

    NestedIndex<std::uint32_t> v4_;
    NestedIndex<Uint128> v6_;
    std::vector<std::uint32_t> port_first_;  // By port, one more at the end; empty without members.
    std::vector<std::uint32_t> port_atoms_;
};

/// Numbers expressions, equal ones alike, whichever objects they came in. Compile time only.
class ExpressionAtoms {
public:
    [[nodiscard]] std::uint32_t atom_of(const AddressExpression& expression);
    [[nodiscard]] const std::vector<const AddressExpression*>& expressions() const noexcept {
        return expressions_;
    }

private:
    struct FingerprintHash {
        std::size_t operator()(const std::array<std::uint64_t, 2>& print) const noexcept {
            return print[0];
        }
    };
    std::unordered_map<const AddressExpression*, std::uint32_t> by_object_;
    std::unordered_map<std::array<std::uint64_t, 2>, std::uint32_t, FingerprintHash> by_content_;
    std::vector<const AddressExpression*> expressions_;
};

}  // namespace sluice::iochain
