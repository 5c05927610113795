// SPDX-License-Identifier: Apache-2.0
// Packing and unpacking: nothing is lost, order counts where it counts, a small change touches one
// row, and damaged rows cost what they hold.
#include <algorithm>

#include "documents.h"
#include "sluice/base/limits.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

json unpacked(const PackedRows& rows) {
    std::vector<Problem> problems;
    json document = unpack(rows, problems);
    EXPECT_TRUE(problems.empty()) << problems.front().object << ": " << problems.front().reason;
    return document;
}

json many_ports(std::size_t count) {
    json document{{"hosts", {{{"name", "h1"}}}},
                  {"switches", {{{"name", "s"}}}},
                  {"port_groups", {{{"name", "g"}}}},
                  {"ports", json::array()}};
    for (std::size_t i = 0; i < count; ++i) {
        document["ports"].push_back({{"name", "p" + std::to_string(i)}, {"host", "h1"}});
    }
    return document;
}

std::size_t rows_of_table(const PackedRows& rows, const std::string& table) {
    return static_cast<std::size_t>(std::count_if(
        rows.begin(), rows.end(), [&](const auto& row) { return row.first.table == table; }));
}

std::size_t differing(const PackedRows& a, const PackedRows& b) {
    std::size_t count = 0;
    for (const auto& [key, row] : a) {
        const auto other = b.find(key);
        count += other == b.end() || !(other->second == row) ? 1 : 0;
    }
    for (const auto& [key, row] : b) { count += a.contains(key) ? 0 : 1; }
    return count;
}

TEST(FleetPack, UnpackGivesTheNormalisedDocumentAgain) {
    const json document = normal(small_fleet());
    EXPECT_EQ(unpacked(pack(document)), document);
    EXPECT_EQ(normal(document), document) << "normalising twice changes nothing";
}

TEST(FleetPack, KeepsTheOrderOfRulesSectionsAndAcls) {
    const json document = unpacked(pack(normal(small_fleet())));
    EXPECT_EQ(names(document, "acls"), (Names{"z", "a"}));
    EXPECT_EQ(names(document["acls"][0], "rules"), (Names{"r2", "r1"}));
    EXPECT_EQ(names(document["dfw"], "sections"), (Names{"z", "empty", "a"}));
    EXPECT_EQ(names(document["dfw"]["sections"][0], "rules"), (Names{"b", "a"}));
    EXPECT_EQ(names(document, "port_groups"), (Names{"db", "legacy", "web"}));
}

TEST(FleetPack, WritesTheAddressesOfWhatRulesName) {
    const PackedRows rows = pack(normal(small_fleet()));
    const PackedRow& webs = rows.at({"Member", "webs", 0});
    EXPECT_EQ(webs.items.at("10.0.1.1"), "h1");
    EXPECT_EQ(webs.items.at("10.0.3.3"), "h2");
    EXPECT_EQ(rows.at({"Member", "vm2", 0}).items.size(), 1u);
    EXPECT_EQ(rows.at({"Member", "legacy", 0}).items.at("10.0.3.3"), "h2");
    EXPECT_FALSE(rows.contains({"Member", "web", 0})) << "no rule names it";
}

TEST(FleetPack, GivesAMemberTheAddressesOfItsBindings) {
    json document = small_fleet();
    document["ports"][2]["mac"] = "02:00:00:00:00:0a";
    const PackedRows rows = pack(normal(document));
    EXPECT_EQ(rows.at({"Member", "legacy", 0}).items.count("10.0.3.9"), 1u);
}

TEST(FleetPack, ScopesAreHostsRouterSegmentsAndHolders) {
    const PackedRows rows = pack(normal(small_fleet()));
    EXPECT_TRUE(rows.contains({"Port", "h1", 0}));
    EXPECT_TRUE(rows.contains({"Uplink", "h2", 0}));
    EXPECT_TRUE(rows.contains({"Rule", "z", 0}));
    EXPECT_TRUE(rows.contains({"ACL_Rule", "a", 0}));
    EXPECT_TRUE(rows.contains({"Route", "ldr", 0}));
    EXPECT_TRUE(rows.contains({"Binding", "dvs0/vni5001", 0}));
    EXPECT_TRUE(rows.contains({"Binding", "dvs1/vlan10", 0}));
    EXPECT_EQ(rows.at({"Address_Set_Member", "office", 0}).items.size(), 2u);
    EXPECT_EQ(rows.at({"Global", "", 0}).items.count("dfw"), 1u);
}

