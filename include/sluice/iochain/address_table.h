// SPDX-License-Identifier: Apache-2.0
// AddressTable: what the document says about who has an address in one layer-2 domain: the own
// addresses of this host's ports, and hosts elsewhere. It beats whatever was learned. Part of the
// snapshot: made on the control thread, immutable then, read by workers for first packets and
// inspected frames.
#pragma once

#include <algorithm>
#include <compare>
#include <span>
#include <utility>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/net/address.h"

namespace sluice {

/// One fact of the document.
struct AddressOwner {
    IpAddr ip;
    PortIndex port = kNoPort;  ///< kNoPort: not on this host.
    MacAddr mac;

    constexpr auto operator<=>(const AddressOwner&) const noexcept = default;
};

class AddressTable {
public:
    AddressTable() = default;
    /// @param rows  any order. An address may have several owners: find() names that of the lowest
    /// port, and one of this host before one elsewhere.
    explicit AddressTable(std::vector<AddressOwner> rows) : rows_(std::move(rows)) {
        std::sort(rows_.begin(), rows_.end());
        rows_.erase(std::unique(rows_.begin(), rows_.end()), rows_.end());
    }

    /// Who has `ip`; nullptr if the document does not say. Valid as long as the snapshot.
    [[nodiscard]] const AddressOwner* find(const IpAddr& ip) const noexcept {
        const std::span<const AddressOwner> rows = of(ip);
        return rows.empty() ? nullptr : &rows.front();
    }
    /// True if `ip` is one of the addresses that the document gives `port` here.
    [[nodiscard]] bool owns(PortIndex port, const IpAddr& ip) const noexcept {
        const std::span<const AddressOwner> rows = of(ip);
        return std::any_of(rows.begin(), rows.end(),
                           [port](const AddressOwner& row) { return row.port == port; });
    }
    /// Ascending.
    [[nodiscard]] const std::vector<AddressOwner>& rows() const noexcept { return rows_; }

private:
    [[nodiscard]] std::span<const AddressOwner> of(const IpAddr& ip) const noexcept {
        const auto first =
            std::lower_bound(rows_.begin(), rows_.end(), ip,
                             [](const AddressOwner& row, const IpAddr& x) { return row.ip < x; });
        auto last = first;
        while (last != rows_.end() && last->ip == ip) { ++last; }
        return {first, last};
    }

    std::vector<AddressOwner> rows_;
};

}  // namespace sluice
