// SPDX-License-Identifier: Apache-2.0
// What two states of a fleet's document differ in, and two editors' changes merged.
#include "controller-agent/fleet/changes.h"

#include "documents.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

Items items(const json& document) { return items_of(normal(document)); }

/// Changes as "op kind name [host]: fields" from the small fleet to what `edit` makes of it.
template <typename Edit>
std::vector<std::string> changes(Edit edit) {
    json document = small_fleet();
    edit(document);
    std::vector<std::string> out;
    for (const json& each : to_json_value(changes_of(items(document), items(small_fleet())))) {
        std::string text = each["op"].get<std::string>() + " " + each["kind"].get<std::string>() +
                           " " + each["name"].get<std::string>();
        if (each.contains("host")) { text += " at " + each["host"].get<std::string>(); }
        for (const json& field : each.value("fields", json::array())) {
            text += "; " + field.get<std::string>();
        }
        out.push_back(std::move(text));
    }
    return out;
}
using Texts = std::vector<std::string>;

TEST(FleetChanges, NothingIsNothing) {
    EXPECT_EQ(changes([](json&) {}), Texts{});
}

TEST(FleetChanges, NameObjectFieldAndHost) {
    EXPECT_EQ(changes([](json& d) { d["switches"][0]["mtu"] = 1400; }),
              Texts{"modify switch dvs0; mtu: none -> 1400"});
    EXPECT_EQ(changes([](json& d) { d["ports"][0]["ips"] = {"10.0.1.7"}; }),
              Texts{"modify port vm1 at h1; ips: [\"10.0.1.1\"] -> [\"10.0.1.7\"]"});
    EXPECT_EQ(changes([](json& d) { d["dfw"]["default"] = "allow"; }),
              Texts{"modify dfw ; default: drop -> allow"});
    EXPECT_EQ(changes([](json& d) { d["bindings"].erase(0); }),
              Texts{"remove binding web/10.0.1.9"});
}

TEST(FleetChanges, AddAndRemoveRulesByTheirSection) {
    EXPECT_EQ(changes([](json& d) { d["dfw"]["sections"][0]["rules"].erase(0); }),
              Texts{"remove rule z/b"});
    EXPECT_EQ(changes([](json& d) {
                  d["acls"][0]["rules"].push_back({{"name", "new"}, {"action", "deny"}});
              }),
              Texts{"add acl_rule z/new"});
}

TEST(FleetChanges, OrderIsAChangeOfWhatHoldsTheList) {
    const auto swap = [](json& list) { std::swap(list[0], list[1]); };
    EXPECT_EQ(changes([&](json& d) { swap(d["dfw"]["sections"]); }),
              Texts{"modify dfw ; order of sections"});
    EXPECT_EQ(changes([&](json& d) { swap(d["dfw"]["sections"][0]["rules"]); }),
              Texts{"modify section z; order of rules"});
    EXPECT_EQ(changes([&](json& d) { swap(d["acls"]); }), Texts{"modify acl ; order of acls"});
    EXPECT_EQ(changes([&](json& d) { swap(d["ports"]); }), Texts{});
}

TEST(FleetChanges, APortThatMovesIsOneChange) {
    EXPECT_EQ(changes([](json& d) { d["ports"][0]["host"] = "h2"; }),
              Texts{"modify port vm1 at h2; host: h1 -> h2"});
}

TEST(FleetChanges, MembersAreCounted) {
    EXPECT_EQ(changes([](json& d) {
                  d["address_sets"][0]["members"] = {"198.51.100.7", "10.1.1.1"};
              }),
              Texts{"modify address_set office; members: +1, -1"});
}

template <typename Mine, typename Theirs>
Result<Items> merge(Mine mine, Theirs theirs) {
    json my_document = small_fleet(), their_document = small_fleet();
    mine(my_document);
    theirs(their_document);
    return merged(items(small_fleet()), items(my_document), items(their_document));
}

TEST(FleetMerge, KeepsWhatEachChanged) {
    const Result<Items> both = merge([](json& d) { d["ports"][0]["ips"] = {"10.0.1.7"}; },
                                     [](json& d) { d["ports"].erase(2); });
    ASSERT_TRUE(both.ok());
    json expected = small_fleet();
    expected["ports"][0]["ips"] = {"10.0.1.7"};
    expected["ports"].erase(2);
    EXPECT_EQ(both.value(), items(expected));
}

TEST(FleetMerge, TheSameChangeTwiceIsNoConflict) {
    const auto change = [](json& d) { d["dfw"]["default"] = "allow"; };
    EXPECT_TRUE(merge(change, change).ok());
}

TEST(FleetMerge, RefusesTwoChangesOfOneObject) {
    const auto change = [](const char* ip) {
        return [ip](json& d) { d["ports"][0]["ips"] = {ip}; };
    };
    const Result<Items> both = merge(change("10.0.1.7"), change("10.0.1.8"));
    ASSERT_FALSE(both.ok());
    EXPECT_EQ(both.error().object, "port vm1");
    EXPECT_EQ(both.error().code, Errc::kState);
    const Result<Items> gone = merge(change("10.0.1.7"), [](json& d) { d["ports"].erase(0); });
    ASSERT_FALSE(gone.ok());
    EXPECT_EQ(gone.error().object, "port vm1");
}

TEST(FleetMerge, RefusesTwoOrdersOfOneList) {
    const auto add = [](const char* name) {
        return [name](json& d) { d["dfw"]["sections"][0]["rules"].push_back({{"name", name}}); };
    };
    const Result<Items> both = merge(add("mine"), add("theirs"));
    ASSERT_FALSE(both.ok());
    EXPECT_EQ(both.error().object, "order of rules of z");
}

}  // namespace
}  // namespace sluice::fleet
