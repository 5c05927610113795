// SPDX-License-Identifier: Apache-2.0
// What the names in a rule stand for.
#include "sluice/model/resolve.h"

#include <gtest/gtest.h>

#include "sluice/net/address_text.h"

namespace sluice::model {
namespace {

Port port(std::string name, std::string group, std::vector<std::string> ips,
          std::map<std::string, std::string> tags) {
    Port p;
    p.name = std::move(name);
    p.port_group = std::move(group);
    for (const std::string& ip : ips) { p.ips.push_back(*parse_ip(ip)); }
    p.tags = std::move(tags);
    return p;
}

Document document() {
    Document d;
    d.switches.emplace_back().name = "dvs0";
    d.port_groups.resize(2);
    d.port_groups[0].name = "front";
    d.port_groups[1].name = "back";
    d.ports.push_back(
        port("web1", "front", {"10.0.0.2", "2001:db8::2"}, {{"app", "shop"}, {"tier", "web"}}));
    d.ports.push_back(port("web2", "front", {"10.0.0.1"}, {{"app", "shop"}, {"tier", "web"}}));
    d.ports.push_back(port("db1", "back", {}, {{"app", "shop"}, {"tier", "db"}}));
    d.groups.push_back(Group{"web", {{"app", "shop"}, {"tier", "web"}}});
    d.groups.push_back(Group{"shop", {{"app", "shop"}}});
    d.groups.push_back(Group{"nobody", {{"app", "bank"}}});
    d.groups.push_back(Group{"untagged", {}});
    d.address_sets.push_back(AddressSet{"office", {*parse_prefix("192.0.2.0/24")}});
    d.address_sets.push_back(AddressSet{"empty", {}});
    return d;
}

std::vector<std::string> texts(const Addresses& addresses) {
    std::vector<std::string> out;
    for (const IpPrefix& prefix : addresses.prefixes) { out.push_back(to_string(prefix)); }
    return out;
}

using Texts = std::vector<std::string>;

TEST(Resolver, GroupIsThePortsThatCarryAllItsTags) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_EQ(resolver.ports("web"), (PortIndices{0, 1}));
    EXPECT_EQ(resolver.ports("shop"), (PortIndices{0, 1, 2}));
    EXPECT_EQ(resolver.ports("nobody"), PortIndices{});
    EXPECT_EQ(resolver.ports("untagged"), PortIndices{});
}

TEST(Resolver, PortGroupPortAndAny) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_EQ(resolver.ports("front"), (PortIndices{0, 1}));
    EXPECT_EQ(resolver.ports("db1"), (PortIndices{2}));
    EXPECT_EQ(resolver.ports("any"), (PortIndices{0, 1, 2}));
    EXPECT_EQ(resolver.ports("no-such"), PortIndices{});
}

TEST(Resolver, EmptyAppliedToIsEveryPortAndListsAreUnions) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_EQ(resolver.ports(Texts{}), (PortIndices{0, 1, 2}));
    EXPECT_EQ(resolver.ports(Texts{"db1", "web", "web1"}), (PortIndices{0, 1, 2}));
}

TEST(Resolver, EmptyExcludeIsNoPort) {
    Document d = document();
    EXPECT_EQ(Resolver(d).excluded(), PortIndices{});
    d.dfw.exclude = {"back"};
    EXPECT_EQ(Resolver(d).excluded(), (PortIndices{2}));
}

TEST(Resolver, AddressesOfEachKindOfItem) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_TRUE(resolver.addresses("any").any);
    EXPECT_EQ(texts(resolver.addresses("10.1.0.0/16")), Texts{"10.1.0.0/16"});
    EXPECT_EQ(texts(resolver.addresses("10.1.0.9")), Texts{"10.1.0.9/32"});
    EXPECT_EQ(texts(resolver.addresses("office")), Texts{"192.0.2.0/24"});
    EXPECT_EQ(texts(resolver.addresses("web")),
              (Texts{"10.0.0.1/32", "10.0.0.2/32", "2001:db8::2/128"}));
    EXPECT_EQ(texts(resolver.addresses("web2")), Texts{"10.0.0.1/32"});
    EXPECT_EQ(texts(resolver.addresses("front")),
              (Texts{"10.0.0.1/32", "10.0.0.2/32", "2001:db8::2/128"}));
}

