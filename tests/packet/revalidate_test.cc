// SPDX-License-Identifier: Apache-2.0
// What a change of policy does to flows that run: those that it concerns obey it at their next
// packet, whichever direction that has; all others go on without being decided again.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

/// Three vNICs and some rules; what no rule allows is dropped.
json policy(std::string_view rules, json document = three_vms()) {
    document["dfw"] = {{"default", "drop"},
                       {"sections", {{{"name", "s"}, {"rules", json_of(rules)}}}}};
    return document;
}

json& rules_of(json& document) { return document["dfw"]["sections"][0]["rules"]; }

class Revalidation : public testing::Test {
protected:
    void start(const json& document) {
        document_ = document;
        p_ = std::make_unique<Pipeline>(document);
    }
    /// Applies what `edit` makes of the document.
    template <typename Edit>
    void change(Edit&& edit) {
        edit(document_);
        p_->apply(document_);
    }
    bool passes(const std::string& from, const std::string& to, const Bytes& frame) {
        p_->send(from, frame).step();
        return !p_->sent(to).empty();
    }
    bool udp_passes(std::uint16_t port, const Vnic& from = kVm1, const Vnic& to = kVm2) {
        return passes(name(from), name(to), udp(v4(from, to), 5000, port));
    }
    /// The same, and whether it needed no new decision.
    bool udp_goes_on(std::uint16_t port, const Vnic& from = kVm1, const Vnic& to = kVm2) {
        const std::uint64_t before = decided();
        return udp_passes(port, from, to) && decided() == before;
    }
    std::uint64_t decided() {
        return p_->dataplane().worker(0).context().counters.flow_misses.get();
    }
    static std::string name(const Vnic& vnic) {
        return vnic.mac == kVm1.mac ? "vm1" : (vnic.mac == kVm2.mac ? "vm2" : "vm3");
    }

    std::unique_ptr<Pipeline> p_;
    json document_;
};

constexpr const char* kTwoServices = R"([{"name": "a", "services": ["udp/1000"]},
                                         {"name": "b", "services": ["udp/2000"]}])";

TEST_F(Revalidation, ChangedRuleIsObeyedAndOtherFlowsGoOn) {
    start(policy(kTwoServices));
    ASSERT_TRUE(udp_passes(1000) && udp_passes(2000));
    change([](json& d) { rules_of(d)[0]["action"] = "drop"; });
    EXPECT_TRUE(udp_goes_on(2000));
    EXPECT_FALSE(udp_passes(1000));
    EXPECT_EQ(p_->drops(DropReason::kDfwDeny), 1u);
    change([](json& d) { rules_of(d)[0]["action"] = "allow"; });
    EXPECT_TRUE(udp_goes_on(2000));
    EXPECT_TRUE(udp_passes(1000));
    EXPECT_TRUE(p_->packets_conserved());
}

TEST_F(Revalidation, DeletedRuleCutsItsConnectionsInEitherDirection) {
    for (const auto side : {kClient, kServer}) {
        start(policy(R"([{"name": "web", "services": ["tcp/80"]},
                         {"name": "tls", "services": ["tcp/443"]}])"));
        TcpTalk web(v4(kVm1, kVm2), 40000, 80), tls(v4(kVm1, kVm2), 40000, 443);
        for (TcpTalk* talk : {&web, &tls}) {
            ASSERT_TRUE(passes("vm1", "vm2", talk->syn()));
            ASSERT_TRUE(passes("vm2", "vm1", talk->syn_ack()));
            ASSERT_TRUE(passes("vm1", "vm2", talk->ack(kClient)));
        }
        change([](json& d) { rules_of(d).erase(0); });
        const std::uint64_t before = decided();
        EXPECT_TRUE(passes("vm1", "vm2", tls.data(kClient)));
        EXPECT_TRUE(passes("vm2", "vm1", tls.data(kServer)));
        EXPECT_EQ(decided(), before) << "nothing concerned it";
        EXPECT_FALSE(passes(side == kClient ? "vm1" : "vm2", side == kClient ? "vm2" : "vm1",
                            web.data(side)));
        EXPECT_EQ(p_->connections().size(), 1u) << "it ended with its rule";
        EXPECT_TRUE(p_->packets_conserved());
    }
}

