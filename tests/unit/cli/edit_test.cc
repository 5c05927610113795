// SPDX-License-Identifier: Apache-2.0
// Edits of one object: which parameters a command line becomes, and what makes no sense.
#include <gtest/gtest.h>

#include "cli/edit_words.h"
#include "fake_daemon.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using test::FakeDaemon;
using test::Transcript;

class EditCommand : public testing::Test {
protected:
    EditCommand() { daemon_.answers("edit", json{{"changed", 1}, {"generation", 7}}); }
    /// What the daemon is asked by these words.
    json asked(const std::vector<std::string>& words) {
        const Transcript run = daemon_.run(words);
        EXPECT_EQ(run.status, 0) << run.err;
        EXPECT_EQ(run.out, "changed 1 object, generation 7\n");
        return daemon_.asked("edit");
    }
    std::string usage(const std::vector<std::string>& words) {
        const Transcript run = daemon_.run(words);
        EXPECT_EQ(run.status, 2) << run.out;
        EXPECT_TRUE(daemon_.asked("edit").is_null());
        return run.err;
    }
    FakeDaemon daemon_;
};

TEST_F(EditCommand, PortOptionsArePaths) {
    EXPECT_EQ(asked({"port", "add", "vm3", "--port-group", "web", "--socket", "/run/vm3.sock",
                     "--ip", "10.0.0.3,10.0.0.4", "--ip", "10.0.0.5", "--tag", "app=web", "--tag",
                     "a.b=c=d", "--vlan", "7", "--disabled"}),
              json::parse(R"({"op":"add","kind":"port","name":"vm3","patch":{"port_group":"web",
            "socket":"/run/vm3.sock","ips":["10.0.0.3","10.0.0.4","10.0.0.5"],"tags.app":"web",
            "tags.a.b":"c=d","overrides.vlan":{"mode":"access","id":7},"enabled":false}})"));
}

TEST_F(EditCommand, SettingsAreJsonListsOrWords) {
    EXPECT_EQ(
        asked({"port", "set", "vm3", "overrides.vlan.id=101", "enabled=false", "ips=10.0.0.1,::1",
               "mac=02:00:00:00:00:03", "tags.level=1", "socket=", R"(security={"a":true})"}),
        json::parse(R"({"op":"set","kind":"port","name":"vm3","patch":{"overrides.vlan.id":101,
            "enabled":false,"ips":["10.0.0.1","::1"],"mac":"02:00:00:00:00:03","tags.level":"1",
            "socket":null,"security":{"a":true}}})"));
}

TEST_F(EditCommand, RulesHaveTwoNamesAndAPlace) {
    const json add = asked({"rule", "add", "app", "web-in", "--action", "allow", "--service",
                            "tcp/80,tcp/443", "--log", "--before", "deny", "direction=in"});
    EXPECT_EQ(add, json::parse(R"({"op":"add","kind":"rule","name":"app/web-in",
        "position":{"before":"deny"},"patch":{"action":"allow","services":["tcp/80","tcp/443"],
        "log":true,"direction":"in"}})"));
    EXPECT_EQ(asked({"rule", "set", "app/web-in", "--first"}),
              json::parse(R"({"op":"set","kind":"rule","name":"app/web-in","position":"first"})"));
    EXPECT_EQ(asked({"acl", "rule", "del", "hard", "telnet"}),
              json::parse(R"({"op":"del","kind":"acl_rule","name":"hard/telnet"})"));
}

TEST_F(EditCommand, RoutersHaveInterfacesAndRoutes) {
    EXPECT_EQ(asked({"route", "add", "ldr1", "0.0.0.0/0", "--next-hop", "10.0.9.253,10.0.9.252"}),
              json::parse(R"({"op":"add","kind":"route","name":"ldr1/0.0.0.0/0",
                  "patch":{"next_hops":["10.0.9.253","10.0.9.252"]}})"));
    EXPECT_EQ(asked({"route", "set", "ldr1/0.0.0.0/0", "next_hops=10.0.9.1"}),
              json::parse(R"({"op":"set","kind":"route","name":"ldr1/0.0.0.0/0",
                  "patch":{"next_hops":["10.0.9.1"]}})"));
    EXPECT_EQ(asked({"router", "interface", "add", "ldr1", "gw", "--address", "10.0.0.254/24"}),
              json::parse(R"({"op":"add","kind":"router_interface","name":"ldr1/gw",
                  "patch":{"addresses":["10.0.0.254/24"]}})"));
    EXPECT_EQ(asked({"router", "del", "ldr1"}),
              json::parse(R"({"op":"del","kind":"router","name":"ldr1"})"));
}

TEST_F(EditCommand, VtepsAndVnis) {
    EXPECT_EQ(asked({"vtep", "add", "tep0", "--ip", "172.16.0.1/24", "--underlay-vlan", "7"}),
              json::parse(R"({"op":"add","kind":"vtep","name":"tep0",
                  "patch":{"ip":"172.16.0.1/24","vlan":7}})"));
    EXPECT_EQ(asked({"port-group", "set", "web", "--vni", "5001"}),
              json::parse(R"({"op":"set","kind":"port_group","name":"web","patch":{"vni":5001}})"));
    EXPECT_EQ(asked({"switch", "set", "s", "remote_vteps=172.16.0.2,172.16.0.3"})["patch"],
              json::parse(R"({"remote_vteps":["172.16.0.2","172.16.0.3"]})"));
}

TEST_F(EditCommand, MembersAndTheFirewall) {
    EXPECT_EQ(asked({"address-set", "add-member", "dbs", "10.0.0.1,10.0.0.2", "10.0.0.3"}),
              json::parse(R"({"op":"add_member","kind":"address_set","name":"dbs",
                  "members":["10.0.0.1","10.0.0.2","10.0.0.3"]})"));
    EXPECT_EQ(asked({"dfw", "set", "default=drop"}),
              json::parse(R"({"op":"set","kind":"dfw","patch":{"default":"drop"}})"));
    EXPECT_EQ(asked({"port-group", "add", "t", "--trunk", "1-10,20"})["patch"]["vlan"],
              json::parse(R"({"mode":"trunk","ranges":["1-10","20"]})"));
}

TEST_F(EditCommand, WhatMakesNoSenseIsExitTwo) {
    EXPECT_EQ(usage({"port", "set", "vm1"}),
              "sluice: port set: nothing to set: expected KEY=VALUE or an option\n");
    EXPECT_EQ(usage({"port", "set", "vm1", "enabled"}),
              "sluice: port set: enabled is not KEY=VALUE\n");
    EXPECT_EQ(usage({"port", "add", "vm1", "--tag", "web"}),
              "sluice: port add: --tag web is not KEY=VALUE\n");
    EXPECT_EQ(usage({"rule", "set", "a/b", "--first", "--after", "c"}),
              "sluice: rule set: --before, --after, --first and --last exclude each other\n");
    usage({"port", "add"});
    usage({"port", "add", "vm1", "--colour", "red"});
}

TEST_F(EditCommand, TheDaemonsSocketStandsBeforeThePort) {
    const std::string socket = daemon_.socket();
    const Transcript joined = FakeDaemon::run_anywhere(
        {"--socket=" + socket, "port", "--socket", socket, "add", "vm1", "--socket", "/run/x"});
    EXPECT_EQ(joined.status, 0) << joined.err;
    EXPECT_EQ(daemon_.asked("edit")["patch"], json({{"socket", "/run/x"}}));
    EXPECT_EQ(FakeDaemon::run_anywhere({"port", "add", "vm1", "--socket", socket}).status, 1);
}

}  // namespace
}  // namespace sluice::cli
