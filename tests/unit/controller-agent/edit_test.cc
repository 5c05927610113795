// SPDX-License-Identifier: Apache-2.0
// Edits of one object: what they make of a document, what they refuse, and that they can be taken
// back without a trace.
#include "controller-agent/edit.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

using nlohmann::json;

const char* const kDocument = R"({
  "ports": [{"name": "vm1", "mac": "02:00:00:00:00:01", "tags": {"app": "web"}}, {"name": "vm2"}],
  "address_sets": [{"name": "dbs", "members": ["10.0.1.0/24"]}],
  "dfw": {"sections": [{"name": "app", "rules": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}]}
})";

json document() { return json::parse(kDocument); }

Edit edit(const char* params) {
    auto read = read_edit(json::parse(params));
    EXPECT_TRUE(read.ok()) << read.error().message;
    return read.ok() ? read.value() : Edit{};
}

/// The document after the edit; checks that it can be taken back.
json after(const char* params) {
    json changed = document();
    auto undo = make_edit(changed, edit(params));
    EXPECT_TRUE(undo.ok()) << undo.error().message;
    if (!undo.ok()) { return {}; }
    json back = changed;
    take_back(back, undo.value());
    EXPECT_EQ(back, document());
    return changed;
}

/// The sentence with which it is refused; checks that nothing changed.
std::string refusal(const char* params) {
    json same = document();
    auto read = read_edit(json::parse(params));
    if (!read.ok()) { return read.error().message; }
    const auto undo = make_edit(same, read.value());
    EXPECT_FALSE(undo.ok());
    EXPECT_EQ(same, document());
    return undo.ok() ? "" : undo.error().message;
}

std::string rules(const json& changed) {
    std::string names;
    for (const auto& rule : changed["dfw"]["sections"][0]["rules"]) {
        names += rule["name"].get<std::string>();
    }
    return names;
}

TEST(Edit, AddsSetsAndDeletesAPort) {
    const json added = after(R"({"op":"add","kind":"port","name":"vm3","object":{"enabled":false},
                                 "patch":{"overrides.vlan.id":7}})");
    EXPECT_EQ(added["ports"][2],
              json::parse(R"({"name":"vm3","enabled":false,"overrides":{"vlan":{"id":7}}})"));
    const json set = after(R"({"op":"set","kind":"port","name":"vm1","patch":
                               {"mac":null,"tags.a.b/c":"1","tags.app":null,"none.at.all":null}})");
    EXPECT_EQ(set["ports"][0], json::parse(R"({"name":"vm1","tags":{"a.b/c":"1"}})"));
    EXPECT_EQ(after(R"({"op":"del","kind":"port","name":"vm1"})")["ports"],
              json::parse(R"([{"name":"vm2"}])"));
}

TEST(Edit, PlacesRules) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"op":"add","kind":"rule","name":"app/x"})", "abcx"},
        {R"({"op":"add","kind":"rule","name":"app/x","position":"first"})", "xabc"},
        {R"({"op":"add","kind":"rule","name":"app/x","position":{"before":"b"}})", "axbc"},
        {R"({"op":"add","kind":"rule","name":"app/x","position":{"after":"b"}})", "abxc"},
        {R"({"op":"set","kind":"rule","name":"app/a","position":"last"})", "bca"},
        {R"({"op":"set","kind":"rule","name":"app/c","position":{"before":"b"}})", "acb"},
        {R"({"op":"set","kind":"rule","name":"app/a","position":{"after":"b"}})", "bac"},
        {R"({"op":"set","kind":"rule","name":"app/b","patch":{"log":true}})", "abc"},
        {R"({"op":"del","kind":"rule","name":"app/b"})", "ac"}};
    for (const auto& [params, names] : cases) { EXPECT_EQ(rules(after(params)), names) << params; }
}

TEST(Edit, MakesListsThatAreNotThere) {
    json empty = json::object();
    ASSERT_TRUE(make_edit(empty, edit(R"({"op":"add","kind":"section","name":"s"})")).ok());
    ASSERT_TRUE(make_edit(empty, edit(R"({"op":"add","kind":"rule","name":"s/r"})")).ok());
    EXPECT_EQ(empty, json::parse(R"({"dfw":{"sections":[{"name":"s","rules":[{"name":"r"}]}]}})"));
}

TEST(Edit, ChangesMembersAndTheFirewallItself) {
    const json added =
        after(R"({"op":"add_member","kind":"address_set","name":"dbs","members":["10.0.2.1"]})");
    EXPECT_EQ(added["address_sets"][0]["members"], json::parse(R"(["10.0.1.0/24","10.0.2.1"])"));
    const json none =
        after(R"({"op":"del_member","kind":"address_set","name":"dbs","members":["10.0.1.0/24"]})");
    EXPECT_EQ(none["address_sets"][0]["members"], json::array());
    const json dfw = after(R"({"op":"set","kind":"dfw","patch":{"timeouts.udp_s":9}})");
    EXPECT_EQ(dfw["dfw"]["timeouts"]["udp_s"], 9);
}

