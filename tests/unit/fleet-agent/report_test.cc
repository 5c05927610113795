// SPDX-License-Identifier: Apache-2.0
// What a host writes into a real Sluice_Status, and that it writes nothing else.
#include "stage.h"

namespace sluice::fleet::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

class FleetReport : public testing::Test {
protected:
    void SetUp() override {
        if (!has_ovsdb()) { GTEST_SKIP() << "ovsdb-server is not installed"; }
    }
    static bool reports(const Stage& stage, std::int64_t generation) {
        const json row = stage.own_row("Host");
        return !row.is_null() && row["generation"] == generation && row["state"] == "live";
    }
};

TEST_F(FleetReport, SaysWhatRunsAndWhatThereIs) {
    Stage stage;
    stage.host.plug("vm1", "02:00:00:00:00:11", "10.0.0.1");
    stage.commit(fleet_of(2));
    stage.wait("a report", [&] { return reports(stage, 1); });
    const json host = stage.own_row("Host");
    EXPECT_EQ(host["version"], "1.2.3");
    EXPECT_EQ(host["epoch"], 1);
    EXPECT_EQ(host["ports"], 1);
    const json vtep = json::parse(map_of(host["vteps"])["tep1"].get<std::string>());
    EXPECT_EQ(vtep, json({{"switch", "dvs0"}, {"ip", "172.16.0.1"}}));
    const json port = json::parse(map_of(stage.own_row("Port")["items"])["vm1"].get<std::string>());
    EXPECT_EQ(port["state"], "up");
    EXPECT_EQ(port["segment"], "dvs0/vni5001");
    EXPECT_GT(stage.own_row("Heartbeat")["at_ms"], 0);
}

TEST_F(FleetReport, WritesDifferencesOnly) {
    Stage stage;
    stage.host.plug("vm1", "02:00:00:00:00:11", "10.0.0.1");
    stage.host.plug("vm2", "02:00:00:00:00:12", "10.0.0.2");
    stage.commit(fleet_of(2));
    stage.wait("a report", [&] { return reports(stage, 1); });
    stage.wait("the claims", [&] { return !stage.own_row("Binding").is_null(); });
    stage.pass(milliseconds(300));
    const json host = stage.own_row("Host"), port = stage.own_row("Port")["_version"];
    const json binding = stage.own_row("Binding")["_version"];
    const json beat = stage.own_row("Heartbeat")["_version"];
    stage.wait("a sign of life", [&] { return stage.own_row("Heartbeat")["_version"] != beat; });
    EXPECT_EQ(stage.own_row("Host"), host);
    EXPECT_EQ(stage.own_row("Port")["_version"], port);
    stage.host.unplug("vm2");
    stage.wait("the change", [&] { return stage.own_row("Binding")["_version"] != binding; });
    EXPECT_EQ(map_of(stage.own_row("Binding")["items"]).size(), 1u);
}

TEST_F(FleetReport, AfterAReconnectTheRowsAreTheSame) {
    Stage stage;
    stage.host.plug("vm1", "02:00:00:00:00:11", "10.0.0.1");
    stage.commit(fleet_of(2));
    stage.wait("a report", [&] { return reports(stage, 1); });
    stage.wait("the claims", [&] { return !stage.own_row("Binding").is_null(); });
    stage.pass(milliseconds(300));
    const json port = stage.own_row("Port")["_uuid"];
    const json binding = stage.own_row("Binding")["_uuid"];
    stage.status.stop();
    stage.wait("the loss", [&] { return stage.agent->status()["status"]["state"] != "live"; });
    stage.status.start();
    stage.wait("the server", [&] { return stage.agent->status()["status"]["state"] == "live"; });
    stage.pass(milliseconds(500));
    EXPECT_EQ(stage.own_row("Port")["_uuid"], port);
    EXPECT_EQ(stage.own_row("Binding")["_uuid"], binding);
}

TEST_F(FleetReport, WhatHappenedMeanwhileIsWrittenOnceItIsBack) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("a report", [&] { return reports(stage, 1); });
    stage.status.stop();
    stage.wait("the loss", [&] { return stage.agent->status()["status"]["state"] != "live"; });
    for (int i = 0; i < 50; ++i) {
        stage.host.plug("vm1", "02:00:00:00:00:11", "10.0.0." + std::to_string(i + 1));
        stage.pass(milliseconds(10));
    }
    stage.status.start();
    stage.wait("the newest", [&] {
        const json row = stage.own_row("Binding");
        if (row.is_null()) { return false; }
        const std::string text = map_of(row["items"])["02:00:00:00:00:11"];
        return text.ends_with(" 10.0.0.50");
    });
}

TEST_F(FleetReport, RowsThatOthersTookAreWrittenAgain) {
    Stage stage;
    stage.commit(fleet_of(2));
    stage.wait("a report", [&] { return reports(stage, 1); });
    stage.status.transact(
        json::array({{{"op", "delete"}, {"table", "Host"}, {"where", json::array()}}}));
    stage.wait("the row", [&] { return reports(stage, 1); });
}

}  // namespace
}  // namespace sluice::fleet::test
