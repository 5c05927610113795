// SPDX-License-Identifier: Apache-2.0
// What counts as a change, and how it is told.
#include "controller-agent/diff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

model::Document base() {
    const auto result = parse_document(R"({
      "host": {"name": "h"}, "switches": [{"name": "s"}],
      "port_groups": [{"name": "g"}], "ports": [{"name": "a", "tags": {"app": "x"}}, {"name": "b"}],
      "address_sets": [{"name": "set", "members": ["10.0.0.0/8"]}],
      "acls": [{"name": "acl1", "rules": [{"name": "r1"}, {"name": "r2"}]}, {"name": "acl2"}],
      "dfw": {"sections": [{"name": "one", "rules": [{"name": "r1"}, {"name": "r2"}, {"name": "r3"}]}, {"name": "two"}]}})");
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.value();
}

model::Rule rule_named(const char* name) {
    model::Rule rule;
    rule.name = name;
    return rule;
}

using Changes = std::vector<Change>;

TEST(Diff, OfEqualDocumentsIsEmpty) {
    EXPECT_EQ(diff(base(), base()), Changes{});
    EXPECT_EQ(diff({}, {}), Changes{});
}

TEST(Diff, OrderOfPortsAndSetsMeansNothing) {
    model::Document desired = base();
    std::reverse(desired.ports.begin(), desired.ports.end());
    EXPECT_EQ(diff(desired, base()), Changes{});
}

TEST(Diff, NamesFieldsWithOldAndNewValue) {
    model::Document desired = base();
    desired.switches[0].mtu = 9000;
    desired.port_groups[0].security.promiscuous = true;
    desired.ports[0].tags = {{"app", "y"}, {"tier", "z"}};
    desired.ports[0].overrides.security.promiscuous = true;
    const Changes expected{
        {ChangeOp::kModify, "switch", "s", {"mtu: 1500 -> 9000"}},
        {ChangeOp::kModify, "port_group", "g", {"security.promiscuous: false -> true"}},
        {ChangeOp::kModify,
         "port",
         "a",
         {"tags.app: x -> y", "tags.tier: none -> z",
          "overrides.security.promiscuous: none -> true"}},
    };
    EXPECT_EQ(diff(desired, base()), expected);
}

TEST(Diff, TellsAddedAndRemovedObjects) {
    model::Document desired = base();
    desired.ports.erase(desired.ports.begin());
    desired.groups.push_back(model::Group{"new", {{"app", "x"}}});
    EXPECT_EQ(diff(desired, base()), (Changes{{ChangeOp::kRemove, "port", "a", {}},
                                              {ChangeOp::kAdd, "group", "new", {}}}));
    EXPECT_EQ(diff(base(), desired), (Changes{{ChangeOp::kAdd, "port", "a", {}},
                                              {ChangeOp::kRemove, "group", "new", {}}}));
}

TEST(Diff, RulesAreChangesOfTheirOwn) {
    model::Document desired = base();
    auto& rules = desired.dfw.sections[0].rules;
    rules.erase(rules.begin());
    rules[0].action = model::DfwAction::kDrop;
    rules.push_back(rule_named("r4"));
    desired.acls[0].rules[1].vlan = std::uint16_t{7};
    const Changes expected{
        {ChangeOp::kModify, "acl_rule", "acl1/r2", {"vlan: none -> 7"}},
        {ChangeOp::kRemove, "rule", "one/r1", {}},
        {ChangeOp::kModify, "rule", "one/r2", {"action: allow -> drop"}},
        {ChangeOp::kAdd, "rule", "one/r4", {}},
    };
    EXPECT_EQ(diff(desired, base()), expected);
}

TEST(Diff, InsertedRuleIsNoReordering) {
    model::Document desired = base();
    auto& rules = desired.dfw.sections[0].rules;
    rules.insert(rules.begin(), rule_named("r0"));
    EXPECT_EQ(diff(desired, base()), (Changes{{ChangeOp::kAdd, "rule", "one/r0", {}}}));
}

TEST(Diff, NewOrderIsOneChangeOfWhatHoldsThem) {
    model::Document desired = base();
    std::swap(desired.dfw.sections[0].rules[0], desired.dfw.sections[0].rules[2]);
    EXPECT_EQ(diff(desired, base()),
              (Changes{{ChangeOp::kModify, "section", "one", {"order of rules"}}}));
    desired = base();
    std::swap(desired.dfw.sections[0], desired.dfw.sections[1]);
    EXPECT_EQ(diff(desired, base()),
              (Changes{{ChangeOp::kModify, "dfw", "", {"order of sections"}}}));
    desired = base();
    std::swap(desired.acls[0], desired.acls[1]);
    EXPECT_EQ(diff(desired, base()), (Changes{{ChangeOp::kModify, "acl", "", {"order of acls"}}}));
}

