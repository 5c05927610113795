// SPDX-License-Identifier: Apache-2.0
// What a host writes into hardware_vtep: everything at first, then what differs, then nothing.
#include "controller-agent/vtep/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/vtep-source/replica.h"

namespace sluice::vtep::test {
namespace {

using nlohmann::json;

class ReportTest : public testing::Test {
protected:
    json run(const std::map<std::string, std::string>& faults = {}, bool is_refused = false) {
        return report(made.tables, own, networks_of(made.tables, own), state, faults, is_refused);
    }
    /// "op table" of each operation.
    static std::vector<std::string> kinds(const json& operations) {
        std::vector<std::string> out;
        for (const json& each : operations) {
            out.push_back(each["op"].get<std::string>() + " " + each["table"].get<std::string>());
        }
        return out;
    }
    /// A switch with its two ports, vm1 bound to "web", everything reported but MACs.
    void settle() {
        web = made.logical_switch("web", 5001);
        vm1 = made.port("vm1", {{0, web}});
        on = made.physical_switch("host-a", {vm1, made.port("vm2", {})});
        made.set("Physical_Switch", on,
                 {{"tunnel_ips", ovsdb::datum(std::vector<std::string>{"172.16.0.1"})}});
        own_locator = made.locator("172.16.0.1");
        made.mcast("Mcast_Macs_Local", kUnknownDst, web, {own_locator});
        state.ports = {{"vm1", "vtep/vni5001", mac("02:00:00:00:00:01"), {ip("10.0.0.1")}, true}};
    }

