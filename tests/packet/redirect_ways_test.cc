// SPDX-License-Identifier: Apache-2.0
// Redirected frames of all kinds: routed, through tunnels, from trunks, fragments, large ones that
// a device shall cut, copies for promiscuous ports; the service sees each as it entered, its
// receiver as if there were no service.
#include <rte_mbuf.h>

#include "tests/packet/redirect_rig.h"
#include "tests/packet/router_rig.h"
#include "tests/packet/switch_frames.h"
#include "tests/packet/tcp_talk.h"
#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

const TestService kIds{};

class RedirectWays : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static PipelineOptions options() { return {.flow_cache = GetParam()}; }
    [[nodiscard]] static json inspected(json document, const json& keys = json::object()) {
        return with_chain(std::move(document), {kIds}, service_rule(kIds, keys));
    }
    /// What the service gets of one frame by one leg, without its tag; it passes it on.
    static Frames by_service(Pipeline& p, bool is_openers) {
        const Frames seen = at_leg(p, kIds.towards(is_openers));
        for (const Bytes& frame : seen) { p.send(kIds.back(is_openers), frame); }
        p.step();
        return untagged(seen);
    }
};
INSTANTIATE_TEST_SUITE_P(, RedirectWays, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

TEST_P(RedirectWays, RoutedFramesAreSeenBeforeTheRouter) {
    for (const bool is_v6 : {false, true}) {
        Pipeline p(inspected(two_networks()), options());
        for (int i = 0; i < 3; ++i) {
            const Bytes there = udp(to_router(kVm1, kVm4, is_v6), 1000, 53);
            p.send("vm1", there).step();
            EXPECT_EQ(by_service(p, true), Frames{there});
            EXPECT_EQ(p.sent("vm4"), Frames{routed(there, from_router(kVm1, kVm4, is_v6))});
            const Bytes back = udp(to_router(kVm4, kVm1, is_v6), 53, 1000);
            p.send("vm4", back).step();
            EXPECT_EQ(by_service(p, false), Frames{back});
            EXPECT_EQ(p.sent("vm1"), Frames{routed(back, from_router(kVm4, kVm1, is_v6))});
        }
        EXPECT_EQ(p.drops(), 0U);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST_P(RedirectWays, ATtlThatRunsOutBehindTheServiceIsToldToTheSender) {
    Pipeline p(inspected(two_networks()), options());
    const Path path = to_router(kVm1, kVm4, false);
    const Bytes whole = udp(path, 1000, 53);
    const Bytes dying = packet(path, 17, Bytes(whole.begin() + 34, whole.end()), 1);
    p.send("vm1", dying).step();
    EXPECT_EQ(by_service(p, true), Frames{dying});
    EXPECT_EQ(p.sent("vm4"), Frames{});
    EXPECT_EQ(p.drops(DropReason::kTtlExpired), 1U);
    EXPECT_EQ(p.sent("vm1").size(), 1U);  // Time exceeded.
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectWays, ThroughTunnelsBothWays) {
    RigOptions rig_options;
    rig_options.pipeline = options();
    rig_options.document = inspected(three_vms());
    TunnelRig rig(rig_options);
    Pipeline& p = rig.pipeline();
    rig.resolve();
    rig.learn_far();
    for (int i = 0; i < 2; ++i) {
        const Bytes out = udp(v4(kVm1, kFar), 1000, 53);
        p.send("vm1", out).step();
        EXPECT_EQ(by_service(p, true), Frames{out});
        const auto sent = rig.tunnelled();
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_EQ(sent[0].inner, out);
        const Bytes answer = udp(v4(kFar, kVm1), 53, 1000);
        rig.receive(answer);
        EXPECT_EQ(by_service(p, false), Frames{answer});
        EXPECT_EQ(p.sent("vm1"), Frames{answer});
        const Bytes in = udp(v4(kFar, kVm2), 2000, 53);
        rig.receive(in);
        EXPECT_EQ(by_service(p, true), Frames{in});
        EXPECT_EQ(p.sent("vm2"), Frames{in});
        const Bytes reply = udp(v4(kVm2, kFar), 53, 2000);
        p.send("vm2", reply).step();
        EXPECT_EQ(by_service(p, false), Frames{reply});
        ASSERT_EQ(rig.tunnelled().at(0).inner, reply);
    }
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

json trunk_and_access() {
    json document = two_vms();
    document["port_groups"] = json_of(R"([
        {"name": "lan", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}, "arp_suppression": false},
        {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}}])");
    document["ports"][0]["port_group"] = "trunk";
    return document;
}

TEST_P(RedirectWays, AGuestsOwnTagIsReplacedAndComesBack) {
    Pipeline p(inspected(trunk_and_access()), options());
    for (int i = 0; i < 2; ++i) {
        const Bytes out = udp(v4(kVm1, kVm2), 1000, 53);
        Bytes with_priority = tagged(out, 10);
        with_priority[14] = 0xa0;
        p.send("vm1", with_priority).step();
        const Frames seen = at_leg(p, "ids-in");
        ASSERT_EQ(seen.size(), 1U);
        EXPECT_EQ(seen[0][14] & 0xe0, 0xa0);
        EXPECT_EQ(untagged(seen[0]), out);
        p.send("ids-out", seen[0]).step();
        EXPECT_EQ(p.sent("vm2"), Frames{out});
        const Bytes back = udp(v4(kVm2, kVm1), 53, 1000);
        p.send("vm2", back).step();
        EXPECT_EQ(by_service(p, false), Frames{back});
        EXPECT_EQ(p.sent("vm1"), Frames{tagged(back, 10)});
    }
    EXPECT_EQ(p.drops(), 0U);
}

TEST_P(RedirectWays, TrunkToTrunkKeepsTheTag) {
    json document = trunk_and_access();
    document["ports"][1]["port_group"] = "trunk";
    Pipeline p(inspected(document), options());
    const Bytes out = tagged(udp(v4(kVm1, kVm2), 1000, 53), 10);
    p.send("vm1", out).step();
    EXPECT_EQ(by_service(p, true), Frames{untagged(out)});
    EXPECT_EQ(p.sent("vm2"), Frames{out});
}

TEST_P(RedirectWays, EqualAddressesOfTwoDomainsStayApart) {
    json document = two_vms();
    document["port_groups"].push_back(
        {{"name", "other"}, {"switch", "dvs0"}, {"vlan", {{"mode", "access"}, {"id", 30}}}});
    document["ports"].push_back(port_of("vm5", "other", kVm1));
    document["ports"].push_back(port_of("vm6", "other", kVm2));
    Pipeline p(inspected(document), options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame).step();
    const Frames first = at_leg(p, "ids-in");
    p.send("vm5", frame).step();
    const Frames second = at_leg(p, "ids-in");
    ASSERT_EQ(first.size() + second.size(), 2U);
    EXPECT_NE(vid_of(first[0]), vid_of(second[0]));
    p.send("ids-out", second[0]).step();
    EXPECT_EQ(p.sent("vm6"), Frames{frame});
    EXPECT_EQ(p.sent("vm2"), Frames{});
    p.send("ids-out", first[0]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_EQ(p.drops(), 0U);
}

TEST_P(RedirectWays, FragmentsGoTheSameWayFromTheFirstOn) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(inspected(two_vms(), {{"services", {"udp/53"}}}), options());
        const Frames pieces = fragments(udp(path, 1000, 53, 1000), 400, 7);
        for (const std::size_t i : {0U, 2U, 1U}) {
            p.send("vm1", pieces[i]).step();
            EXPECT_EQ(by_service(p, true), Frames{pieces[i]});
            EXPECT_EQ(p.sent("vm2"), Frames{pieces[i]});
        }
        p.send("vm1", fragments(udp(path, 1000, 53, 1000), 400, 8)[1])
            .step();  // Waits for its head.
        EXPECT_EQ(by_service(p, true), Frames{});
        p.send("vm1", fragments(udp(path, 1000, 53, 1000), 400, 8)[0]).step();
        EXPECT_EQ(by_service(p, true).size(), 2U);
        EXPECT_EQ(p.sent("vm2").size(), 2U);
        const Frames answer = fragments(udp(path.back(), 53, 1000, 1000), 400, 9);
        for (const Bytes& piece : answer) { p.send("vm2", piece); }
        p.step();
        EXPECT_EQ(by_service(p, false), answer);
        EXPECT_EQ(p.sent("vm1"), answer);
        EXPECT_EQ(p.drops(), 0U);
        p.forget_fragments();
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST_P(RedirectWays, LargeFramesStayWholeWhereTheServiceTakesThem) {
    Pipeline p(inspected(two_vms()), options());
    for (const char* port : {"ids-in", "vm2"}) {
        p.port(port).partial_checksum = p.port(port).tso4 = p.port(port).tso6 = true;
    }
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn());
    run(p, {kIds});
    p.send("vm2", talk.syn_ack());
    run(p, {kIds});
    p.send("vm1", talk.ack(kClient));
    run(p, {kIds});
    p.port("vm2").clear_sent();
    const Bytes large = talk.data(kClient, 9000);
    const OffloadRequest wish{RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4,
                              1400};
    p.send("vm1", QueuedFrame{with_partial_checksum(large), {}, wish}).step();
    ASSERT_EQ(p.port("ids-in").sent().size(), 1U);
    EXPECT_EQ(p.port("ids-in").sent()[0].bytes.size(), large.size() + 4);
    EXPECT_EQ(p.port("ids-in").sent()[0].offload.segment_size, 1400U);
    run(p, {kIds});
    auto sent = p.port("vm2").take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].bytes, with_partial_checksum(large));
    EXPECT_EQ(sent[0].offload.segment_size, 1400U);
    // A service that does not gets them cut, with sums.
    p.port("ids-in").partial_checksum = p.port("ids-in").tso4 = p.port("ids-in").tso6 = false;
    p.send("vm2", talk.ack(kServer));
    run(p, {kIds});
    p.send("vm1", QueuedFrame{with_partial_checksum(talk.data(kClient, 9000)), {}, wish});
    run(p, {kIds});
    sent = p.port("vm2").take_sent();
    EXPECT_EQ(sent.size(), 7U);
    for (const SentFrame& each : sent) { EXPECT_TRUE(has_right_checksum(each.bytes)); }
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectWays, PromiscuousPortsGetTheirCopyOnceBehindTheService) {
    json document = three_vms();
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(inspected(document), options());
    for (int i = 0; i < 2; ++i) {
        const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
        p.send("vm1", frame).step();
        EXPECT_EQ(p.sent("vm3"), Frames{});
        EXPECT_EQ(by_service(p, true), Frames{frame});
        EXPECT_EQ(p.sent("vm2"), Frames{frame});
        EXPECT_EQ(p.sent("vm3"), Frames{frame});
        EXPECT_EQ(p.sent("vm1"), Frames{});
    }
    // Of the promiscuous one's own frames it gets none back.
    const Bytes own = udp(v4(kVm3, kVm2), 1000, 53);
    p.send("vm3", own).step();
    EXPECT_EQ(by_service(p, true), Frames{own});
    EXPECT_EQ(p.sent("vm2"), Frames{own});
    EXPECT_EQ(p.sent("vm3"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectWays, ErrorsAboutAConnectionGoDirectly) {
    Pipeline p(inspected(two_vms()), options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame);
    run(p, {kIds});
    const Bytes error = icmp_error(v4(kVm2, kVm1), 3, 3, frame);
    p.send("vm2", error).step();
    EXPECT_EQ(p.sent("vm1"), Frames{error});
    EXPECT_EQ(at_leg(p, "ids-out"), Frames{});
}

TEST_P(RedirectWays, MarksAndVlansComeBehindTheService) {
    json document = trunk_and_access();
    document["acls"] = json_of(R"([{"name": "mark", "applied_to": ["vm1"], "rules": [
        {"name": "ef", "action": "permit", "direction": "out", "set_dscp": 46}]}])");
    Pipeline p(inspected(document), options());
    for (int i = 0; i < 2; ++i) {
        const Bytes out = udp(v4(kVm1, kVm2), 1000, 53);
        p.send("vm1", tagged(out, 10)).step();
        EXPECT_EQ(by_service(p, true), Frames{out});
        EXPECT_EQ(p.sent("vm2"), Frames{with_dscp(out, 46)});
    }
}

TEST_P(RedirectWays, TwoWorkersDoItAsOne) {
    PipelineOptions both = options();
    both.worker_count = 2;
    Pipeline p(inspected(two_vms()), both);
    TcpTalk talk(v4(kVm1, kVm2));
    const auto pass = [&](const std::string& from, const std::string& to, const Bytes& frame,
                          bool is_openers) {
        p.send(from, frame).step();
        EXPECT_EQ(by_service(p, is_openers), Frames{frame});
        EXPECT_EQ(p.sent(to), Frames{frame});
    };
    pass("vm1", "vm2", talk.syn(), true);
    pass("vm2", "vm1", talk.syn_ack(), false);
    pass("vm1", "vm2", talk.ack(kClient), true);
    pass("vm1", "vm2", talk.data(kClient), true);
    pass("vm2", "vm1", talk.data(kServer), false);
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