TEST(Diff, SectionBringsItsRules) {
    model::Document desired = base();
    desired.dfw.sections.erase(desired.dfw.sections.begin());
    desired.dfw.sections[0].stateful = false;
    desired.dfw.sections[0].rules.push_back(rule_named("x"));
    const Changes expected{
        {ChangeOp::kRemove, "section", "one", {}},
        {ChangeOp::kRemove, "rule", "one/r1", {}},
        {ChangeOp::kRemove, "rule", "one/r2", {}},
        {ChangeOp::kRemove, "rule", "one/r3", {}},
        {ChangeOp::kModify, "section", "two", {"stateful: true -> false"}},
        {ChangeOp::kAdd, "rule", "two/x", {}},
    };
    EXPECT_EQ(diff(desired, base()), expected);
}

TEST(Diff, FirewallSettingsAndHost) {
    model::Document desired = base();
    desired.host.name = "other";
    desired.dfw.default_action = model::DfwAction::kDrop;
    desired.dfw.exclude = {"a"};
    desired.dfw.timeouts.udp_s = 31;
    const Changes expected{
        {ChangeOp::kModify, "host", "", {"name: h -> other"}},
        {ChangeOp::kModify,
         "dfw",
         "",
         {"default: allow -> drop", "exclude: [] -> [\"a\"]", "timeouts.udp_s: 30 -> 31"}},
    };
    EXPECT_EQ(diff(desired, base()), expected);
}

TEST(Diff, EveryDifferenceIsAChange) {
    // Each of these leaves differs from the base in one field only; none may go unseen.
    const std::vector<void (*)(model::Document&)> edits{
        [](auto& d) {
            d.port_groups[0].vlan = {model::VlanMode::kAccess, 4, {}};
        },
        [](auto& d) {
            d.port_groups[0].vlan = {model::VlanMode::kTrunk, 0, {{1, 4}}};
        },
        [](auto& d) { d.port_groups[0].spoofguard = model::SpoofGuard::kManual; },
        [](auto& d) { d.port_groups[0].arp_suppression = false; },
        [](auto& d) { d.port_groups[0].bindings.nd = 9; },
        [](auto& d) { d.port_groups[0].mac_learning.limit = 9; },
        [](auto& d) { d.port_groups[0].mac_learning.enabled = true; },
        [](auto& d) { d.port_groups[0].security.mac_changes = true; },
        [](auto& d) { d.ports[0].overrides.security.mac_changes = true; },
        [](auto& d) { d.switches[0].multicast.snooping = false; },
        [](auto& d) { d.switches[0].multicast.querier.interval_s = 9; },
        [](auto& d) { d.port_groups[0].guards.non_ip = true; },
        [](auto& d) { d.port_groups[0].limits.flows = 9; },
        [](auto& d) { d.ports[0].enabled = false; },
        [](auto& d) { d.ports[0].mac.bytes[5] ^= 1; },
        [](auto& d) { d.ports[0].ips.push_back(IpAddr::v4(1)); },
        [](auto& d) { d.ports[0].socket = "/x"; },
        [](auto& d) { d.ports[0].socket_mode = model::SocketMode::kServer; },
        [](auto& d) { d.ports[0].overrides.vlan = model::Vlan{}; },
        [](auto& d) { d.address_sets[0].members.clear(); },
        [](auto& d) { d.acls[0].applied_to = {"a"}; },
        [](auto& d) { d.acls[0].rules[0].dscp = std::uint8_t{0}; },
        [](auto& d) { d.acls[0].rules[0].source_mac = model::MacMatch{}; },
        [](auto& d) { d.acls[0].rules[0].ethertype = std::uint16_t{0x0800}; },
        [](auto& d) { d.dfw.sections[0].tcp_strict = false; },
        [](auto& d) { d.dfw.sections[0].rules[0].negate_source = true; },
        [](auto& d) {
            d.dfw.sections[0].rules[0].services.push_back({6, false, {}, {80, 80}, {}, {}});
        },
        [](auto& d) { d.dfw.sections[0].rules[0].direction = model::RuleDirection::kIn; },
        [](auto& d) { d.dfw.limits.half_open_per_port = 1; },
        [](auto& d) { d.dfw.grace_s = 30; },
        [](auto& d) { d.dfw.sections[0].rules[0].alg = model::Alg::kFtp; },
    };
    for (std::size_t i = 0; i < edits.size(); ++i) {
        model::Document desired = base();
        edits[i](desired);
        const Changes changes = diff(desired, base());
        ASSERT_EQ(changes.size(), 1u) << i;
        EXPECT_EQ(changes[0].op, ChangeOp::kModify) << i;
        EXPECT_FALSE(changes[0].fields.empty()) << i;
    }
}

