// SPDX-License-Identifier: Apache-2.0
// One host's view of a fleet: what is there, what is not, and what stands for it.
#include "documents.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

HostView view_of(const std::string& host, const json& document = small_fleet()) {
    HostView view = host_view(pack(normal(document)), host, {});
    EXPECT_TRUE(view.problems.empty()) << view.problems.front().object;
    return view;
}

TEST(FleetHostView, HasTheHostsOwnPortsUplinksAndVteps) {
    const json document = view_of("h1").document;
    EXPECT_EQ(names(document, "ports"), Names{"vm1"});
    EXPECT_EQ(document["vteps"].size(), 1u);
    EXPECT_EQ(document["vteps"][0]["ip"], "172.16.0.1/24");
    EXPECT_FALSE(document["ports"][0].contains("host"));
    EXPECT_EQ(document["host"]["name"], "h1");
}

TEST(FleetHostView, HasTheNetworksThatItsRoutersReachAndNoOthers) {
    const HostView view = view_of("h1");
    EXPECT_EQ(names(view.document, "port_groups"), (Names{"db", "web"}));
    EXPECT_EQ(names(view.document, "switches"), Names{"dvs0"});
    EXPECT_EQ(names(view.document, "routers"), Names{"ldr"});
    EXPECT_EQ(view.segments, (std::set<std::string>{"dvs0/vni5001", "dvs0/vni5002"}));
    EXPECT_EQ(view.document["bindings"].size(), 1u);
}

TEST(FleetHostView, WithoutPortsHasNoNetworks) {
    json document = small_fleet();
    document["hosts"].push_back({{"name", "h3"}});
    const HostView view = host_view(pack(normal(document)), "h3", {}, {true, {}, {}});
    EXPECT_FALSE(view.document.contains("port_groups"));
    EXPECT_FALSE(view.document.contains("switches"));
    EXPECT_TRUE(view.segments.empty());
}

TEST(FleetHostView, KeepsTheNetworksOfTheHostsOwnFile) {
    json document = small_fleet();
    document["hosts"].push_back({{"name", "h3"}});
    const HostView view = host_view(pack(normal(document)), "h3", {}, {true, {"up0"}, {"legacy"}});
    EXPECT_EQ(names(view.document, "port_groups"), Names{"legacy"});
    EXPECT_EQ(find(view.document, "switches", "dvs0")["uplinks"], json({"up0"}));
    EXPECT_EQ(view.segments, std::set<std::string>{"dvs1/vlan10"});
}

TEST(FleetHostView, APortElsewhereIsAnAddressSetOfItsName) {
    const json document = view_of("h1").document;
    EXPECT_EQ(find(document, "address_sets", "vm2")["members"], json({"10.0.2.2"}));
    EXPECT_EQ(find(document, "address_sets", "legacy")["members"], json({"10.0.3.3"}))
        << "nor is its port group here";
}

TEST(FleetHostView, AGroupHasTheAddressesOfItsMembersElsewhere) {
    EXPECT_EQ(find(view_of("h1").document, "groups", "webs")["addresses"], json({"10.0.3.3"}));
    EXPECT_EQ(find(view_of("h2").document, "groups", "webs")["addresses"], json({"10.0.1.1"}));
    EXPECT_FALSE(find(view_of("h2").document, "port_groups", "legacy").contains("addresses"));
}

TEST(FleetHostView, AGroupKeepsAddressesOfTheDocument) {
    json document = small_fleet();
    document["groups"][0]["addresses"] = {"203.0.113.0/24"};
    EXPECT_EQ(find(view_of("h1", document).document, "groups", "webs")["addresses"],
              json({"10.0.3.3", "203.0.113.0/24"}));
}

TEST(FleetHostView, LeavesOutRulesThatApplyElsewhere) {
    const json document = view_of("h1").document;
    const json& sections = document["dfw"]["sections"];
    ASSERT_EQ(sections.size(), 3u);
    EXPECT_EQ(names(sections[0], "rules"), (Names{"b", "a"}));
    EXPECT_EQ(sections[0]["rules"][1]["applied_to"], json({"webs"}));
    EXPECT_EQ(sections[2]["rules"].size(), 0u);
    EXPECT_EQ(names(document, "acls"), Names{"z"});
    EXPECT_EQ(document["dfw"]["exclude"], json::array());
}

