// SPDX-License-Identifier: Apache-2.0
// AddressExpression: brings a prefix list to its one canonical form and searches it. Built on the
// control thread (or its compile helper), read by workers through dvfilter's rules.
#include "sluice/iochain/address_expression.h"

#include <algorithm>
#include <utility>

#include "iochain/address_order.h"
#include "iochain/fingerprint.h"

namespace sluice {
namespace {

using iochain::host_mask;
using iochain::Uint128;
using iochain::wide;

bool before(const IpPrefix& a, const IpPrefix& b) noexcept {
    if (a.address.family != b.address.family) { return a.address.family < b.address.family; }
    const Uint128 left = wide(a.address);
    const Uint128 right = wide(b.address);
    return left != right ? left < right : a.length < b.length;
}

/// True if the two are the halves of one shorter prefix, `low` the lower one.
bool are_siblings(const IpPrefix& low, const IpPrefix& high) noexcept {
    if (low.length != high.length || low.length == 0 || low.address.family != high.address.family) {
        return false;
    }
    const Uint128 bit = host_mask(low) + 1U;
    return (wide(low.address) & bit) == 0 && (wide(low.address) | bit) == wide(high.address);
}

/// Appends to a sorted canonical list; `next` does not sort before its last element.
void append(std::vector<IpPrefix>& list, const IpPrefix& next) {
    if (!list.empty() && list.back().contains(next.address)) { return; }
    list.push_back(next);
    while (list.size() >= 2 && are_siblings(list[list.size() - 2], list.back())) {
        list.pop_back();
        --list.back().length;
    }
}

std::array<std::uint64_t, 2> hash(std::span<const IpPrefix> prefixes,
                                  std::span<const PortIndex> members) noexcept {
    iochain::Fingerprint print;
    for (const IpPrefix& prefix : prefixes) {
        const Uint128 address = wide(prefix.address);
        print.add(static_cast<std::uint64_t>(address >> 64U));
        print.add(static_cast<std::uint64_t>(address));
        print.add((std::uint64_t{prefix.length} << 8U) |
                  static_cast<std::uint64_t>(prefix.address.family));
    }
    for (const PortIndex port : members) { print.add(0x10000U | port.value); }
    return print.value();
}

bool before_port(PortIndex a, PortIndex b) noexcept { return a.value < b.value; }

}  // namespace

AddressExpression::AddressExpression(std::vector<IpPrefix> prefixes, std::vector<PortIndex> members)
    : members_(std::move(members)) {
    std::sort(members_.begin(), members_.end(), before_port);
    members_.erase(std::unique(members_.begin(), members_.end()), members_.end());
    std::erase_if(prefixes, [](const IpPrefix& p) { return p.address.family == IpFamily::kNone; });
    if (!std::is_sorted(prefixes.begin(), prefixes.end(), before)) {
        std::sort(prefixes.begin(), prefixes.end(), before);
    }
    prefixes_.reserve(prefixes.size());
    for (const IpPrefix& prefix : prefixes) { append(prefixes_, prefix); }
    prefixes_.shrink_to_fit();
    const auto is_v4 = [](const IpPrefix& p) { return p.address.is_v4(); };
    v4_count_ = static_cast<std::size_t>(
        std::partition_point(prefixes_.begin(), prefixes_.end(), is_v4) - prefixes_.begin());
    fingerprint_ = hash(prefixes_, members_);
}

bool AddressExpression::has_member(PortIndex port) const noexcept {
    return std::binary_search(members_.begin(), members_.end(), port, before_port);
}

bool AddressExpression::contains(const IpAddr& ip) const noexcept {
    const auto list = ip.is_v4() ? v4() : v6();
    const Uint128 value = wide(ip);
    const auto above =
        std::upper_bound(list.begin(), list.end(), value,
                         [](Uint128 v, const IpPrefix& p) { return v < wide(p.address); });
    return above != list.begin() && (above - 1)->contains(ip);
}

}  // namespace sluice