TEST(Diff, BindingsAreKnownByTheirPlace) {
    model::Document actual = base();
    const MacAddr mac{{2, 0, 0, 0, 0, 9}};
    actual.bindings = {{"web/10.0.0.9", "web", mac, IpAddr::v4(0x0a000009), {}, {}},
                       {"web/10.0.0.8", "web", mac, IpAddr::v4(0x0a000008), {}, {}}};
    model::Document desired = actual;
    desired.bindings[0].mac.bytes[5] = 7;
    desired.bindings[1] = {"web.5/10.0.0.8", "web", mac, IpAddr::v4(0x0a000008), 5, {}};
    EXPECT_EQ(diff(desired, actual), (Changes{{ChangeOp::kRemove, "binding", "web/10.0.0.8", {}},
                                              {ChangeOp::kModify,
                                               "binding",
                                               "web/10.0.0.9",
                                               {"mac: 02:00:00:00:00:09 -> 02:00:00:00:00:07"}},
                                              {ChangeOp::kAdd, "binding", "web.5/10.0.0.8", {}}}));
}

TEST(Diff, RoutersAreComparedInterfaceByInterfaceAndRouteByRoute) {
    model::Document actual = base();
    const auto route = [](const char* prefix) {
        model::Route item;
        item.name = prefix;
        item.prefix = *parse_prefix(prefix);
        item.blackhole = true;
        return item;
    };
    actual.routers = {{"r", model::kRouterMac, {{"a", "g", {}, {}}}, {route("10.0.0.0/8")}}};
    model::Document desired = actual;
    desired.routers[0].mac.bytes[5] = 7;
    desired.routers[0].interfaces.push_back({"b", "g", {}, {}});
    desired.routers[0].routes = {route("10.1.0.0/16")};
    EXPECT_EQ(
        diff(desired, actual),
        (Changes{
            {ChangeOp::kModify, "router", "r", {"mac: 02:00:5e:53:4c:01 -> 02:00:5e:53:4c:07"}},
            {ChangeOp::kAdd, "router_interface", "r/b", {}},
            {ChangeOp::kRemove, "route", "r/10.0.0.0/8", {}},
            {ChangeOp::kAdd, "route", "r/10.1.0.0/16", {}}}));
    EXPECT_EQ(diff(base(), actual), (Changes{{ChangeOp::kRemove, "router", "r", {}},
                                             {ChangeOp::kRemove, "router_interface", "r/a", {}},
                                             {ChangeOp::kRemove, "route", "r/10.0.0.0/8", {}}}));
}

TEST(Diff, VtepsAndTeamingAreNamedKeyByKey) {
    model::Document actual = base();
    actual.vteps = {{"tep0", {IpAddr::v4(0xac100001), 24}, {}, {}, "up0", 0, 1600, 4789}};
    model::Document desired = actual;
    desired.vteps[0].mtu = 9000;
    desired.switches[0].teaming.policy = model::TeamingPolicy::kLoad;
    desired.switches[0].bfd.enabled = false;
    EXPECT_EQ(diff(desired, actual),
              (Changes{{ChangeOp::kModify, "vtep", "tep0", {"mtu: 1600 -> 9000"}},
                       {ChangeOp::kModify,
                        "switch",
                        "s",
                        {"bfd.enabled: true -> false", "teaming.policy: port_id -> load"}}}));
}

TEST(Diff, LongListsAreCounted) {
    model::Document desired = base();
    for (std::uint32_t i = 0; i < 20; ++i) {
        desired.address_sets[0].members.push_back(IpPrefix{IpAddr::v4(0x0a000000U + i), 32});
    }
    EXPECT_EQ(diff(desired, base()).at(0).fields,
              std::vector<std::string>{"members: [\"10.0.0.0/8\"] -> 21 items"});
    model::Document other = desired;
    other.address_sets[0].members.back().length = 31;
    EXPECT_EQ(diff(desired, other).at(0).fields, std::vector<std::string>{"members: other items"});
}

TEST(Diff, JsonFormForTheCli) {
    model::Document desired = base();
    desired.switches[0].mtu = 9000;
    EXPECT_EQ(to_json_value(diff(desired, base())).dump(),
              R"([{"op":"modify","kind":"switch","name":"s","fields":["mtu: 1500 -> 9000"]}])");
    EXPECT_EQ(to_json_value(Changes{}).dump(), "[]");
}

}  // namespace
}  // namespace sluice::agent