TEST(FleetHostView, ADanglingNameCostsTheObjectAndIsTold) {
    json document = normal(small_fleet());
    document["ports"][0]["port_group"] = "ghost";
    document["dfw"]["sections"][0]["rules"][0]["source"] = {"nobody"};
    const HostView view = host_view(pack(document), "h1", {});
    ASSERT_EQ(view.problems.size(), 2u);
    EXPECT_EQ(view.problems[0].object, "port vm1");
    EXPECT_EQ(view.problems[0].reason, "port_group \"ghost\" does not exist");
    EXPECT_EQ(view.problems[1].object, "rule z/b");
    EXPECT_EQ(names(view.document["dfw"]["sections"][0], "rules"), Names{"a"});
}

TEST(FleetHostView, AddsTheVtepsOfOthersToTheirSwitch) {
    const HostView view =
        host_view(pack(normal(small_fleet())), "h1",
                  {{"dvs0", {"172.16.0.1", "172.16.0.2", "nonsense"}}, {"elsewhere", {"1.2.3.4"}}});
    EXPECT_EQ(find(view.document, "switches", "dvs0")["remote_vteps"], json({"172.16.0.2"}));
    ASSERT_EQ(view.problems.size(), 1u);
    EXPECT_EQ(view.problems[0].object, "switch dvs0");
}

TEST(FleetHostView, AnUplinkThatTheHostLacksIsNotNamed) {
    json document = small_fleet();
    document["switches"][0]["uplinks"] = {"up0", "up9"};
    document["switches"][0]["teaming"] = {{"policy", "explicit"}, {"active", {"up9", "up0"}}};
    const json item = find(view_of("h1", document).document, "switches", "dvs0");
    EXPECT_EQ(item["uplinks"], json({"up0"}));
    EXPECT_EQ(item["teaming"]["active"], json({"up0"}));
}

TEST(FleetHostView, ATrunkReachesWhatItCarries) {
    json document = small_fleet();
    document["port_groups"].push_back({{"name", "trunk"},
                                       {"switch", "dvs1"},
                                       {"vlan", {{"mode", "trunk"}, {"ranges", {"1-20"}}}}});
    document["ports"].push_back({{"name", "t1"}, {"host", "h1"}, {"port_group", "trunk"}});
    const HostView view = view_of("h1", document);
    EXPECT_TRUE(view.segments.contains("dvs1/vlan10"));
    EXPECT_TRUE(view.segments.contains("dvs1/trunk"));
    EXPECT_EQ(view.document["bindings"].size(), 2u);
}

TEST(FleetHostView, IsTheSameOfRowsThatTheHostLooksAt) {
    const PackedRows all = pack(normal(small_fleet()));
    PackedRows seen;
    for (const auto& [key, row] : all) {
        const bool is_owned = key.table == "Port" || key.table == "Uplink" || key.table == "Vtep";
        if (!is_owned || key.scope == "h1") { seen.emplace(key, row); }
    }
    EXPECT_EQ(host_view(seen, "h1", {}).document, host_view(all, "h1", {}).document);
}

TEST(FleetInterest, IsEverybodysItsOwnAndTheSegments) {
    std::map<std::string, json> where;
    for (const ovsdb::Interest& interest : interest_of("h1", {"s/vni1", "s/vlan2"})) {
        where[interest.table] = interest.where;
    }
    EXPECT_EQ(where.at("Port"), json::parse(R"([["scope", "==", "h1"]])"));
    EXPECT_EQ(where.at("Rule"), json(true));
    EXPECT_EQ(where.at("Global"), json(true));
    EXPECT_EQ(where.at("Member"), json(true));
    EXPECT_EQ(where.at("Binding"),
              json::parse(R"([["scope", "==", "s/vlan2"], ["scope", "==", "s/vni1"]])"));
    EXPECT_FALSE(where.contains("Connection"));
}

}  // namespace
}  // namespace sluice::fleet
