// SPDX-License-Identifier: Apache-2.0
// What service chains and encryption become in the snapshot, and what keeps its number over a
// change.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "controller-agent/document_json.h"
#include "datapath/vtep_port.h"
#include "sluice/net/address_text.h"
#include "src/host/compile.h"
#include "src/host/compile_services.h"
#include "tests/unit/service-model/documents.h"

namespace sluice::host {
namespace {

using datapath::kNoDomain;
using datapath::kNoService;
using datapath::PortConfig;
using datapath::ServiceInstanceConfig;
using datapath::ServiceRuleConfig;
using datapath::Snapshot;
using nlohmann::json;

class CompileServices : public testing::Test {
protected:
    Result<Compiled> try_compile(const json& document) {
        const auto parsed = agent::read_document(document, {});
        if (!parsed.ok()) { return parsed.error(); }
        return host::compile(
            parsed.value(), *snapshot_, 1, registries_,
            [this](const model::Port& port) {
                return Result<std::shared_ptr<datapath::Port>>(device(port.name));
            },
            [this](const std::string& uplink) { return device(uplink); });
    }
    const Snapshot& compile(const json& document) {
        auto compiled = try_compile(document);
        if (!compiled.ok()) {
            ADD_FAILURE() << compiled.error().message;
            return *snapshot_;
        }
        former_ = std::move(snapshot_);
        snapshot_ = std::move(compiled.value().snapshot);
        return *snapshot_;
    }

    [[nodiscard]] const PortConfig& port(const std::string& name) const {
        return *snapshot_->port(registries_.ports.find(name));
    }
    /// 0 if there is none.
    [[nodiscard]] std::uint16_t instance(const std::string& name) const {
        return number(snapshot_->service_instances, name);
    }
    [[nodiscard]] std::uint16_t rule(const std::string& name) const {
        return number(snapshot_->service_rules, name);
    }

private:
    template <typename Config>
    static std::uint16_t number(const std::vector<Config>& all, const std::string& name) {
        for (std::size_t i = 1; i < all.size(); ++i) {
            if (all[i].name == name) { return static_cast<std::uint16_t>(i); }
        }
        return 0;
    }
    std::shared_ptr<datapath::Port> device(const std::string& name) {
        auto& port = devices_[name];
        if (port == nullptr) { port = std::make_shared<datapath::VtepPort>(); }
        return port;
    }

