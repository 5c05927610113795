// SPDX-License-Identifier: Apache-2.0
// Bindings of other hosts, from a real Sluice_Status and from disk, and this host's own claims.
#include "stage.h"

namespace sluice::fleet::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

const char* const kMac = "02:00:00:00:00:22";
const char* const kOwnMac = "02:00:00:00:00:11";

class FleetBindingsOfHosts : public testing::Test {
protected:
    void SetUp() override {
        if (!has_ovsdb()) { GTEST_SKIP() << "ovsdb-server is not installed"; }
    }
    static void begin(Stage& stage) {
        stage.commit(fleet_of(2));
        stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
        stage.wait_state(AgentState::kLive);
    }
    static bool knows(const Stage& stage, const std::string& mac) {
        return stage.host.bindings.contains(in_web(mac));
    }
};

TEST_F(FleetBindingsOfHosts, ComeAndGoLate) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{kMac, "1 100 10.0.0.2"}});
    stage.wait("the binding", [&] { return knows(stage, kMac); });
    const FleetBinding& binding = stage.host.bindings.at(in_web(kMac));
    EXPECT_EQ(to_string(binding.vtep), "172.16.0.2");
    ASSERT_EQ(binding.ips.size(), 1u);
    EXPECT_EQ(to_string(binding.ips[0]), "10.0.0.2");
    stage.tell_h2(json::object());
    stage.pass(milliseconds(500));
    EXPECT_TRUE(knows(stage, kMac)) << "it may come back";
    stage.wait("its end", [&] { return !knows(stage, kMac); });
}

TEST_F(FleetBindingsOfHosts, WhatComesBackInTimeWasNeverGone) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{kMac, "1 100 10.0.0.2"}});
    stage.wait("the binding", [&] { return knows(stage, kMac); });
    const std::size_t changes = stage.host.binding_changes;
    stage.status.remake();
    stage.tell_h2({{kMac, "1 200 10.0.0.2"}});
    stage.wait("the host's own row", [&] { return !stage.own_row("Host").is_null(); });
    stage.pass(milliseconds(4000));
    EXPECT_TRUE(knows(stage, kMac));
    EXPECT_EQ(stage.host.binding_changes, changes);
}

TEST_F(FleetBindingsOfHosts, AreThereAfterARestartWithoutDatabases) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{kMac, "1 100 10.0.0.2"}});
    stage.wait("the binding", [&] { return knows(stage, kMac); });
    stage.end_agent();
    stage.config.stop();
    stage.status.stop();
    stage.host.bindings.clear();
    stage.start_agent();
    EXPECT_TRUE(knows(stage, kMac)) << "before the loop turns";
    EXPECT_EQ(stage.agent->state(), AgentState::kConnect);
    stage.pass(milliseconds(4000));
    EXPECT_TRUE(knows(stage, kMac)) << "nothing ages";
}

TEST_F(FleetBindingsOfHosts, FromDiskGoOnceTheDatabaseSaysSo) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{kMac, "1 100 10.0.0.2"}, {"02:00:00:00:00:23", "1 100 10.0.0.3"}});
    stage.wait("both", [&] { return stage.host.bindings.size() == 2; });
    stage.end_agent();
    stage.tell_h2({{kMac, "1 100 10.0.0.2"}});
    const std::size_t changes = stage.host.binding_changes;
    stage.host.bindings.clear();
    stage.start_agent();
    EXPECT_EQ(stage.host.bindings.size(), 2u);
    stage.wait("one of them", [&] { return stage.host.bindings.size() == 1; });
    EXPECT_TRUE(knows(stage, kMac));
    EXPECT_EQ(stage.host.binding_changes, changes + 3) << "two come from disk, one goes";
}

TEST_F(FleetBindingsOfHosts, VtepsOfOtherHostsAreRemoteVteps) {
    Stage stage;
    const auto insert_host = [&](const char* vtep) {
        const json row{{"host", "h2"},
                       {"vteps", json::array({"map", json::array({json::array({"tep2", vtep})})})}};
        stage.status.transact(json::array({{{"op", "insert"}, {"table", "Host"}, {"row", row}}}));
    };
    insert_host(R"({"switch":"dvs0","ip":"172.16.0.2"})");
    begin(stage);
    ASSERT_FALSE(stage.host.documents.empty());
    EXPECT_EQ(stage.host.documents.front()["switches"][0]["remote_vteps"], json({"172.16.0.2"}))
        << "from the first view on";
    stage.status.transact(
        json::array({{{"op", "delete"}, {"table", "Host"}, {"where", json::array()}}}));
    stage.pass(milliseconds(500));
    EXPECT_EQ(stage.host.document()["switches"][0]["remote_vteps"], json({"172.16.0.2"}));
    stage.wait("its end", [&] {
        return stage.host.document()["switches"][0].value("remote_vteps", json::array()).empty();
    });
}

TEST_F(FleetBindingsOfHosts, AnOwnVnicClaimsWithTheNextSequence) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{kOwnMac, "4 100 10.0.0.1"}});
    stage.wait("the other's claim", [&] { return knows(stage, kOwnMac); });
    stage.host.plug("vm1", kOwnMac, "10.0.0.1");
    stage.wait("the own claim", [&] { return !stage.own_row("Binding").is_null(); });
    const json row = stage.own_row("Binding");
    EXPECT_EQ(row["segment"], "dvs0/vni5001");
    EXPECT_EQ(row["vtep"], "172.16.0.1");
    const auto claim = parse_claim(map_of(row["items"])[kOwnMac].get<std::string>());
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->sequence, 5);
    EXPECT_FALSE(knows(stage, kOwnMac)) << "an own MAC is nowhere else";
    stage.wait("the duplicate", [&] { return !stage.own_row("Problem").is_null(); });
    EXPECT_TRUE(map_of(stage.own_row("Problem")["items"])
                    .contains("binding dvs0/vni5001 " + std::string(kOwnMac)));
}

TEST_F(FleetBindingsOfHosts, ARestartKeepsTheSequence) {
    Stage stage;
    stage.host.plug("vm1", kOwnMac, "10.0.0.1");
    begin(stage);
    stage.wait("the own claim", [&] { return !stage.own_row("Binding").is_null(); });
    const json before = stage.own_row("Binding")["items"];
    stage.end_agent();
    stage.start_agent();
    stage.wait_state(AgentState::kLive);
    stage.pass(milliseconds(500));
    EXPECT_EQ(stage.own_row("Binding")["items"], before);
}

TEST_F(FleetBindingsOfHosts, NonsenseIsCountedAndTheRestCounts) {
    Stage stage;
    begin(stage);
    stage.tell_h2({{"no mac", "1 1"}, {kMac, "1 100 10.0.0.2"}, {"02:00:00:00:00:24", "one"}});
    stage.wait("the binding", [&] { return knows(stage, kMac); });
    EXPECT_EQ(stage.host.bindings.size(), 1u);
    EXPECT_EQ(stage.agent->status()["alarms"], json({"2 bindings of other hosts make no sense"}));
}

}  // namespace
}  // namespace sluice::fleet::test
