// SPDX-License-Identifier: Apache-2.0
// ChangedRules: see changed_rules.h. Rules of both generations are paired by id; the longest run of
// pairs in one order stays where it is, all others count as moved.
#include "iochain/dfw/changed_rules.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "iochain/address_order.h"

namespace sluice::iochain {
namespace {

bool equal(const AddressList& a, const AddressList& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return x == y || x->fingerprint() == y->fingerprint();
    });
}

bool matches_alike_but_addresses(const PolicyRule& a, const PolicyRule& b) {
    return a.negate_source == b.negate_source && a.negate_destination == b.negate_destination &&
           a.services == b.services && a.source.empty() == b.source.empty() &&
           a.destination.empty() == b.destination.empty();
}

/// Content of the expressions of `list` that are not in `other`.
std::vector<std::array<std::uint64_t, 2>> prints_without(const AddressList& list,
                                                         const AddressList& other) {
    std::vector<std::array<std::uint64_t, 2>> prints;
    for (const auto& each : list) {
        const bool is_in_both = std::any_of(other.begin(), other.end(), [&](const auto& x) {
            return x->fingerprint() == each->fingerprint();
        });
        if (!is_in_both) { prints.push_back(each->fingerprint()); }
    }
    return prints;
}

/// One list of the prefixes and members of all expressions with these prints.
AddressExpression united(const AddressList& list,
                         const std::vector<std::array<std::uint64_t, 2>>& prints) {
    std::vector<IpPrefix> all;
    std::vector<PortIndex> members;
    for (const auto& each : list) {
        if (std::find(prints.begin(), prints.end(), each->fingerprint()) == prints.end()) {
            continue;
        }
        all.insert(all.end(), each->v4().begin(), each->v4().end());
        all.insert(all.end(), each->v6().begin(), each->v6().end());
        members.insert(members.end(), each->members().begin(), each->members().end());
    }
    return AddressExpression(std::move(all), std::move(members));
}

IpPrefix prefix_of(Uint128 first, unsigned open_bits, IpFamily family) {
    IpPrefix out;
    out.address.family = family;
    for (unsigned i = 0; i < 16; ++i) {
        out.address.bytes[15 - i] = static_cast<std::uint8_t>(first >> (8U * i));
    }
    out.length = static_cast<std::uint8_t>((family == IpFamily::kV4 ? 32U : 128U) - open_bits);
    return out;
}

/// Cuts first..last into the fewest prefixes.
void add_range(Uint128 first, Uint128 last, IpFamily family, std::vector<IpPrefix>& out) {
    const unsigned width = family == IpFamily::kV4 ? 32U : 128U;
    for (;;) {
        unsigned open = 0;
        Uint128 mask = 0;  // Of the block's size, less one.
        while (open < width) {
            const Uint128 wider = (mask << 1U) | 1U;
            if ((first & wider) != 0 || last - first < wider) { break; }
            mask = wider;
            ++open;
        }
        out.push_back(prefix_of(first, open, family));
        if (last - first == mask) { return; }
        first += mask + 1U;
    }
}

/// Addresses that are in one of two disjoint lists: where a prefix of either begins or ends,
/// membership in just one of them turns over.
void add_in_one(std::span<const IpPrefix> a, std::span<const IpPrefix> b, IpFamily family,
                std::vector<IpPrefix>& out) {
    std::vector<Uint128> turns;
    turns.reserve(2 * (a.size() + b.size()));
    for (const auto& list : {a, b}) {
        for (const IpPrefix& prefix : list) {
            const Uint128 first = wide(prefix.address);
            const Uint128 end = first + host_mask(prefix) + 1U;
            turns.push_back(first);
            if (end != 0) { turns.push_back(end); }  // 0: it goes on to the last address of all.
        }
    }
    std::sort(turns.begin(), turns.end());
    std::size_t kept = 0;  // Turns that don't cancel each other out.
    for (const Uint128 turn : turns) {
        if (kept > 0 && turns[kept - 1] == turn) {
            --kept;
        } else {
            turns[kept++] = turn;
        }
    }
    for (std::size_t i = 0; i < kept; i += 2) {
        const Uint128 last = i + 1 < kept ? turns[i + 1] - 1U : ~Uint128{0};
        add_range(turns[i], last, family, out);
    }
}

/// Addresses, and followed ports, that are in one of the two.
AddressExpression in_one(const AddressExpression& a, const AddressExpression& b) {
    std::vector<IpPrefix> out;
    add_in_one(a.v4(), b.v4(), IpFamily::kV4, out);
    add_in_one(a.v6(), b.v6(), IpFamily::kV6, out);
    std::vector<PortIndex> members;
    std::set_symmetric_difference(a.members().begin(), a.members().end(), b.members().begin(),
                                  b.members().end(), std::back_inserter(members),
                                  [](PortIndex x, PortIndex y) { return x.value < y.value; });
    return AddressExpression(std::move(out), std::move(members));
}

}  // namespace

