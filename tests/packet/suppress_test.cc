// SPDX-License-Identifier: Apache-2.0
// ARP and ND suppression: questions whose answer is known are answered in place; the others, and
// what everybody must hear, go on. Each fact with cached programs and without.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const IpAddr kNobody4 = ip("10.0.0.99"), kNobody6 = ip("2001:db8::99");
const IpAddr kLearned4 = ip("10.0.0.22"), kLearned6 = ip("2001:db8::22");

nlohmann::json answering() {
    nlohmann::json document = three_vms();
    nlohmann::json& group = document["port_groups"][0];
    group["arp_suppression"] = true;
    group["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0})");
    return document;
}

Bytes who_has(const IpAddr& target, const Vnic& asker = kVm1, const MacAddr& to = kBroadcast) {
    return arp(asker.mac, to, {1, asker.mac, asker.ip4, {}, target});
}

/// The answer as RFC 826 has it, padded to Ethernet's least.
Bytes is_at(const IpAddr& target, const MacAddr& mac, const Vnic& asker = kVm1) {
    Bytes frame = arp(mac, asker.mac, {2, mac, target, asker.mac, asker.ip4});
    frame.resize(60);
    return frame;
}

Path to_solicited_node(const Vnic& asker, const IpAddr& target) {
    Path path{asker.mac, mac("33:33:ff:00:00:00"), asker.ip6, ip("ff02::1:ff00:0")};
    std::copy_n(target.bytes.end() - 3, 3, path.destination.bytes.end() - 3);
    std::copy_n(target.bytes.end() - 3, 3, path.destination_mac.bytes.end() - 3);
    return path;
}

Bytes solicit(const IpAddr& target, const Vnic& asker = kVm1) {
    return neighbour(to_solicited_node(asker, target), 135, target);
}

/// R=0, S=1, O=1 and the target's link-layer address.
Bytes advertise(const IpAddr& target, const MacAddr& mac, const Vnic& asker = kVm1) {
    return neighbour({mac, asker.mac, target, asker.ip6}, 136, target);
}

class Suppression : public testing::TestWithParam<bool> {
protected:
    /// vm1 sends `frame` and gets `answer`, and nobody else gets anything.
    testing::AssertionResult is_answered(const Bytes& frame, const Bytes& answer) {
        p.send("vm1", frame).step();
        const bool is_quiet = p.sent("vm2").empty() && p.sent("vm3").empty();
        const Frames got = p.sent("vm1");
        if (!is_quiet) { return testing::AssertionFailure() << "somebody else heard it"; }
        return got == Frames{answer} ? testing::AssertionSuccess()
                                     : testing::AssertionFailure() << got.size() << " answers";
    }
    /// Both others get it as it is; no answer.
    bool is_flooded(const Bytes& frame) {
        p.send("vm1", frame).step();
        const bool to_both = p.sent("vm2") == Frames{frame} && p.sent("vm3") == Frames{frame};
        return to_both && p.sent("vm1").empty();
    }
    std::uint64_t answered() {
        return p.dataplane().worker(0).context().ports[p.index_of("vm1").value].answered.get();
    }
    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }

    Pipeline p{answering(), {.flow_cache = GetParam()}};
};

TEST_P(Suppression, AnswersForTheDocumentsAddresses) {
    const Books before = p.books();
    EXPECT_TRUE(is_answered(who_has(kVm2.ip4), is_at(kVm2.ip4, kVm2.mac)));
    EXPECT_TRUE(is_answered(solicit(kVm2.ip6), advertise(kVm2.ip6, kVm2.mac)));
    EXPECT_EQ(answered(), 2u);
    const Books after = p.books();
    EXPECT_EQ(after.created - before.created, 2u);
    EXPECT_EQ(after.consumed - before.consumed, 2u);
    EXPECT_EQ(after.dropped, before.dropped);
}

