// SPDX-License-Identifier: Apache-2.0
// RouteTable: see route_table.h.
#include "datapath/route_table.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

using Number = RouteTable::Number;

std::uint64_t eight_bytes(const std::uint8_t* at) noexcept {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) { value = value << 8U | at[i]; }
    return value;
}

template <typename Key>
Key number_of(const IpAddr& ip) noexcept {
    if constexpr (std::is_same_v<Key, Number>) {
        return {eight_bytes(ip.bytes.data()), eight_bytes(ip.bytes.data() + 8)};
    } else {
        return ip.v4_host();
    }
}

// Ones where an address of the prefix may differ.
template <typename Key>
Key host_bits(std::uint8_t length) noexcept {
    if constexpr (std::is_same_v<Key, Number>) {
        const std::uint64_t high = length >= 64 ? 0 : ~std::uint64_t{0} >> length;
        const std::uint64_t low = length <= 64    ? ~std::uint64_t{0}
                                  : length >= 128 ? 0
                                                  : ~std::uint64_t{0} >> (length - 64U);
        return {high, low};
    } else {
        return length >= 32 ? 0 : ~std::uint32_t{0} >> length;
    }
}

template <typename Key>
Key last_of(const IpPrefix& prefix) noexcept {
    const Key first = number_of<Key>(prefix.address);
    const Key host = host_bits<Key>(prefix.length);
    if constexpr (std::is_same_v<Key, Number>) {
        return {first.high | host.high, first.low | host.low};
    } else {
        return first | host;
    }
}

// Nothing: it was the last address of all.
template <typename Key>
std::optional<Key> after(const Key& key) noexcept {
    if constexpr (std::is_same_v<Key, Number>) {
        const std::uint64_t low = key.low + 1;
        const std::uint64_t high = key.high + (low == 0 ? 1U : 0U);
        return high == 0 && low == 0 ? std::nullopt : std::optional(Number{high, low});
    } else {
        return key == ~Key{0} ? std::nullopt : std::optional<Key>(key + 1U);
    }
}

}  // namespace

RouteTable::RouteTable(std::vector<Row> rows) : rows_(std::move(rows)) {
    SLUICE_ASSERT(std::is_sorted(rows_.begin(), rows_.end(),
                                 [](const Row& a, const Row& b) { return a.prefix < b.prefix; }));
    fill(IpFamily::kV4, v4_);
    fill(IpFamily::kV6, v6_);
}

std::shared_ptr<const RouteTable> RouteTable::build(std::vector<Row> rows) {
    return std::shared_ptr<const RouteTable>(new RouteTable(std::move(rows)));
}

// A sweep over prefixes in order: those that are open enclose each other, the innermost last.
template <typename Key>
void RouteTable::fill(IpFamily family, Ranges<Key>& ranges) const {
    std::vector<std::uint32_t> open;
    const auto begin_range = [&ranges](const Key& at, std::uint32_t row) {
        if (!ranges.first.empty() && ranges.first.back() == at) {
            ranges.row.back() = row;
            return;
        }
        ranges.first.push_back(at);
        ranges.row.push_back(row);
    };
    const auto close_innermost = [&] {
        const std::optional<Key> next = after(last_of<Key>(rows_[open.back()].prefix));
        open.pop_back();
        if (next) { begin_range(*next, open.empty() ? kNone : open.back()); }
    };
    for (std::uint32_t i = 0; i < rows_.size(); ++i) {
        const IpPrefix& prefix = rows_[i].prefix;
        if (prefix.address.family != family) { continue; }
        const Key first = number_of<Key>(prefix.address);
        while (!open.empty() && last_of<Key>(rows_[open.back()].prefix) < first) {
            close_innermost();
        }
        begin_range(first, i);
        open.push_back(i);
    }
    while (!open.empty()) { close_innermost(); }
    ranges.first.shrink_to_fit();
    ranges.row.shrink_to_fit();
}

template <typename Key>
std::uint32_t RouteTable::row_at(const Ranges<Key>& ranges, const Key& at) noexcept {
    const auto next = std::upper_bound(ranges.first.begin(), ranges.first.end(), at);
    if (next == ranges.first.begin()) { return kNone; }
    return ranges.row[static_cast<std::size_t>(next - ranges.first.begin()) - 1];
}

std::optional<RouteTable::Found> RouteTable::find(const IpAddr& ip) const noexcept {
    const std::uint32_t at =
        ip.is_v4() ? row_at(v4_, ip.v4_host()) : row_at(v6_, number_of<Number>(ip));
    if (at == kNone) { return std::nullopt; }
    const Row& row = rows_[at];
    return Found{row.kind, row.interface, row.next_hops, row.prefix};
}

}  // namespace sluice::datapath