std::vector<std::size_t> longest_ascending(const std::vector<std::size_t>& numbers) {
    constexpr std::size_t kNone = SIZE_MAX;
    std::vector<std::size_t> ends;  // By length: where the run with the smallest end ends.
    std::vector<std::size_t> before(numbers.size(), kNone);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const auto at = std::lower_bound(
            ends.begin(), ends.end(), numbers[i],
            [&](std::size_t end, std::size_t number) { return numbers[end] < number; });
        if (at != ends.begin()) { before[i] = *(at - 1); }
        if (at == ends.end()) {
            ends.push_back(i);
        } else {
            *at = i;
        }
    }
    std::vector<std::size_t> out(ends.size());
    std::size_t at = ends.empty() ? kNone : ends.back();
    for (std::size_t i = out.size(); i > 0; --i, at = before[at]) { out[i - 1] = at; }
    return out;
}

ChangedRules::ChangedRules(const PolicyImage& before, const PolicyImage& after,
                           const PortSet& known)
    : known_(known) {
    std::unordered_map<std::uint32_t, std::size_t> old_place;
    old_place.reserve(before.rules.size());
    for (std::size_t i = 0; i < before.rules.size(); ++i) {
        old_place.emplace(before.rules[i].id.value, i);
    }
    std::vector<std::size_t> pair_old, pair_new;
    for (std::size_t i = 0; i < after.rules.size(); ++i) {
        const auto at = old_place.find(after.rules[i].id.value);
        if (at == old_place.end()) { continue; }
        pair_old.push_back(at->second);
        pair_new.push_back(i);
    }
    std::vector<bool> old_done(before.rules.size()), new_done(after.rules.size());
    for (const std::size_t i : longest_ascending(pair_old)) {
        old_done[pair_old[i]] = new_done[pair_new[i]] = true;
        compare(before.rules[pair_old[i]], after.rules[pair_new[i]]);
    }
    for (std::size_t i = 0; i < before.rules.size(); ++i) {
        if (!old_done[i]) { add(before.rules[i], *before.rules[i].ports); }
    }
    for (std::size_t i = 0; i < after.rules.size(); ++i) {
        if (!new_done[i]) { add(after.rules[i], *after.rules[i].ports); }
    }
}

void ChangedRules::add(const PolicyRule& rule, const PortSet& where) {
    const PortSet here = where & known_;
    if (here.none()) { return; }
    ports |= here;
    beyond_ip = beyond_ip || rule.beyond_ip;
    DfwRule out;
    out.id = RuleId{1};
    out.source = rule.source;
    out.destination = rule.destination;
    out.negate_source = rule.negate_source;
    out.negate_destination = rule.negate_destination;
    out.services = rule.services;
    rules.push_back(std::move(out));
}

void ChangedRules::compare(const PolicyRule& before, const PolicyRule& after) {
    const PortSet either = *before.ports | *after.ports;
    const bool same_source = equal(before.source, after.source);
    const bool same_destination = equal(before.destination, after.destination);
    const bool is_alike = matches_alike_but_addresses(before, after);
    if (!is_alike || (before.rest != after.rest && !(same_source && same_destination))) {
        add(before, *before.ports);
        add(after, *after.ports);
        return;
    }
    if (before.rest != after.rest) { return add(after, either); }
    if (*before.ports != *after.ports) { add(after, *before.ports ^ *after.ports); }
    if (!same_source || !same_destination) { add_changed_addresses(before, after, either); }
}

// A flow whose addresses are in none of the differences is in both versions or in neither.
void ChangedRules::add_changed_addresses(const PolicyRule& before, const PolicyRule& after,
                                         const PortSet& where) {
    const bool same_source = equal(before.source, after.source);
    const bool same_destination = equal(before.destination, after.destination);
    PolicyRule part = after;
    part.beyond_ip = false;
    if (!same_source) {
        part.source = changed_addresses(before.source, after.source);
        part.negate_source = false;
        if (!same_destination) { part.destination.clear(); }
        if (!same_destination) { part.negate_destination = false; }
        add(part, where);
    }
    if (!same_destination) {
        part = after;
        part.beyond_ip = false;
        part.destination = changed_addresses(before.destination, after.destination);
        part.negate_destination = false;
        if (!same_source) { part.source.clear(); }
        if (!same_source) { part.negate_source = false; }
        add(part, where);
    }
}

AddressList ChangedRules::changed_addresses(const AddressList& before, const AddressList& after) {
    const auto gone = prints_without(before, after);
    const auto come = prints_without(after, before);
    const auto [at, is_new] = changed_lists_.try_emplace({gone, come});
    if (is_new) {
        at->second.push_back(std::make_shared<const AddressExpression>(
            in_one(united(before, gone), united(after, come))));
    }
    return at->second;
}

}  // namespace sluice::iochain