TEST_F(Revalidation, RuleInFrontTakesOnlyItsFlows) {
    start(policy(kTwoServices));
    ASSERT_TRUE(udp_passes(1000) && udp_passes(2000));
    change([](json& d) {
        rules_of(d).insert(rules_of(d).begin(), json_of(R"({"name": "no", "action": "drop",
            "source": ["10.0.0.1"], "destination": ["vm2"], "services": ["udp/1000"]})"));
    });
    EXPECT_TRUE(udp_goes_on(2000));
    EXPECT_FALSE(udp_passes(1000));
    EXPECT_EQ(p_->rule("s", "b").packets, 2u) << "charged to its rule, wherever that stands now";
}

TEST_F(Revalidation, RulesThatChangePlacesAreAskedAnew) {
    start(policy(R"([{"name": "all", "services": ["udp"]}, {"name": "a", "services": ["udp/1000"]},
                     {"name": "z", "services": ["tcp"]}])"));
    ASSERT_TRUE(udp_passes(1000));
    change([](json& d) { std::swap(rules_of(d)[0], rules_of(d)[1]); });
    ASSERT_TRUE(udp_passes(1000));
    EXPECT_EQ(p_->rule("s", "all").packets, 1u);
    EXPECT_EQ(p_->rule("s", "a").packets, 1u);
}

TEST_F(Revalidation, MembersOfASetComeAndGo) {
    json document = three_vms();
    document["address_sets"] = {{{"name", "set"}, {"members", {"10.0.0.1", "10.0.0.2"}}}};
    start(policy(R"([{"name": "a", "source": ["set"], "services": ["udp"]}])", document));
    ASSERT_TRUE(udp_passes(1000, kVm1, kVm3) && udp_passes(1000, kVm2, kVm3));
    change([](json& d) { d["address_sets"][0]["members"] = {"10.0.0.2", "10.0.0.3"}; });
    EXPECT_TRUE(udp_goes_on(1000, kVm2, kVm3));
    EXPECT_FALSE(udp_passes(1000, kVm1, kVm3));
    EXPECT_TRUE(udp_passes(1000, kVm3, kVm1));
}

TEST_F(Revalidation, AppliedToAnotherVnicConcernsThoseTwo) {
    start(policy(R"([{"name": "no", "action": "drop", "direction": "out", "services": ["udp"],
                      "applied_to": ["vm1"]}, {"name": "all"}])"));
    ASSERT_FALSE(udp_passes(1000, kVm1, kVm3));
    ASSERT_TRUE(udp_passes(1000, kVm2, kVm3));
    change([](json& d) { rules_of(d)[0]["applied_to"] = {"vm2"}; });
    EXPECT_TRUE(udp_passes(1000, kVm1, kVm3));
    EXPECT_FALSE(udp_passes(1000, kVm2, kVm3));
}

TEST_F(Revalidation, PortThatComesLeavesOthersAlone) {
    json document = two_vms();
    document["groups"] = {{{"name", "web"}, {"tags", {{"role", "web"}}}}};
    for (json& port : document["ports"]) { port["tags"] = {{"role", "web"}}; }
    start(policy(R"([{"name": "a", "source": ["web"], "applied_to": ["web"]}])", document));
    ASSERT_TRUE(udp_passes(1000));
    p_->send("vm1", udp(v4(kVm1, kVm3), 1, 2)).step();
    EXPECT_EQ(p_->drops(DropReason::kUnknownUnicast), 1u);
    change([](json& d) {
        d["ports"].push_back(port_of("vm3", "lan", kVm3));
        d["ports"].back()["tags"] = {{"role", "web"}};
    });
    EXPECT_TRUE(udp_goes_on(1000));
    EXPECT_TRUE(passes("vm1", "vm3", udp(v4(kVm1, kVm3), 1, 2))) << "its MAC is known now";
    EXPECT_TRUE(udp_passes(1000, kVm3, kVm1));
    change([](json& d) { d["ports"].erase(2); });
    EXPECT_TRUE(udp_goes_on(1000));
    p_->send("vm1", udp(v4(kVm1, kVm3), 1, 2)).step();
    EXPECT_EQ(p_->drops(DropReason::kUnknownUnicast), 2u);
    EXPECT_TRUE(p_->packets_conserved());
}

