// SPDX-License-Identifier: Apache-2.0
// Building of the AddressIndex: every prefix of every expression, once. Compile helper only.
#include "iochain/dfw/address_index.h"

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
    : v4_(collect_v4(expressions)), v6_(collect_v6(expressions)) {}

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
