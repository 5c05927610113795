// SPDX-License-Identifier: Apache-2.0
// A fleet's document is refused before it is written, with the object and the host.
#include "controller-agent/fleet/check_fleet.h"

#include <fstream>
#include <iterator>

#include "documents.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

template <typename Edit>
std::string refusal(Edit edit, bool against_small_fleet = false) {
    json document = small_fleet();
    edit(document);
    document = normal(document);
    const PackedRows before = pack(normal(small_fleet()));
    const Status checked =
        check_fleet(document, pack(document), against_small_fleet ? &before : nullptr);
    return checked.ok() ? "" : checked.error().message;
}

TEST(FleetCheck, TakesTheExampleOfTheDocumentation) {
    std::ifstream file(SLUICE_FLEET_PAGE);
    const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::size_t begin = page.find("```json\n") + 8;
    const json document = normal(json::parse(page.substr(begin, page.find("```", begin) - begin)));
    const Status checked = check_fleet(document, pack(document), nullptr);
    EXPECT_TRUE(checked.ok()) << checked.error().message;
}

TEST(FleetCheck, TakesAGoodFleet) {
    EXPECT_EQ(refusal([](json&) {}), "");
}

TEST(FleetCheck, TakesUplinksThatAreInAHostsOwnFile) {
    EXPECT_EQ(refusal([](json& d) { d.erase("uplinks"); }), "");
}

TEST(FleetCheck, NamesTheHostAndTheObject) {
    EXPECT_EQ(refusal([](json& d) { d["ports"][1]["ips"] = {"10.0.2.300"}; }),
              "host h2: port vm2: ips holds \"10.0.2.300\", which is not an IPv4 or IPv6 address");
    EXPECT_EQ(refusal([](json& d) { d["ports"][0]["port_group"] = "ghost"; }),
              "host h1: port vm1: port_group \"ghost\" does not exist");
    EXPECT_EQ(refusal([](json& d) { d["ports"][0]["colour"] = "red"; }, true),
              "host h1: port vm1: unknown key \"colour\"");
}

TEST(FleetCheck, NamesWhatIsEverybodys) {
    EXPECT_EQ(refusal([](json& d) { d["switches"][0]["mtu"] = 1; }),
              "switch dvs0: mtu 1 is outside 576..9216");
    EXPECT_EQ(
        refusal([](json& d) { d["dfw"]["sections"][0]["rules"][0]["source"] = {"nobody"}; }),
        "dfw section z rule b: source \"nobody\" is no address or prefix, and no address set, "
        "group, port group or port of that name exists");
    EXPECT_EQ(
        refusal([](json& d) { d["dfw"]["sections"][0]["rules"][1]["applied_to"] = {"nobody"}; }),
        "dfw section z rule a: applied_to \"nobody\" does not exist, expected a group, port group "
        "or port");
    EXPECT_EQ(refusal([](json& d) { d["acls"][0]["colour"] = "red"; }),
              "acl z: unknown key \"colour\"");
}

TEST(FleetCheck, ANameIsOneOfTheFleets) {
    EXPECT_EQ(refusal([](json& d) {
                  d["groups"].push_back({{"name", "vm1"}});
              }),
              "group vm1: the name \"vm1\" is taken by port vm1");
}

TEST(FleetCheck, AMacIsInASegmentOnce) {
    EXPECT_EQ(
        refusal([](json& d) { d["ports"][0]["mac"] = d["ports"][1]["mac"] = "02:00:00:00:00:01"; }),
        "");
    EXPECT_EQ(refusal([](json& d) {
                  d["ports"][0]["mac"] = d["ports"][1]["mac"] = "02:00:00:00:00:01";
                  d["ports"][1]["port_group"] = "web";
              }),
              "port vm2: mac 02:00:00:00:00:01 is used by port vm1 of host h1 too, VNI 5001 on "
              "switch dvs0");
}

TEST(FleetCheck, AVtepsAddressIsOneHosts) {
    EXPECT_EQ(refusal([](json& d) { d["vteps"][1]["ip"] = "172.16.0.1/24"; }),
              "vtep tep0: ip 172.16.0.1 of host h2 is that of vtep tep0 of host h1");
}

TEST(FleetCheck, LooksAtHostsOfWhichSomethingChanged) {
    json document = small_fleet();
    document["ports"][0]["ips"] = {"10.0.1.7"};
    document = normal(document);
    const PackedRows before = pack(normal(small_fleet()));
    std::size_t hosts = 0;
    ASSERT_TRUE(check_fleet(document, pack(document), &before, [&](std::size_t, std::size_t all) {
                    hosts = all;
                }).ok());
    EXPECT_EQ(hosts, 1u);
}

}  // namespace
}  // namespace sluice::fleet
