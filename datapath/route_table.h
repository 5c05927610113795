// SPDX-License-Identifier: Apache-2.0
// RouteTable: where a router sends a destination, by its longest prefix. Part of the snapshot: made
// by the compilation from connected and static routes, immutable then, read by workers for first
// packets only.
//
// Prefixes are nested or apart, so that the addresses of a family fall into ranges with one best
// route each. find() is a binary search for the range: 17 steps among 100 k routes, whatever their
// lengths, over 4 bytes a range (IPv6: 16).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::datapath {

class RouteTable {
public:
    enum class Kind : std::uint8_t {
        kConnected,  ///< The destination itself is in the domain of `interface`.
        kNextHops,   ///< One of `next_hops`.
        kBlackhole,
    };
    struct NextHop {
        IpAddr ip;
        std::uint16_t interface = 0;  ///< Index into RouterConfig::interfaces.

        bool operator==(const NextHop&) const = default;
    };
    struct Row {
        IpPrefix prefix;
        Kind kind = Kind::kBlackhole;
        std::uint16_t interface = 0;     ///< kConnected: index into RouterConfig::interfaces.
        std::vector<NextHop> next_hops;  ///< kNextHops: 1..kNextHopMax of the prefix's family.

        bool operator==(const Row&) const = default;
    };

    /// What find() says: valid as long as the table.
    struct Found {
        Kind kind;
        std::uint16_t interface;
        std::span<const NextHop> next_hops;
        IpPrefix prefix;
    };
    /// An address as a number: orders as addresses do.
    struct Number {
        std::uint64_t high = 0, low = 0;
        constexpr auto operator<=>(const Number&) const noexcept = default;
    };

    /// @param rows  ascending by prefix, each prefix once
    [[nodiscard]] static std::shared_ptr<const RouteTable> build(std::vector<Row> rows);

    /// The route of the longest prefix that contains `ip`; nothing if none does.
    [[nodiscard]] std::optional<Found> find(const IpAddr& ip) const noexcept;
    /// As they were given: tables with equal rows route alike.
    [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }

private:
    explicit RouteTable(std::vector<Row> rows);

    /// The ranges of one family: first address of each, and the index of its row or kNone.
    template <typename Key>
    struct Ranges {
        std::vector<Key> first;
        std::vector<std::uint32_t> row;
    };
    static constexpr std::uint32_t kNone = 0xffffffffU;

    template <typename Key>
    [[nodiscard]] static std::uint32_t row_at(const Ranges<Key>& ranges, const Key& at) noexcept;
    template <typename Key>
    void fill(IpFamily family, Ranges<Key>& ranges) const;

    std::vector<Row> rows_;
    Ranges<std::uint32_t> v4_;
    Ranges<Number> v6_;
};

}  // namespace sluice::datapath