    Replica made;
    OwnHost own = host_a();
    fleet::LocalState state;
    ovsdb::Uuid web, vm1, on, own_locator;
};

TEST_F(ReportTest, AnEmptyDatabaseGetsTheSwitchItsPortsAndARoot) {
    const json operations = run();
    EXPECT_EQ(kinds(operations),
              (std::vector<std::string>{"insert Physical_Port", "insert Physical_Port",
                                        "insert Physical_Switch", "insert Global"}));
    EXPECT_EQ(operations[2]["row"]["name"], "host-a");
    EXPECT_EQ(operations[2]["row"]["tunnel_ips"], json::parse(R"(["set", ["172.16.0.1"]])"));
    EXPECT_EQ(operations[2]["row"]["ports"],
              json::parse(R"(["set", [["named-uuid", "port1"], ["named-uuid", "port2"]]])"));
    EXPECT_EQ(operations[3]["row"]["switches"],
              json::parse(R"(["set", [["named-uuid", "switch"]]])"));
}

TEST_F(ReportTest, ARootThatIsThereIsJoined) {
    made.add("Global", {});
    EXPECT_EQ(kinds(run()).back(), "mutate Global");
}

TEST_F(ReportTest, PortsAreExactlyThoseOfTheFile) {
    settle();
    state.ports.clear();
    const auto vm9 = made.port("vm9", {});
    made.set("Physical_Switch", on, {{"ports", refs({vm1, vm9})}});
    const json operations = run();
    ASSERT_EQ(kinds(operations),
              (std::vector<std::string>{"insert Physical_Port", "mutate Physical_Switch",
                                        "mutate Physical_Switch"}));
    EXPECT_EQ(operations[0]["row"]["name"], "vm2");
    EXPECT_EQ(operations[1]["mutations"],
              json::array({json::array(
                  {"ports", "delete",
                   json::array({"set", json::array({json::array({"uuid", vm9.text()})})})})}));
    EXPECT_EQ(operations[2]["mutations"][0][1], "insert");
}

TEST_F(ReportTest, AMacOfAPortThatIsUpIsToldOnce) {
    settle();
    const json operations = run();
    ASSERT_EQ(kinds(operations), std::vector<std::string>{"insert Ucast_Macs_Local"});
    EXPECT_EQ(operations[0]["row"]["MAC"], "02:00:00:00:00:01");
    EXPECT_EQ(operations[0]["row"]["ipaddr"], "10.0.0.1");
    EXPECT_EQ(operations[0]["row"]["locator"], json::array({"uuid", own_locator.text()}));
    EXPECT_EQ(operations[0]["row"]["logical_switch"], json::array({"uuid", web.text()}));
    made.ucast("Ucast_Macs_Local", "02:00:00:00:00:01", web, own_locator, "10.0.0.1");
    EXPECT_EQ(run(), json::array());
}

TEST_F(ReportTest, AnAddressThatChangesIsUpdatedAndAPortThatWentIsDeleted) {
    settle();
    made.ucast("Ucast_Macs_Local", "02:00:00:00:00:01", web, own_locator, "10.0.0.1");
    state.ports[0].ips = {ip("2001:db8::1"), ip("10.0.0.7")};
    json operations = run();
    ASSERT_EQ(kinds(operations), std::vector<std::string>{"update Ucast_Macs_Local"});
    EXPECT_EQ(operations[0]["row"], json({{"ipaddr", "10.0.0.7"}}))
        << "the schema has one, IPv4 first";
    state.ports[0].is_up = false;
    EXPECT_EQ(kinds(run()), std::vector<std::string>{"delete Ucast_Macs_Local"});
}

TEST_F(ReportTest, RowsOfOtherHostsAreLeftAlone) {
    settle();
    state.ports.clear();
    const auto other = made.locator("172.16.0.2");
    made.ucast("Ucast_Macs_Local", "02:00:00:00:00:05", web, other);
    made.mcast("Mcast_Macs_Local", kUnknownDst, web, {other});
    made.physical_switch("host-b", {});
    EXPECT_EQ(run(), json::array());
}

TEST_F(ReportTest, ARowTwiceIsOneTooMany) {
    settle();
    made.ucast("Ucast_Macs_Local", "02:00:00:00:00:01", web, own_locator, "10.0.0.1");
    made.ucast("Ucast_Macs_Local", "02:00:00:00:00:01", web, own_locator, "10.0.0.1");
    EXPECT_EQ(kinds(run()), std::vector<std::string>{"delete Ucast_Macs_Local"});
}

TEST_F(ReportTest, FloodsAreWantedWhereAPortIs) {
    settle();
    state.ports.clear();
    const auto db = made.logical_switch("db", 5002);
    made.set("Physical_Port", vm1, {{"vlan_bindings", vlans({{0, db}})}});
    const json operations = run();
    EXPECT_EQ(kinds(operations),
              (std::vector<std::string>{"delete Mcast_Macs_Local", "insert Physical_Locator_Set",
                                        "insert Mcast_Macs_Local"}));
    EXPECT_EQ(operations[2]["row"]["MAC"], "unknown-dst");
    EXPECT_EQ(operations[2]["row"]["logical_switch"], json::array({"uuid", db.text()}));
}

TEST_F(ReportTest, ALocatorIsMadeOnceIfItIsMissing) {
    settle();
    made.tables.erase("Physical_Locator");
    made.tables.erase("Mcast_Macs_Local");
    EXPECT_EQ(kinds(run()),
              (std::vector<std::string>{"insert Physical_Locator", "insert Ucast_Macs_Local",
                                        "insert Physical_Locator_Set", "insert Mcast_Macs_Local"}));
}

TEST_F(ReportTest, FaultsComeAndGo) {
    settle();
    state.ports.clear();
    json operations = run({{"vm1", "unspecified_fault"}}, true);
    EXPECT_EQ(kinds(operations),
              (std::vector<std::string>{"update Physical_Switch", "update Physical_Port"}));
    EXPECT_EQ(operations[0]["row"]["switch_fault_status"],
              json::parse(R"(["set", ["unspecified_fault"]])"));
    EXPECT_EQ(operations[1]["row"]["port_fault_status"],
              json::parse(R"(["set", ["unspecified_fault"]])"));
    made.set("Physical_Port", vm1,
             {{"port_fault_status", ovsdb::datum(std::vector<std::string>{"unspecified_fault"})}});
    operations = run();
    ASSERT_EQ(kinds(operations), std::vector<std::string>{"update Physical_Port"});
    EXPECT_EQ(operations[0]["row"]["port_fault_status"], json::parse(R"(["set", []])"));
}

TEST_F(ReportTest, WithoutAVtepOnlyTheSwitchIsTold) {
    settle();
    own.vteps.clear();
    made.tables.erase("Mcast_Macs_Local");
    EXPECT_EQ(kinds(run()), std::vector<std::string>{"update Physical_Switch"}) << "its tunnel_ips";
}

}  // namespace
}  // namespace sluice::vtep::test
