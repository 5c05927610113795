// SPDX-License-Identifier: Apache-2.0
// vtep::Source between a real ovsdb-server, which vtep-ctl writes as a controller would, and a host
// that only remembers what it was told.
#include "controller-agent/vtep/source.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>

#include "sluice/net/address_text.h"
#include "tests/unit/ovsdb/real_server.h"
#include "tests/unit/vtep-source/replica.h"

namespace sluice::vtep::test {
namespace {

using nlohmann::json;
using ovsdb::test::run;
using std::chrono::steady_clock;

constexpr const char* kSchema = "/usr/share/openvswitch/vtep.ovsschema";
constexpr const char* kMac = "02:00:00:00:00:09";

/// A server of the schema, and vtep-ctl on it.
class Database {
public:
    [[nodiscard]] std::string remote() const { return server_.remote(); }
    void start() { server_.start(); }
    void stop() { server_.stop(); }
    void remake() { server_.remake(); }
    /// Runs vtep-ctl; what it printed.
    std::string ctl(std::vector<std::string> words) {
        std::vector<std::string> command = {"vtep-ctl", "--timeout=20", "--db=" + remote()};
        command.insert(command.end(), words.begin(), words.end());
        const std::string output = folder_.path("answer");
        std::remove(output.c_str());
        run(command, output);  // Of what is not there yet it says so.
        std::ifstream in(output);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    [[nodiscard]] std::string folder() const { return folder_.path(""); }

private:
    ovsdb::test::TestFolder folder_;
    ovsdb::test::RealServer server_{folder_, "db", {.schema = kSchema}};
};

/// Remembers what it was told; refuses the port named `bad`.
class Host : public fleet::HostControl {
public:
    [[nodiscard]] std::string host_name() const override { return "host-a"; }
    [[nodiscard]] json own_objects() const override {
        return json::parse(R"({
          "uplinks": [{"name": "up0", "device": "net_null0"}],
          "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "uplink": "up0"}],
          "ports": [{"name": "vm1"}, {"name": "vm2"}]})");
    }
    [[nodiscard]] boost::asio::awaitable<Result<json>> apply(json next) override {
        for (const json& port : next["ports"]) {
            if (port["name"] != bad) { continue; }
            co_return Error{Errc::kInvalid, "port " + bad + ": can't be", "port " + bad};
        }
        if (next != document) {
            document = std::move(next);
            ++applied;
        }
        co_return json::object();
    }
    [[nodiscard]] json running_document() const override { return document; }
    void change_bindings(const std::vector<fleet::BindingChange>& changes) override {
        for (const fleet::BindingChange& each : changes) {
            ++told;
            bindings.erase(to_string(each.binding.mac));
            if (!each.is_gone) { bindings[to_string(each.binding.mac)] = each.binding; }
        }
    }
    [[nodiscard]] fleet::LocalState local_state(std::uint64_t known) const override {
        return known == state.epoch ? fleet::LocalState{{}, {}, known} : state;
    }
    /// Group that a port is placed in; empty: in none.
    [[nodiscard]] std::string group_of(const std::string& port) const {
        for (const json& each : document.value("ports", json::array())) {
            if (each["name"] == port) { return each["port_group"]; }
        }
        return "";
    }
    [[nodiscard]] std::string vtep_of(const std::string& mac_text) const {
        const auto at = bindings.find(mac_text);
        return at == bindings.end() ? "" : to_string(at->second.vtep);
    }

    json document = json::object();
    std::map<std::string, fleet::FleetBinding> bindings;
    fleet::LocalState state{{}, {}, 1};
    std::string bad;
    int applied = 0, told = 0;
};

class SourceTest : public testing::Test {
protected:
    void SetUp() override {
        if (!ovsdb::test::has_ovsdb()) { GTEST_SKIP() << "ovsdb-server is not installed"; }
        database = std::make_unique<Database>();
        open();
    }
    void open() {
        fleet::AgentOptions options;
        options.remotes = ovsdb::parse_remotes(database->remote()).value();
        options.state_dir = database->folder();
        source = std::make_unique<Source>(io, host, options);
        source->load();
        source->start();
    }
    void TearDown() override {
        if (source) { source->stop(); }
    }
    template <typename F>
    bool until(F condition) {
        const auto end = steady_clock::now() + std::chrono::seconds(30);
        while (!condition() && steady_clock::now() < end) {
            io.restart();
            io.run_one_for(std::chrono::milliseconds(20));
        }
        return condition();
    }
    bool shows(std::vector<std::string> words, const std::string& text) {
        return until([&] { return database->ctl(words).find(text) != std::string::npos; });
    }
    /// Puts vm1 into "web", VNI 5001, behind whose other end is 172.16.0.2.
    void bind_vm1() {
        ASSERT_TRUE(shows({"list-ports", "host-a"}, "vm1"));
        database->ctl({"add-ls", "web"});
        database->ctl({"set", "Logical_Switch", "web", "tunnel_key=5001"});
        database->ctl({"bind-ls", "host-a", "vm1", "0", "web"});
        database->ctl({"add-mcast-remote", "web", "unknown-dst", "172.16.0.2"});
        database->ctl({"add-ucast-remote", "web", kMac, "172.16.0.2"});
        ASSERT_TRUE(until([&] { return host.vtep_of(kMac) == "172.16.0.2"; }));
        ASSERT_EQ(host.group_of("vm1"), "web");
    }

