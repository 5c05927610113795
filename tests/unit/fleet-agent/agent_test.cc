// SPDX-License-Identifier: Apache-2.0
// From rows of a real Sluice_Config to what a host runs: states, whole commits, the guard,
// refusals.
#include "stage.h"

namespace sluice::fleet::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

class FleetAgent : public testing::Test {
protected:
    void SetUp() override {
        if (!has_ovsdb()) { GTEST_SKIP() << "ovsdb-server is not installed"; }
    }
    static std::size_t ports(const Stage& stage) {
        return stage.host.document().value("ports", json::array()).size();
    }
};

TEST_F(FleetAgent, RunsTheViewAndTakesChanges) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    EXPECT_EQ(ports(stage), 2u);
    EXPECT_EQ(stage.agent->status()["generation"], 1);
    stage.commit(fleet_of(3));
    stage.wait("a third port", [&] { return ports(stage) == 3; });
    EXPECT_EQ(stage.agent->state(), AgentState::kLive);
}

TEST_F(FleetAgent, GoesOnWithoutItsDatabaseAndChangesNothingWhenItIsBack) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    stage.pass(milliseconds(300));
    const std::size_t applied = stage.host.documents.size();
    stage.config.stop();
    stage.wait_state(AgentState::kLost);
    EXPECT_TRUE(stage.agent->status().contains("why"));
    stage.config.start();
    stage.wait_state(AgentState::kLive);
    EXPECT_EQ(stage.host.documents.size(), applied);
    EXPECT_EQ(stage.agent->status()["generation"], 1);
}

TEST_F(FleetAgent, DoesNotRunHalfOfACommit) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    const std::size_t applied = stage.host.documents.size();
    Commit half{stage.generation, 1, stage.status.remote(), true, {{"writing", "{}"}}};
    stage.config.transact(commit_operations(fleet_of(9), half));
    stage.pass(milliseconds(500));
    EXPECT_EQ(stage.host.documents.size(), applied);
    stage.commit(fleet_of(10));
    stage.wait("the whole", [&] { return ports(stage) == 10; });
    EXPECT_EQ(stage.host.documents.size(), applied + 1);
}

TEST_F(FleetAgent, HoldsAMassDeletionUntilTheEpochGrows) {
    Stage stage;
    stage.commit(fleet_of(150));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.commit(fleet_of(10));
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(ports(stage), 150u);
    EXPECT_EQ(stage.agent->state(), AgentState::kReconcile);
    EXPECT_EQ(stage.agent->status()["generation"], 1) << "what runs, not what is held";
    stage.commit(fleet_of(10), 2);
    stage.wait("the deletion", [&] { return ports(stage) == 10; });
    stage.wait_state(AgentState::kLive);
    EXPECT_TRUE(stage.agent->status()["alarms"].empty());
}

TEST_F(FleetAgent, ARestartIsNoWayAroundTheGuard) {
    Stage stage;
    stage.commit(fleet_of(150));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    stage.end_agent();
    stage.commit(fleet_of(10));
    stage.start_agent();
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(ports(stage), 150u);
}

TEST_F(FleetAgent, AnEmptyDatabaseTakesNothingAway) {
    Stage stage(fleet_of(1));
    stage.wait_state(AgentState::kReconcile);
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(stage.host.documents.size(), 1u);
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return ports(stage) == 2; });
    stage.wait_state(AgentState::kLive);
}

TEST_F(FleetAgent, ADatabaseMadeAnewTakesNothingAway) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    stage.config.remake();
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(ports(stage), 2u);
    stage.commit(fleet_of(3));
    stage.wait("the new one", [&] { return ports(stage) == 3; });
    stage.wait_state(AgentState::kLive);
}

TEST_F(FleetAgent, WaitsForAServerThatIsBehind) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.config.keep();
    stage.commit(fleet_of(3));
    stage.wait("a third port", [&] { return ports(stage) == 3; });
    stage.wait_state(AgentState::kLive);
    const std::size_t applied = stage.host.documents.size();
    stage.config.fall_back();
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(stage.agent->status()["alarms"][0],
              "the server is behind: generation 2 was seen, and it has 1: what runs is kept");
    EXPECT_EQ(stage.agent->state(), AgentState::kReconcile);
    stage.pass(milliseconds(300));
    EXPECT_EQ(stage.host.documents.size(), applied);
    EXPECT_EQ(stage.agent->status()["generation"], 2);
    stage.commit(fleet_of(4));
    stage.wait("the newer one", [&] { return ports(stage) == 4; });
    stage.wait_state(AgentState::kLive);
    EXPECT_TRUE(stage.agent->status()["alarms"].empty());
    EXPECT_EQ(stage.agent->status()["generation"], 3);
}