TEST_P(Suppression, AnswersAnArpRequestToOneToo) {
    EXPECT_TRUE(is_answered(who_has(kVm2.ip4, kVm1, kVm2.mac), is_at(kVm2.ip4, kVm2.mac)));
}

TEST_P(Suppression, ForwardsASolicitationToTheNeighbourItself) {
    const Bytes frame = neighbour(v6(kVm1, kVm2), 135, kVm2.ip6);
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_EQ(p.sent("vm1"), Frames{});
}

TEST_P(Suppression, FloodsWhatNobodyIsKnownToHave) {
    EXPECT_TRUE(is_flooded(who_has(kNobody4)));
    EXPECT_TRUE(is_flooded(solicit(kNobody6)));
    EXPECT_EQ(answered(), 0u);
}

TEST_P(Suppression, FloodsAnnouncementsProbesAndDetection) {
    EXPECT_TRUE(is_flooded(who_has(kVm1.ip4))) << "an announcement";
    EXPECT_TRUE(is_flooded(arp(kVm1.mac, kBroadcast, {1, kVm1.mac, ip("0.0.0.0"), {}, kVm2.ip4})))
        << "a probe";
    EXPECT_TRUE(is_flooded(detection(kVm1.mac, kVm2.ip6)));
    EXPECT_TRUE(is_flooded(arp(kVm1.mac, kBroadcast, {2, kVm1.mac, kVm1.ip4, {}, kVm2.ip4})))
        << "a reply";
}

TEST_P(Suppression, LeavesWhoAsksInAnothersNameToTheOwner) {
    EXPECT_TRUE(is_flooded(arp(kVm1.mac, kBroadcast, {1, kVm3.mac, kVm3.ip4, {}, kVm2.ip4})));
}

TEST_P(Suppression, LearnsAnswersFromClaims) {
    Vnic other = kVm2;
    other.ip4 = kLearned4;
    other.ip6 = kLearned6;
    EXPECT_TRUE(is_flooded(who_has(kLearned4)));
    p.send("vm2", who_has(kNobody4, other)).send("vm2", solicit(kNobody6, other)).step();
    p.port("vm1").clear_sent();
    p.port("vm3").clear_sent();
    EXPECT_TRUE(is_answered(who_has(kLearned4), is_at(kLearned4, kVm2.mac)));
    EXPECT_TRUE(is_answered(solicit(kLearned6), advertise(kLearned6, kVm2.mac)));
    datapath::FlushLearned flush(LearnedFilter::of_port(p.index_of("vm2")));
    p.run(0, flush);
    EXPECT_TRUE(is_flooded(who_has(kLearned4)));
}

TEST_P(Suppression, BelievesTheFirstOfTwoAndTheDocumentBeforeAll) {
    Vnic second = kVm3;
    second.ip4 = kLearned4;
    Vnic first = kVm2;
    first.ip4 = kLearned4;
    p.send("vm2", who_has(kNobody4, first)).step();
    p.advance(kSecond).send("vm3", who_has(kNobody4, second)).step();
    second.ip4 = kVm2.ip4;  // The document's.
    p.send("vm3", who_has(kNobody4, second)).step();
    for (const char* name : {"vm1", "vm2", "vm3"}) { p.port(name).clear_sent(); }
    EXPECT_TRUE(is_answered(who_has(kLearned4), is_at(kLearned4, kVm2.mac)));
    EXPECT_TRUE(is_answered(who_has(kVm2.ip4), is_at(kVm2.ip4, kVm2.mac)));
}

