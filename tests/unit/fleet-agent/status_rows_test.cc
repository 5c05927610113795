// SPDX-License-Identifier: Apache-2.0
// Rows of a host and the transactions that bring them about.
#include "controller-agent/fleet/status_rows.h"

#include <gtest/gtest.h>

#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

LocalState local(std::size_t ports) {
    LocalState state;
    for (std::size_t i = 0; i < ports; ++i) {
        LocalPort port;
        port.name = "vm" + std::to_string(i);
        port.segment = "dvs0/vni5001";
        port.is_up = true;
        state.ports.push_back(port);
    }
    state.vteps = {{"tep9", "dvs0", *parse_ip("172.16.0.9")},
                   {"tep1", "dvs0", *parse_ip("172.16.0.1")}};
    return state;
}

StatusRows rows(const LocalState& state, const OwnClaims& claims = {}) {
    return status_rows({"1.0.0", "live", 5, 7, 1, {}}, state, claims, {});
}

PresentRows present(const StatusRows& wanted) {
    PresentRows out;
    std::uint8_t id = 0;
    for (const auto& [key, columns] : wanted) {
        ovsdb::Uuid uuid;
        uuid.bytes[0] = ++id;
        out[key] = {uuid, std::make_shared<const ovsdb::Row>(columns)};
    }
    return out;
}

TEST(FleetStatusRows, TheFirstVtepByNameIsWhereASegmentIs) {
    const auto vteps = local(0).vteps;
    EXPECT_EQ(to_string(vtep_of("dvs0/vni5001", vteps)), "172.16.0.1");
    EXPECT_EQ(vtep_of("dvs1/vni5001", vteps), IpAddr{});
    EXPECT_EQ(vtep_of("dvs0/vlan10", vteps), IpAddr{});
}

TEST(FleetStatusRows, NothingIsDoneIfNothingDiffers) {
    const StatusRows wanted = rows(local(3));
    EXPECT_TRUE(status_operations("h1", wanted, present(wanted), 100).empty());
}

TEST(FleetStatusRows, OnePortMoreIsOneMutation) {
    const json operations = status_operations("h1", rows(local(4)), present(rows(local(3))), 100);
    ASSERT_EQ(operations.size(), 2u);
    EXPECT_EQ(operations[0]["op"], "update");
    EXPECT_EQ(operations[0]["row"], json({{"ports", 4}}));
    EXPECT_EQ(operations[1]["op"], "mutate");
    ASSERT_EQ(operations[1]["mutations"].size(), 1u);
    EXPECT_EQ(operations[1]["mutations"][0][1], "insert");
    EXPECT_EQ(operations[1]["mutations"][0][2][1].size(), 1u);
}

TEST(FleetStatusRows, AChangedEntryIsDeletedAndInserted) {
    LocalState down = local(3);
    down.ports[1].is_up = false;
    const json operations = status_operations("h1", rows(down), present(rows(local(3))), 100);
    ASSERT_EQ(operations.size(), 1u);
    EXPECT_EQ(operations[0]["mutations"][0][1], "delete");
    EXPECT_EQ(operations[0]["mutations"][0][2], json::parse(R"(["set",["vm1"]])"));
    EXPECT_EQ(operations[0]["mutations"][1][1], "insert");
}

TEST(FleetStatusRows, AreChunked) {
    std::size_t ports = 0, chunks = 0;
    for (const auto& [key, columns] : rows(local(3 * kFleetChunkItems))) {
        if (key.table != "Port") { continue; }
        ++chunks;
        ports += columns.at("items").keys.size();
        EXPECT_LT(columns.at("items").keys.size(), kFleetChunkItems);
    }
    EXPECT_EQ(chunks, 4u);
    EXPECT_EQ(ports, 3 * kFleetChunkItems);
}

TEST(FleetStatusRows, WhatIsNoLongerWantedIsDeleted) {
    const OwnClaims claims{{{"dvs0/vni5001", *parse_mac("02:00:00:00:00:01")}, {1, 2, {}}}};
    const StatusRows before = rows(local(1), claims);
    ASSERT_EQ(before.count({"Binding", "dvs0/vni5001", "172.16.0.1", 0}), 1u);
    const json operations = status_operations("h1", rows(local(1)), present(before), 100);
    ASSERT_EQ(operations.size(), 1u);
    EXPECT_EQ(operations[0]["op"], "delete");
    EXPECT_EQ(operations[0]["table"], "Binding");
}

TEST(FleetStatusRows, InsertionsCarryTheIdentity) {
    const json operations = status_operations("h1", rows(local(1)), {}, 100);
    for (const json& each : operations) {
        EXPECT_EQ(each["op"], "insert");
        EXPECT_EQ(each["row"]["host"], "h1");
        EXPECT_EQ(each["row"].contains("chunk"), each["table"] != "Host");
    }
    EXPECT_EQ(status_operations("h1", rows(local(1)), {}, 1).size(), 1u);
}

}  // namespace
}  // namespace sluice::fleet