TEST_F(FleetAgent, ADatabaseThatWasSetBackCountsInTheEnd) {
    Stage stage;
    stage.end_agent();
    stage.behind_ms = 200;
    stage.start_agent();
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.config.keep();
    stage.commit(fleet_of(3));
    stage.wait("a third port", [&] { return ports(stage) == 3; });
    stage.config.fall_back();
    stage.wait("two ports", [&] { return ports(stage) == 2; });
    stage.wait_state(AgentState::kLive);
    EXPECT_EQ(stage.agent->status()["generation"], 1);
    EXPECT_TRUE(stage.agent->status()["alarms"].empty());
}

TEST_F(FleetAgent, ACommitThatConcernsOtherHostsIsToldAndNotApplied) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    const auto change = [&](const json& row) {
        stage.config.transact(json::array(
            {{{"op", "update"}, {"table", "Global"}, {"where", json::array()}, {"row", row}}}));
        stage.wait("the generation",
                   [&] { return stage.agent->status()["generation"] == row["generation"]; });
    };
    const auto settings = [](const char* key, const char* text) {
        return json::array({"map", json::array({json::array({key, text})})});
    };
    const std::size_t applied = stage.host.documents.size();
    change({{"generation", 2}});
    EXPECT_EQ(stage.host.documents.size(), applied);
    stage.wait("a report", [&] { return stage.own_row("Host")["generation"] == 2; });
    change({{"generation", 3}, {"settings", settings("dfw", R"({"enabled": true})")}});
    EXPECT_EQ(stage.host.documents.size(), applied + 1);
    change({{"generation", 4}, {"epoch", 2}});
    EXPECT_EQ(stage.host.documents.size(), applied + 2);
    EXPECT_EQ(stage.agent->status()["epoch"], 2);
}

TEST_F(FleetAgent, WithoutGlobalItRemembersTheOtherRows) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.wait_state(AgentState::kLive);
    stage.config.transact(
        json::array({{{"op", "delete"}, {"table", "Global"}, {"where", json::array()}}}));
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    stage.config.transact(
        json::array({{{"op", "insert"}, {"table", "Global"}, {"row", {{"generation", 7}}}}}));
    stage.wait("what is there", [&] { return stage.agent->status()["generation"] == 7; });
    stage.wait_state(AgentState::kLive);
    EXPECT_EQ(ports(stage), 2u);
}

TEST_F(FleetAgent, TakesOutWhatIsRefusedAndSaysWhy) {
    Stage stage;
    stage.host.refused = {{"vm2", "port vm2"}};
    stage.commit(fleet_of(3));
    stage.wait("the rest", [&] { return !stage.host.documents.empty(); });
    EXPECT_EQ(ports(stage), 2u);
    stage.wait("a report", [&] {
        return stage.agent->status()["problems"] == 1 && !stage.own_row("Problem").is_null();
    });
    const json items = map_of(stage.own_row("Problem")["items"]);
    EXPECT_EQ(items["port vm2"], "port vm2: is not what this host takes");
    stage.host.refused.clear();
    stage.commit(fleet_of(4));
    stage.wait("all of it", [&] { return ports(stage) == 4; });
    stage.wait("no problem", [&] { return stage.own_row("Problem").is_null(); });
}

TEST_F(FleetAgent, ARefusalThatNamesNothingLeavesWhatRuns) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("the first view", [&] { return !stage.host.documents.empty(); });
    stage.host.refused = {{"vm3", ""}};
    stage.commit(fleet_of(3));
    stage.wait("an alarm", [&] { return !stage.agent->status()["alarms"].empty(); });
    EXPECT_EQ(ports(stage), 2u);
    EXPECT_EQ(stage.agent->status()["generation"], 1);
    stage.host.refused.clear();
    stage.commit(fleet_of(4));
    stage.wait("all of it", [&] { return ports(stage) == 4; });
    EXPECT_TRUE(stage.agent->status()["alarms"].empty());
}

}  // namespace
}  // namespace sluice::fleet::test