    std::map<std::string, std::shared_ptr<datapath::Port>> devices_;
    std::unique_ptr<Snapshot> former_;

protected:
    std::unique_ptr<Snapshot> snapshot_ = std::make_unique<Snapshot>();
    Registries registries_;
};

TEST_F(CompileServices, InstancesAreWhereTheyAre) {
    const Snapshot& next = compile(test::with_services());
    const ServiceInstanceConfig& ids1 = next.service_instances[instance("ids1")];
    EXPECT_EQ(ids1.in, registries_.ports.find("ids1-in"));
    EXPECT_EQ(ids1.out, registries_.ports.find("ids1-out"));
    EXPECT_EQ(ids1.path, model::default_path("ids1"));
    EXPECT_TRUE(ids1.takes_new);
    const ServiceInstanceConfig& av = next.service_instances[instance("av")];
    EXPECT_EQ(av.in, av.out) << "one leg";
    EXPECT_EQ(av.path, 77u);
    EXPECT_FALSE(av.takes_new) << "weight 0: it is draining";
    const ServiceInstanceConfig& far = next.service_instances[instance("far")];
    EXPECT_EQ(far.in, kNoPort);
    EXPECT_EQ(far.vni, 9001u);
    EXPECT_EQ(next.remotes[far.remote].ip, *parse_ip("172.16.0.9"));
    EXPECT_EQ(next.remotes[far.remote].switch_name, "dvs0");
    EXPECT_FALSE(next.remotes[far.remote].gets_floods);
    EXPECT_TRUE(next.service_instances[0].name.empty());
}

TEST_F(CompileServices, RulesNameInstancesByNumber) {
    const Snapshot& next = compile(test::with_services());
    const ServiceRuleConfig& inspect = next.service_rules[rule("ids/inspect")];
    EXPECT_EQ(inspect.slot, 4);
    EXPECT_EQ(inspect.on_failure, model::OnFailure::kClosed);
    EXPECT_EQ(inspect.id, registries_.rules.find({service_section("ids"), "inspect"}));
    EXPECT_EQ(inspect.instances, (std::vector<ServiceRuleConfig::Choice>{{instance("ids1"), 3},
                                                                         {instance("far"), 1}}));
    EXPECT_EQ(rule("ids/trusted"), 0) << "a bypass redirects nothing";
}

TEST_F(CompileServices, ProgramsAreWhereRulesApply) {
    compile(test::with_services());
    EXPECT_NE(port("vm1").chain->slots[4], nullptr);
    EXPECT_NE(port("vm2").chain->slots[4], nullptr) << "the bypass applies to it";
    EXPECT_NE(port("vm1").chain->slots[4], port("vm2").chain->slots[4]);
    EXPECT_EQ(port("vm1").chain->slots[5], nullptr);
    EXPECT_EQ(port("vm1").chain->slots[7], port("vm2").chain->slots[7]);
    EXPECT_NE(port("vm1").chain->slots[kSlotEncrypt], nullptr);
    const ChainProgram& leg = *port("ids1-in").chain;
    EXPECT_NE(leg.slots[kSlotDfw], nullptr);
    EXPECT_NE(leg.slots[kSlotEncrypt], nullptr);
    EXPECT_EQ(leg.slots[kSlotSwsec], nullptr) << "a leg carries everybody's MACs";
    EXPECT_EQ(leg.slots[4], nullptr);
    EXPECT_EQ(leg.slots[7], nullptr);
}

TEST_F(CompileServices, LegsAreTrunksOfTaggedDomainsAndMembersOfNone) {
    const Snapshot& next = compile(test::with_services());
    const PortConfig& leg = port("ids1-in");
    EXPECT_EQ(leg.leg_of, instance("ids1"));
    EXPECT_EQ(port("ids1-out").leg_of, instance("ids1"));
    EXPECT_EQ(port("vm1").leg_of, kNoService);
    EXPECT_TRUE(leg.vlan.is_trunk);
    EXPECT_EQ(leg.vlan.untagged_domain, kNoDomain);
    ASSERT_NE(leg.vlan.tagged_domains, nullptr);
    const std::uint16_t web = port("vm1").vlan.untagged_domain;
    const std::uint16_t vid = next.domains[web].service_vid;
    ASSERT_NE(vid, 0);
    EXPECT_EQ((*leg.vlan.tagged_domains)[vid], web);
    EXPECT_EQ(next.domains[web].members.size(), 2u);
    EXPECT_EQ(next.domains[web].macs.rows().size(), 2u);
    EXPECT_GT(port("av-leg").frame_size_max, leg.frame_size_max) << "room for the envelope";
}

TEST_F(CompileServices, ServiceNetworksJoinTheVtep) {
    const Snapshot& next = compile(test::with_services());
    std::uint16_t path = kNoDomain;
    for (const auto& [vni, domain] : *port("tep0").vlan.vnis) {
        if (vni == 9001) { path = domain; }
    }
    ASSERT_NE(path, kNoDomain);
    EXPECT_TRUE(next.domains[path].is_service_path);
    EXPECT_EQ(next.domains[path].service_vid, 0);
    EXPECT_FALSE(next.domains[port("vm1").vlan.untagged_domain].is_service_path);
}

TEST_F(CompileServices, NumbersAndTagsStay) {
    compile(test::with_services());
    const std::uint16_t ids1 = instance("ids1"), av = instance("av"), scan = rule("ids/scan");
    const std::uint16_t vid = snapshot_->domains[port("vm1").vlan.untagged_domain].service_vid;
    json changed = test::with_services();
    json& rules = changed["service_chains"][0]["rules"];
    rules[1]["instances"].erase(1);  // far
    rules[1]["name"] = "a-new-name";
    rules.push_back(json::parse(
        R"({"name":"another","instances":[{"name":"a0","vtep":"172.16.0.7","vni":9002}]})"));
    json& groups = changed["port_groups"];
    groups.insert(groups.begin(), json::parse(R"({"name":"db","switch":"dvs0","vni":5002})"));
    json& ports = changed["ports"];
    ports.insert(ports.begin(), json::parse(R"({"name":"vm0","port_group":"db"})"));
    const Snapshot& next = compile(changed);
    EXPECT_EQ(instance("ids1"), ids1);
    EXPECT_EQ(instance("av"), av);
    EXPECT_EQ(rule("ids/scan"), scan);
    EXPECT_EQ(instance("far"), 0);
    EXPECT_GT(instance("a0"), 3) << "a number that was free is used again last";
    EXPECT_EQ(rule("ids/inspect"), 0);
    EXPECT_EQ(next.domains[port("vm1").vlan.untagged_domain].service_vid, vid);
    EXPECT_NE(next.domains[port("vm0").vlan.untagged_domain].service_vid, vid);
}

TEST_F(CompileServices, OnFailureAndInstancesLeaveProgramsAlone) {
    compile(test::with_services());
    const auto epoch = port("vm1").policy_epoch;
    json changed = test::with_services();
    json& inspect = changed["service_chains"][0]["rules"][1];
    inspect["on_failure"] = "open";
    inspect["instances"][0]["weight"] = 7U;
    compile(changed);
    EXPECT_EQ(port("vm1").policy_epoch, epoch);
    EXPECT_EQ(snapshot_->service_rules[rule("ids/inspect")].on_failure, model::OnFailure::kOpen);
    inspect["services"] = {"tcp/81"};
    compile(changed);
    EXPECT_GT(port("vm1").policy_epoch, epoch);
}

TEST_F(CompileServices, KeyPoliciesAreFoundByNumber) {
    const Snapshot& next = compile(test::with_services());
    ASSERT_EQ(next.key_policies.size(), kKeyPolicyMax + 1u);
    EXPECT_EQ(next.key_policies[9].name, "kp1");
    EXPECT_EQ(next.key_policies[10].algorithm, model::KeyAlgorithm::kAes128Gmac);
    EXPECT_TRUE(next.key_policies[1].name.empty());
}

TEST_F(CompileServices, WithoutRulesThereIsNothing) {
    json plain = test::with_services();
    plain.erase("service_chains");
    plain.erase("encryption");
    const Snapshot& next = compile(plain);
    EXPECT_EQ(next.domains[port("vm1").vlan.untagged_domain].service_vid, 0);
    EXPECT_EQ(port("ids1-in").leg_of, kNoService);
    for (std::size_t slot = 3; slot < kSlotCount; ++slot) {
        EXPECT_EQ(port("vm1").chain->slots[slot], nullptr);
    }
}

TEST_F(CompileServices, AModuleThatIsNotLoadedIsRefusedByName) {
    json document = test::with_services();
    document["service_chains"][0]["rules"][2]["instances"] =
        json::parse(R"([{"name":"dns","module":"dns-filter"}])");
    const auto compiled = try_compile(document);
    ASSERT_FALSE(compiled.ok());
    EXPECT_EQ(compiled.error().message, "service module dns-filter: there are none here");
}

}  // namespace
}  // namespace sluice::host
