// SPDX-License-Identifier: Apache-2.0
// The longest prefix, against a plain walk over all routes.
#include "datapath/route_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sluice/net/address_text.h"

namespace sluice::datapath::test {
namespace {

using Row = RouteTable::Row;
using Kind = RouteTable::Kind;

IpAddr ip(std::string_view text) { return *parse_ip(text); }

IpPrefix masked(IpAddr address, std::uint8_t length) {
    const unsigned first = address.is_v4() ? 12 : 0;
    for (unsigned bit = length; bit < (16 - first) * 8; ++bit) {
        address.bytes[first + bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
    }
    return {address, length};
}

std::shared_ptr<const RouteTable> table(std::vector<Row> rows) {
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.prefix < b.prefix; });
    rows.erase(std::unique(rows.begin(), rows.end(),
                           [](const Row& a, const Row& b) { return a.prefix == b.prefix; }),
               rows.end());
    return RouteTable::build(std::move(rows));
}

std::optional<IpPrefix> longest(const std::vector<Row>& rows, const IpAddr& to) {
    std::optional<IpPrefix> best;
    for (const Row& row : rows) {
        if (row.prefix.contains(to) && (!best || row.prefix.length > best->length)) {
            best = row.prefix;
        }
    }
    return best;
}

/// Addresses crowd in few places, so that prefixes nest.
IpAddr random_address(std::mt19937& random, bool is_v6) {
    IpAddr out = is_v6 ? ip("2001:db8::") : ip("10.0.0.0");
    const auto byte = [&random](unsigned choices) {
        return static_cast<std::uint8_t>(255U * (random() % choices) / (choices - 1));
    };
    for (std::size_t i = is_v6 ? 4 : 12; i < 16; ++i) {
        out.bytes[i] = random() % 4 == 0 ? static_cast<std::uint8_t>(random()) : byte(3);
    }
    return out;
}

void compare(bool is_v6, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<Row> rows;
    for (unsigned i = 0; i < 300; ++i) {
        const auto length = static_cast<std::uint8_t>(random() % (is_v6 ? 129 : 33));
        rows.push_back({masked(random_address(random, is_v6), length), Kind::kBlackhole, 0, {}});
        rows.push_back({masked(random_address(random, !is_v6), 8), Kind::kBlackhole, 0, {}});
    }
    const auto routes = table(rows);
    for (unsigned i = 0; i < 3000; ++i) {
        const IpAddr to = random_address(random, is_v6);
        const auto found = routes->find(to);
        const auto expected = longest(routes->rows(), to);
        ASSERT_EQ(found.has_value(), expected.has_value()) << to_string(to) << " seed " << seed;
        if (found) { ASSERT_EQ(found->prefix, *expected) << to_string(to) << " seed " << seed; }
    }
    for (const Row& row : routes->rows()) {  // The first address of each, and its last one.
        const auto found = routes->find(row.prefix.address);
        ASSERT_TRUE(found.has_value());
        ASSERT_EQ(found->prefix, *longest(routes->rows(), row.prefix.address));
    }
}

TEST(RouteTable, FindsTheLongestPrefix) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        compare(false, seed);
        compare(true, seed);
    }
}

TEST(RouteTable, SaysWhatTheRowSays) {
    const auto routes = table({{{ip("10.0.0.0"), 24}, Kind::kConnected, 3, {}},
                               {{ip("0.0.0.0"), 0}, Kind::kNextHops, 0, {{ip("10.0.0.1"), 3}}}});
    EXPECT_EQ(routes->find(ip("10.0.0.9"))->kind, Kind::kConnected);
    EXPECT_EQ(routes->find(ip("10.0.0.9"))->interface, 3);
    const auto other = routes->find(ip("10.0.1.0"));
    ASSERT_TRUE(other.has_value());
    ASSERT_EQ(other->next_hops.size(), 1u);
    EXPECT_EQ(other->next_hops[0].ip, ip("10.0.0.1"));
    EXPECT_FALSE(routes->find(ip("2001:db8::1")).has_value());
}

TEST(RouteTable, TheEndsOfTheAddressSpaceHaveRoutesToo) {
    const IpAddr last = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    const auto routes = table({{{ip("255.255.255.255"), 32}, Kind::kBlackhole, 0, {}},
                               {{ip("0.0.0.0"), 32}, Kind::kBlackhole, 0, {}},
                               {{last, 128}, Kind::kBlackhole, 0, {}},
                               {{ip("::"), 1}, Kind::kBlackhole, 0, {}}});
    EXPECT_TRUE(routes->find(ip("255.255.255.255")).has_value());
    EXPECT_FALSE(routes->find(ip("255.255.255.254")).has_value());
    EXPECT_TRUE(routes->find(ip("0.0.0.0")).has_value());
    EXPECT_FALSE(routes->find(ip("0.0.0.1")).has_value());
    EXPECT_TRUE(routes->find(last).has_value());
    EXPECT_TRUE(routes->find(ip("7fff::1")).has_value());
    EXPECT_FALSE(routes->find(ip("8000::")).has_value());
}

TEST(RouteTable, AnEmptyOneHasNoRoutes) {
    const auto routes = RouteTable::build({});
    EXPECT_FALSE(routes->find(ip("10.0.0.1")).has_value());
    EXPECT_FALSE(routes->find(ip("2001:db8::1")).has_value());
}

}  // namespace
}  // namespace sluice::datapath::test