TEST_P(Suppression, SaysNothingForTheAskersOwnAndForWhoIsNotThere) {
    nlohmann::json document = answering();
    document["ports"][1]["enabled"] = false;
    p.apply(document);
    p.send("vm1", who_has(kVm2.ip4)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.sent("vm3"), Frames{who_has(kVm2.ip4)});
    p.port("vm3").up = false;
    p.send("vm1", who_has(kVm3.ip4)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    p.port("vm3").up = true;
    EXPECT_EQ(answered(), 0u);
    p.port("vm3").clear_sent();
}

TEST_P(Suppression, DoesNotCallARouterNone) {
    nlohmann::json document = answering();
    document["port_groups"].push_back(document["port_groups"][0]);
    document["port_groups"][1]["name"] = "routers";
    document["port_groups"][1]["guards"] = json_of(R"({"ra": false})");
    document["ports"][1]["port_group"] = "routers";
    p.apply(document);
    EXPECT_TRUE(is_flooded(solicit(kVm2.ip6)));
    EXPECT_TRUE(is_answered(who_has(kVm2.ip4), is_at(kVm2.ip4, kVm2.mac)));
}

TEST_P(Suppression, NeedsTheChainsLeave) {
    nlohmann::json document = answering();
    document["port_groups"][0]["spoofguard"] = "manual";
    p.apply(document);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kNobody4, {}, kVm2.ip4})).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kSpoofedArp), 1u);
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 2})");
    p.apply(document);
    for (int i = 0; i < 5; ++i) { p.send("vm1", who_has(kVm2.ip4)); }
    p.step();
    EXPECT_EQ(p.sent("vm1").size(), 2u);
    EXPECT_EQ(p.drops("vm1", DropReason::kRateArp), 3u);
    document["acls"] = json_of(
        R"([{"name": "a", "applied_to": ["vm1"], "rules": [{"name": "r", "action": "deny", "ethertype": "0x0806"}]}])");
    p.advance(kSecond).apply(document);
    p.send("vm1", who_has(kVm2.ip4)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 1u);
}

TEST_P(Suppression, StaysAsideWhenItIsOff) {
    nlohmann::json document = answering();
    document["port_groups"][0]["arp_suppression"] = false;
    p.apply(document);
    EXPECT_TRUE(is_flooded(who_has(kVm2.ip4)));
    EXPECT_TRUE(is_flooded(solicit(kVm2.ip6)));
}

TEST_P(Suppression, APromiscuousPortHearsTheQuestion) {
    nlohmann::json document = answering();
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    p.apply(document);
    p.send("vm1", who_has(kVm2.ip4)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{is_at(kVm2.ip4, kVm2.mac)});
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.sent("vm3"), Frames{who_has(kVm2.ip4)});
}

TEST_P(Suppression, ATrunkIsAnsweredInItsVlan) {
    nlohmann::json document = answering();
    document["port_groups"].push_back(json_of(
        R"({"name": "t", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}})"));
    document["port_groups"].push_back(
        json_of(R"({"name": "v10", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}})"));
    document["ports"][0]["port_group"] = "t";
    document["ports"][1]["port_group"] = "v10";
    p.apply(document);
    p.send("vm1", tagged(who_has(kVm2.ip4), 10)).step();
    Bytes answer = tagged(arp(kVm2.mac, kVm1.mac, {2, kVm2.mac, kVm2.ip4, kVm1.mac, kVm1.ip4}), 10);
    answer.resize(60);
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    EXPECT_EQ(p.sent("vm2"), Frames{});
    p.send("vm1", tagged(solicit(kVm2.ip6), 10)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{tagged(advertise(kVm2.ip6, kVm2.mac), 10)});
    p.send("vm1", tagged(who_has(kVm2.ip4), 11)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{}) << "nobody has it there";
}

INSTANTIATE_TEST_SUITE_P(Modes, Suppression, testing::Bool(), [](const auto& mode) {
    return mode.param ? std::string("cached") : std::string("walked");
});

TEST(SuppressionWorkers, AnswersWhateverWorkerPollsTheOwner) {
    Pipeline p(answering(), {.worker_count = 2});
    p.send("vm1", who_has(kVm2.ip4)).send("vm2", who_has(kVm1.ip4, kVm2)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{is_at(kVm2.ip4, kVm2.mac)});
    EXPECT_EQ(p.sent("vm2"), Frames{is_at(kVm1.ip4, kVm1.mac, kVm2)});
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