TEST(Edit, RefusesWithASentence) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"op":"add","kind":"port","name":"vm1"})", "port vm1 exists already: use `port set`"},
        {R"({"op":"set","kind":"port","name":"vm9"})", "port vm9 does not exist"},
        {R"({"op":"del","kind":"group","name":"g"})", "group g does not exist"},
        {R"({"op":"set","kind":"rule","name":"app/z"})", "rule app/z does not exist"},
        {R"({"op":"add","kind":"rule","name":"none/z"})", "section none does not exist"},
        {R"({"op":"set","kind":"rule","name":"app/a","position":{"before":"z"}})",
         "rule app/a: its neighbour z does not exist"},
        {R"({"op":"set","kind":"rule","name":"app/a","position":{"before":"a"}})",
         "rule app/a: its neighbour a does not exist"},
        {R"({"op":"set","kind":"port","name":"vm1","patch":{"mac.x":1}})",
         "port vm1: mac \"02:00:00:00:00:01\" is not an object"},
        {R"({"op":"set","kind":"port","name":"vm1","patch":{"name":"vm3"}})",
         "port vm1: name can't be changed, delete it and add another"},
        {R"({"op":"set","kind":"port","name":"vm1","patch":{"a..b":1}})",
         "port vm1: \"a..b\" is not a path of keys"},
        {R"({"op":"add_member","kind":"address_set","name":"dbs","members":["10.0.1.0/24"]})",
         "address set dbs: has member \"10.0.1.0/24\" already"},
        {R"({"op":"grow","kind":"port","name":"vm1"})",
         "op \"grow\" is not one of add, set, del, add_member, del_member"},
        {R"({"op":"add","kind":"planet","name":"x"})",
         "kind \"planet\" is no kind of object in the document"},
        {R"({"op":"add","kind":"port"})", "name is missing: expected the port's name"},
        {R"({"op":"add","kind":"rule","name":"app"})",
         "rule app: expected section and rule as SECTION/RULE"},
        {R"({"op":"del","kind":"dfw"})", "dfw has no name and can only be set"},
        {R"({"op":"set","kind":"port","name":"vm1","position":"first"})",
         "position has no meaning: the order of port objects does not count"},
        {R"({"op":"set","kind":"rule","name":"app/a","position":"middle"})",
         "position \"middle\" is not \"first\", \"last\", {\"before\": NAME} or {\"after\": NAME}"},
        {R"({"op":"set","kind":"port","name":"vm1","colour":1})",
         "parameters: unknown key \"colour\""}};
    for (const auto& [params, sentence] : cases) { EXPECT_EQ(refusal(params), sentence) << params; }
}

TEST(Edit, RoutesAreKnownByTheirPrefix) {
    json document = json::parse(
        R"({"routers": [{"name": "r", "routes": [{"prefix": "10.0.0.0/8", "blackhole": true}]}]})");
    const json before = document;
    const auto add = make_edit(
        document,
        edit(
            R"({"op":"add","kind":"route","name":"r/0.0.0.0/0","object":{"next_hops":["10.0.0.1"]}})"));
    ASSERT_TRUE(add.ok()) << add.error().message;
    EXPECT_EQ(document["routers"][0]["routes"][1],
              json::parse(R"({"prefix": "0.0.0.0/0", "next_hops": ["10.0.0.1"]})"));
    take_back(document, add.value());
    EXPECT_EQ(document, before);
    const auto set = make_edit(
        document,
        edit(R"({"op":"set","kind":"route","name":"r/10.0.0.0/8","patch":{"blackhole":false}})"));
    ASSERT_TRUE(set.ok()) << set.error().message;
    EXPECT_EQ(document["routers"][0]["routes"][0]["blackhole"], false);
    const auto renamed = make_edit(
        document,
        edit(R"({"op":"set","kind":"route","name":"r/10.0.0.0/8","patch":{"prefix":"::/0"}})"));
    ASSERT_FALSE(renamed.ok());
    EXPECT_EQ(renamed.error().message,
              "route r/10.0.0.0/8: prefix can't be changed, delete it and add another");
    const auto missing =
        make_edit(document, edit(R"({"op":"del","kind":"route","name":"r/11.0.0.0/8"})"));
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().message, "route r/11.0.0.0/8 does not exist");
    EXPECT_EQ(read_edit(json::parse(R"({"op":"del","kind":"route","name":"r"})")).error().message,
              "route r: expected router and prefix as ROUTER/PREFIX");
}

}  // namespace
}  // namespace sluice::agent
