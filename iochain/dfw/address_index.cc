// SPDX-License-Identifier: Apache-2.0
// Building of the AddressIndex: every prefix of every expression, once. Compile helper only.
#include "iochain/dfw/address_index.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sluice::iochain {
namespace {

using Items4 = std::vector<NestedIndex<std::uint32_t>::Item>;
using Items6 = std::vector<NestedIndex<Uint128>::Item>;

Items4 collect_v4(const std::vector<const AddressExpression*>& expressions) {
    std::size_t count = 0;
    for (const AddressExpression* expression : expressions) { count += expression->v4().size(); }
    Items4 items;
    items.reserve(count);
    for (std::uint32_t atom = 0; atom < expressions.size(); ++atom) {
        for (const IpPrefix& prefix : expressions[atom]->v4()) {
            const std::uint32_t first = prefix.address.v4_host();
            items.push_back({first, first | static_cast<std::uint32_t>(host_mask(prefix)), atom});
        }
    }
    return items;
}

Items6 collect_v6(const std::vector<const AddressExpression*>& expressions) {
    std::size_t count = 0;
    for (const AddressExpression* expression : expressions) { count += expression->v6().size(); }
    Items6 items;
    items.reserve(count);
    for (std::uint32_t atom = 0; atom < expressions.size(); ++atom) {
        for (const IpPrefix& prefix : expressions[atom]->v6()) {
            const Uint128 first = wide(prefix.address);
            items.push_back({first, first | host_mask(prefix), atom});
        }
    }
    return items;
}

}  // namespace

AddressIndex::AddressIndex(const std::vector<const AddressExpression*>& expressions)
    : v4_(collect_v4(expressions)), v6_(collect_v6(expressions)) {
    index_ports(expressions);
}

void AddressIndex::index_ports(const std::vector<const AddressExpression*>& expressions) {
    std::vector<std::pair<std::uint16_t, std::uint32_t>> pairs;
    for (std::uint32_t atom = 0; atom < expressions.size(); ++atom) {
        for (const PortIndex port : expressions[atom]->members()) {
            pairs.emplace_back(port.value, atom);
        }
    }
    if (pairs.empty()) { return; }
    std::sort(pairs.begin(), pairs.end());
    port_first_.assign(pairs.back().first + 2U, 0);
    for (const auto& [port, atom] : pairs) {
        ++port_first_[port + 1U];
        port_atoms_.push_back(atom);
    }
    std::partial_sum(port_first_.begin(), port_first_.end(), port_first_.begin());
}

std::uint32_t ExpressionAtoms::atom_of(const AddressExpression& expression) {
    const auto [seen, is_new] = by_object_.try_emplace(&expression, 0);
    if (!is_new) { return seen->second; }
    const auto next = static_cast<std::uint32_t>(expressions_.size());
    const auto [equal, is_first] = by_content_.try_emplace(expression.fingerprint(), next);
    if (is_first) { expressions_.push_back(&expression); }
    seen->second = equal->second;
    return seen->second;
}

}  // namespace sluice::iochain