TEST(FleetPack, AChangedObjectTouchesOneRow) {
    json document = normal(many_ports(10 * kFleetChunkItems));
    const PackedRows before = pack(document);
    EXPECT_GT(rows_of_table(before, "Port"), 4u);
    for (const auto& [key, row] : before) { EXPECT_LT(row.items.size(), 3 * kFleetChunkItems); }
    document["ports"][77]["enabled"] = false;
    EXPECT_EQ(differing(before, pack(document, &before)), 1u);
}

TEST(FleetPack, KeepsItsChunksUntilTheyAreTwiceTooLarge) {
    const PackedRows before = pack(normal(many_ports(1900)));
    const PackedRows more = pack(normal(many_ports(1910)), &before);
    EXPECT_LE(differing(before, more), rows_of_table(before, "Port"));
    EXPECT_EQ(rows_of_table(more, "Port"), rows_of_table(before, "Port"));
    const PackedRows most = pack(normal(many_ports(9000)), &before);
    EXPECT_GT(rows_of_table(most, "Port"), rows_of_table(before, "Port"));
    EXPECT_EQ(unpacked(most)["ports"].size(), 9000u);
    const PackedRows few = pack(normal(many_ports(3)), &most);
    EXPECT_EQ(rows_of_table(few, "Port"), 1u);
}

TEST(FleetPack, ADamagedRowCostsWhatItHolds) {
    PackedRows rows = pack(normal(small_fleet()));
    rows.at({"Port", "h1", 0}).items["broken"] = "{\"name\":";
    rows.at({"Section", "", 0}).order.push_back("ghost");
    rows[{"Rule", "nowhere", 0}].items["r"] = "{}";
    std::vector<Problem> problems;
    const json document = unpack(rows, problems);
    EXPECT_EQ(document, normal(small_fleet()));
    ASSERT_EQ(problems.size(), 3u);
    EXPECT_EQ(problems[0].object, "port broken");
    EXPECT_EQ(problems[1].object, "section ghost");
    EXPECT_EQ(problems[2].object, "rule nowhere/r");
}

/// A document with whatever is drawn.
json random_fleet(std::mt19937& random) {
    const auto below = [&](std::size_t n) { return std::size_t{random() % n}; };
    const auto name = [&](const char* kind, std::size_t i) { return kind + std::to_string(i); };
    json document = json::object();
    const std::size_t hosts = 1 + below(4), groups = 1 + below(5);
    for (std::size_t i = 0; i < hosts; ++i) {
        document["hosts"].push_back({{"name", name("h", i)}});
        if (below(2) == 0) {
            document["uplinks"].push_back({{"name", "up0"}, {"host", name("h", i)}});
        }
    }
    document["switches"].push_back({{"name", "s0"}, {"mtu", 1400 + below(100)}});
    for (std::size_t i = 0; i < groups; ++i) {
        document["port_groups"].push_back({{"name", name("g", i)}, {"vni", 5000 + i}});
    }
    for (std::size_t i = below(30); i > 0; --i) {
        document["ports"].push_back({{"name", name("p", i)},
                                     {"host", name("h", below(hosts))},
                                     {"port_group", name("g", below(groups))},
                                     {"ips", {"10.0.0." + std::to_string(i)}}});
    }
    for (std::size_t i = below(4); i > 0; --i) {
        json rules = json::array();
        std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t r : order) {
            rules.push_back({{"name", name("r", r)}, {"source", {name("g", below(groups))}}});
        }
        document["dfw"]["sections"].push_back({{"name", name("s", i)}, {"rules", rules}});
        document["acls"].push_back({{"name", name("a", i)}, {"rules", rules}});
    }
    for (std::size_t i = below(6); i > 0; --i) {
        document["bindings"].push_back({{"port_group", name("g", below(groups))},
                                        {"mac", "02:00:00:00:00:01"},
                                        {"ip", "10.0.9." + std::to_string(i)}});
    }
    return document;
}

TEST(FleetPack, RandomDocumentsComeBack) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    PackedRows before;
    for (int i = 0; i < 200; ++i) {
        const json document = normal(random_fleet(random));
        const PackedRows rows = pack(document, &before);
        ASSERT_EQ(unpacked(rows), document);
        ASSERT_EQ(pack(document), pack(unpacked(rows)));
        before = rows;
    }
}

}  // namespace
}  // namespace sluice::fleet