    boost::asio::io_context io;
    Host host;
    std::unique_ptr<Database> database;
    std::unique_ptr<Source> source;
};

TEST_F(SourceTest, AControllerBindsAPortAndTellsWhereAMacIs) {
    bind_vm1();
    EXPECT_EQ(host.document["port_groups"][0]["flood_vteps"], json({"172.16.0.2"}));
    EXPECT_EQ(source->state(), fleet::AgentState::kLive);
    EXPECT_EQ(source->status()["networks"], 1);
    EXPECT_EQ(source->status()["faults"], json::array());
    const int applied = host.applied;
    database->ctl({"add-ucast-remote", "web", "02:00:00:00:00:0a", "172.16.0.2"});
    ASSERT_TRUE(until([&] { return host.bindings.size() == 2; }));
    EXPECT_EQ(host.applied, applied) << "a MAC behind a known VTEP changes no document";
    database->ctl({"add-ucast-remote", "web", kMac, "172.16.0.3"});
    ASSERT_TRUE(until([&] { return host.vtep_of(kMac) == "172.16.0.3"; }));
    database->ctl({"unbind-ls", "host-a", "vm1", "0"});
    ASSERT_TRUE(until([&] { return host.group_of("vm1").empty(); }));
    EXPECT_TRUE(until([&] { return host.bindings.empty(); }));
}

TEST_F(SourceTest, TheHostTellsItsMacsAndWhereFloodsGo) {
    bind_vm1();
    host.state = {
        {{"vm1", "vtep/vni5001", mac("02:00:00:00:00:01"), {ip("10.0.0.1")}, true}}, {}, 2};
    EXPECT_TRUE(
        shows({"list-local-macs", "web"}, "02:00:00:00:00:01 -> vxlan_over_ipv4/172.16.0.1"));
    EXPECT_TRUE(shows({"list-local-macs", "web"}, "unknown-dst -> vxlan_over_ipv4/172.16.0.1"));
    host.state = {{{"vm1", "vtep/vni5001", mac("02:00:00:00:00:01"), {}, false}}, {}, 3};
    EXPECT_TRUE(until([&] {
        return database->ctl({"list-local-macs", "web"}).find("02:00:00:00:00:01") ==
               std::string::npos;
    }));
}

TEST_F(SourceTest, WhatCantBeDoneIsAFaultAndTheRestIsDone) {
    bind_vm1();
    host.bad = "vm2";
    database->ctl({"bind-ls", "host-a", "vm2", "0", "web"});
    EXPECT_TRUE(
        shows({"list", "Physical_Port", "--", "list", "Physical_Switch"}, "unspecified_fault"));
    EXPECT_EQ(host.group_of("vm1"), "web");
    EXPECT_EQ(source->status()["faults"],
              json::parse(R"([{"object": "port vm2", "reason": "can't be"}])"));
    host.bad.clear();
    database->ctl({"unbind-ls", "host-a", "vm2", "0"});
    database->ctl({"bind-ls", "host-a", "vm2", "7", "web"});
    EXPECT_TRUE(shows({"list", "Physical_Port"}, "invalid_vlan_map"));
    database->ctl({"unbind-ls", "host-a", "vm2", "7"});
    EXPECT_TRUE(until([&] {
        return database->ctl({"list", "Physical_Port"}).find("invalid_vlan_map") ==
               std::string::npos;
    }));
}

TEST_F(SourceTest, ALostDatabaseChangesNothingAndComesBackWithoutAFlap) {
    bind_vm1();
    const int applied = host.applied, told = host.told;
    database->stop();
    ASSERT_TRUE(until([&] { return source->state() == fleet::AgentState::kLost; }));
    EXPECT_EQ(host.group_of("vm1"), "web");
    database->start();
    ASSERT_TRUE(until([&] { return source->state() == fleet::AgentState::kLive; }));
    EXPECT_EQ(host.applied, applied);
    EXPECT_EQ(host.told, told);
}

TEST_F(SourceTest, ADatabaseMadeAnewHoldsUntilItBindsAPort) {
    bind_vm1();
    database->remake();
    ASSERT_TRUE(shows({"list-ps"}, "host-a")) << "the host makes its switch again";
    EXPECT_EQ(host.group_of("vm1"), "web");
    EXPECT_EQ(host.vtep_of(kMac), "172.16.0.2");
    EXPECT_EQ(source->status()["alarms"].size(), 1u);
    EXPECT_EQ(source->state(), fleet::AgentState::kReconcile);
    database->ctl({"add-ls", "db"});
    database->ctl({"set", "Logical_Switch", "db", "tunnel_key=5002"});
    database->ctl({"bind-ls", "host-a", "vm2", "0", "db"});
    ASSERT_TRUE(until([&] { return host.group_of("vm2") == "db"; }));
    EXPECT_EQ(host.group_of("vm1"), "") << "from then on it counts";
    EXPECT_TRUE(host.bindings.empty());
    EXPECT_EQ(source->status()["alarms"], json::array());
}

TEST_F(SourceTest, ARestartKnowsItsMacsFromDisk) {
    bind_vm1();
    source->stop();
    source.reset();
    database->stop();
    host.bindings.clear();
    open();
    EXPECT_EQ(host.vtep_of(kMac), "172.16.0.2");
    database->start();
    ASSERT_TRUE(until([&] { return source->state() == fleet::AgentState::kLive; }));
    EXPECT_EQ(host.vtep_of(kMac), "172.16.0.2");
}

}  // namespace
}  // namespace sluice::vtep::test
