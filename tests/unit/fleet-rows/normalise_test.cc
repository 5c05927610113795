// SPDX-License-Identifier: Apache-2.0
// A fleet's document made regular, and refused with a sentence where that makes no sense.
#include "documents.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

std::string refusal(const json& document) {
    const Result<json> out = normalised(document);
    return out.ok() ? "" : out.error().message;
}

TEST(FleetNormalise, AnExportOfOneHostIsAFleetOfOne) {
    const json document = normal({{"host", {{"name", "h1"}}},
                                  {"switches", {{{"name", "s"}}}},
                                  {"port_groups", {{{"name", "g"}}}},
                                  {"ports", {{{"name", "vm1"}}}}});
    EXPECT_EQ(names(document, "hosts"), std::vector<std::string>{"h1"});
    EXPECT_EQ(find(document, "ports", "vm1")["host"], "h1");
    EXPECT_FALSE(document.contains("host"));
}

TEST(FleetNormalise, WritesDownWhatAListOfOneMakesClear) {
    const json document =
        normal({{"hosts", {{{"name", "h1"}}}},
                {"uplinks", {{{"name", "up0"}, {"host", "h1"}}}},
                {"vteps", {{{"name", "t"}, {"host", "h1"}}}},
                {"switches", {{{"name", "s"}}}},
                {"port_groups", {{{"name", "g"}}}},
                {"ports", {{{"name", "vm1"}, {"host", "h1"}}}},
                {"routers", {{{"name", "r"}, {"interfaces", {{{"name", "i"}}}}}}},
                {"bindings", {{{"mac", "02:00:00:00:00:01"}, {"ip", "10.0.0.1"}}}}});
    EXPECT_EQ(document["vteps"][0]["uplink"], "up0");
    EXPECT_EQ(document["port_groups"][0]["switch"], "s");
    EXPECT_EQ(document["ports"][0]["port_group"], "g");
    EXPECT_EQ(document["routers"][0]["interfaces"][0]["port_group"], "g");
    EXPECT_EQ(document["bindings"][0]["port_group"], "g");
}

TEST(FleetNormalise, LeavesOutEmptyLists) {
    EXPECT_EQ(normal({{"ports", json::array()}, {"dfw", {{"sections", json::array()}}}}),
              json::object());
}

TEST(FleetNormalise, RefusesWithASentence) {
    EXPECT_EQ(refusal(json::array()), "document: is not a JSON object");
    EXPECT_EQ(refusal({{"prots", json::array()}}), "document: unknown key \"prots\"");
    EXPECT_EQ(refusal({{"ports", 3}}), "document: ports is not a list");
    EXPECT_EQ(refusal({{"ports", {3}}}), "ports[0]: is not a JSON object");
    EXPECT_EQ(refusal({{"ports", {json::object()}}}), "ports[0]: name is missing, expected a text");
    EXPECT_EQ(refusal({{"ports", {{{"name", "vm1"}}}}}),
              "port vm1: host is missing, expected the name of the host that has it (a document of "
              "one host may say host.name instead)");
    EXPECT_EQ(refusal({{"ports", {{{"name", "vm1"}, {"host", "h9"}}}}}),
              "port vm1: host \"h9\" is not one of hosts");
    EXPECT_EQ(refusal({{"hosts", {{{"name", "h1"}}}}, {"host", {{"name", "h1"}}}}),
              "document: has host and hosts, expected one of them: host is that of a document of "
              "one host");
    EXPECT_EQ(refusal({{"switches", {{{"name", "a"}}, {{"name", "a"}}}}}),
              "switch a: the name is given twice in switches");
    EXPECT_EQ(
        refusal(
            {{"dfw",
              {{"sections", {{{"name", "s"}, {"rules", {{{"name", "r"}}, {{"name", "r"}}}}}}}}}}),
        "rule s/r: the name is given twice in rules");
    EXPECT_EQ(refusal({{"address_sets", {{{"name", "a"}, {"members", {7}}}}}}),
              "address_set a: members is not a list of texts");
}

TEST(FleetNormalise, RefusesOnePortOnTwoHosts) {
    EXPECT_EQ(refusal({{"hosts", {{{"name", "h1"}}, {{"name", "h2"}}}},
                       {"ports",
                        {{{"name", "vm1"}, {"host", "h1"}}, {{"name", "vm1"}, {"host", "h2"}}}}}),
              "port vm1: hosts h1 and h2 both have a port of that name, which is one of the fleet");
}

}  // namespace
}  // namespace sluice::fleet