TEST_F(Revalidation, AclRuleConcernsItsFlows) {
    json document = policy(kTwoServices);
    document["acls"] = json_of(
        R"([{"name": "hard", "rules": [{"name": "x", "action": "deny", "services": ["tcp/23"]}]}])");
    start(document);
    ASSERT_TRUE(udp_passes(1000) && udp_passes(2000));
    change([](json& d) {
        d["acls"][0]["rules"].push_back(
            json_of(R"({"name": "y", "action": "deny", "services": ["udp/1000"]})"));
    });
    EXPECT_TRUE(udp_goes_on(2000));
    EXPECT_FALSE(udp_passes(1000));
    EXPECT_EQ(p_->drops(DropReason::kAclDeny), 1u);
}

TEST_F(Revalidation, AclRuleOnEthertypesConcernsFramesThatAreNotIp) {
    json document = three_vms();
    document["acls"] =
        json_of(R"([{"name": "a", "rules": [{"name": "x", "ethertype": "0x0801"}]}])");
    start(document);
    const Bytes frame = ethernet(kVm1.mac, kVm2.mac, 0x88e5, Bytes(50));
    ASSERT_TRUE(passes("vm1", "vm2", frame));
    change([](json& d) {
        d["acls"][0]["rules"].push_back(
            json_of(R"({"name": "y", "action": "deny", "ethertype": "0x88e5"})"));
    });
    EXPECT_FALSE(passes("vm1", "vm2", frame));
    EXPECT_EQ(p_->drops(DropReason::kAclDeny), 1u);
}

TEST_F(Revalidation, FlowThatSleptThroughManyChangesObeysThemAll) {
    start(policy(kTwoServices));
    ASSERT_TRUE(udp_passes(1000) && udp_passes(2000));
    change([](json& d) { rules_of(d)[0]["action"] = "drop"; });
    for (std::size_t i = 0; i < 2 * kDifferenceMax; ++i) {
        change([&](json& d) {
            rules_of(d).push_back({{"name", "r" + std::to_string(i)},
                                   {"services", {"tcp/" + std::to_string(1 + i)}}});
        });
        EXPECT_LE(p_->dataplane().snapshot().differences.size(), kDifferenceMax);
    }
    EXPECT_FALSE(udp_passes(1000));
    EXPECT_TRUE(udp_passes(2000));
    EXPECT_TRUE(udp_goes_on(2000));
}

TEST_F(Revalidation, DefaultRuleAndExclusionConcernAll) {
    start(policy(kTwoServices));
    ASSERT_FALSE(udp_passes(3000));
    change([](json& d) { d["dfw"]["default"] = "allow"; });
    EXPECT_TRUE(udp_passes(3000));
    change([](json& d) { d["dfw"]["default"] = "drop"; });
    EXPECT_FALSE(udp_passes(3000));
    change([](json& d) { d["dfw"]["exclude"] = {"vm1", "vm2"}; });
    EXPECT_TRUE(udp_passes(3000));
}

TEST_F(Revalidation, LabelsConcernNobody) {
    start(policy(kTwoServices));
    ASSERT_TRUE(udp_passes(1000));
    change([](json& d) { d["ports"][0]["tags"] = {{"owner", "someone"}}; });
    EXPECT_TRUE(udp_goes_on(1000));
    EXPECT_TRUE(p_->dataplane().snapshot().differences.empty());
}

}  // namespace
}  // namespace sluice::test