TEST(Resolver, ABindingOfAPortsMacIsOneOfItsAddressesInItsVlan) {
    Document d = document();
    for (Port& each : d.ports) { each.mac = default_mac(each.name); }
    d.port_groups[1].vlan = {VlanMode::kTrunk, 0, {{5, 9}}};
    const auto bind = [&d](const char* group, const char* port, const char* ip,
                           std::optional<std::uint16_t> vlan = {}) {
        d.bindings.push_back({ip, group, default_mac(port), *parse_ip(ip), vlan, {}});
    };
    bind("front", "web2", "10.0.0.7");
    bind("front", "elsewhere", "10.0.0.8");
    bind("front", "db1", "10.0.0.9");
    bind("back", "db1", "10.0.5.1", 5);
    const Resolver resolver(d);
    EXPECT_EQ(texts(resolver.addresses("web2")), (Texts{"10.0.0.1/32", "10.0.0.7/32"}));
    EXPECT_EQ(texts(resolver.addresses("db1")), Texts{"10.0.5.1/32"}) << "it is not untagged";
    EXPECT_EQ(texts(resolver.addresses("front")),
              (Texts{"10.0.0.1/32", "10.0.0.2/32", "10.0.0.7/32", "2001:db8::2/128"}));
}

TEST(Resolver, AddressesOfMembersElsewhereAreTheGroupsOwn) {
    Document d = document();
    d.groups[0].addresses = {*parse_prefix("10.0.0.1/32"), *parse_prefix("10.9.0.0/24")};
    d.port_groups[1].addresses = {*parse_prefix("2001:db8::9/128")};
    const Resolver resolver(d);
    EXPECT_EQ(texts(resolver.addresses("web")),
              (Texts{"10.0.0.1/32", "10.0.0.2/32", "10.9.0.0/24", "2001:db8::2/128"}));
    EXPECT_EQ(texts(resolver.addresses("back")), Texts{"2001:db8::9/128"});
    EXPECT_EQ(resolver.ports("web"), (PortIndices{0, 1})) << "no port is theirs here";
    EXPECT_EQ(texts(resolver.addresses("shop")),
              (Texts{"10.0.0.1/32", "10.0.0.2/32", "2001:db8::2/128"}));
}

TEST(Resolver, NothingIsNotAny) {
    const Document d = document();
    const Resolver resolver(d);
    for (const std::string item : {"db1", "empty", "nobody"}) {
        EXPECT_EQ(resolver.addresses(Texts{item}), Addresses{}) << item;
    }
    EXPECT_TRUE(resolver.addresses(Texts{}).any);
}

TEST(Resolver, ListOfAddressesIsSortedWithoutDuplicates) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_EQ(texts(resolver.addresses(Texts{"office", "web2", "10.0.0.1", "10.0.0.0/8"})),
              (Texts{"10.0.0.0/8", "10.0.0.1/32", "192.0.2.0/24"}));
}

TEST(Resolver, FindsObjectsByName) {
    const Document d = document();
    const Resolver resolver(d);
    EXPECT_EQ(resolver.port("web2"), &d.ports[1]);
    EXPECT_EQ(resolver.port_group("back"), &d.port_groups[1]);
    EXPECT_EQ(resolver.switch_of("dvs0"), &d.switches[0]);
    EXPECT_EQ(resolver.group("web"), &d.groups[0]);
    EXPECT_EQ(resolver.address_set("office"), &d.address_sets[0]);
    EXPECT_EQ(resolver.port("front"), nullptr);
}

}  // namespace
}  // namespace sluice::model
