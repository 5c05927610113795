// SPDX-License-Identifier: Apache-2.0
// What ends by time and by number: connections, flows, fragments.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

Bytes question(std::uint16_t port) { return udp(v4(kVm1, kVm2), port, 53); }

TEST(Expiry, OfAConnectionIsNoticedAtTheNextPacket) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"default": "drop", "timeouts": {"udp_s": 10, "udp_stream_s": 20},
        "sections": [{"name": "s", "rules": [{"name": "dns", "services": ["udp/53"]}]}]})");
    Pipeline p(document);
    p.send("vm1", question(1000)).step();
    p.advance(9 * kSecond).send("vm2", udp(v4(kVm2, kVm1), 53, 1000)).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    p.advance(19 * kSecond).send("vm2", udp(v4(kVm2, kVm1), 53, 1000)).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u) << "answered ones live longer";
    p.advance(22 * kSecond).send("vm2", udp(v4(kVm2, kVm1), 53, 1000)).step();
    EXPECT_EQ(p.sent("vm1").size(), 0u);
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1u);
}

TEST(Expiry, OfAnIdleConnectionReturnsItsRecord) {
    Pipeline p(two_vms());
    p.send("vm1", question(1000)).step();
    EXPECT_EQ(p.dataplane().connections().size(), 1u);
    p.advance(40 * kSecond).step();
    EXPECT_EQ(p.dataplane().connections().size(), 0u);
}

TEST(Expiry, OfAnIdleFlowKeepsItsConnectionAndItsFigures) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn())
        .step()
        .send("vm2", talk.syn_ack())
        .step()
        .send("vm1", talk.ack(TcpTalk::kClient))
        .step();
    EXPECT_EQ(p.flow_count(), 2u);
    p.advance(11 * kSecond).step();
    EXPECT_EQ(p.flow_count(), 0u);
    ASSERT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(p.connections()[0].packets, 3u);
    p.send("vm1", talk.data(TcpTalk::kClient)).step();
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_EQ(p.connections()[0].packets, 4u);
}

TEST(ConnectionLimit, OfAVnicStopsNewConnectionsOnly) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"limits": {"connections_per_port": 3}})");
    Pipeline p(document);
    for (std::uint16_t port = 1000; port < 1005; ++port) { p.send("vm1", question(port)); }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 3u);
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 2u);
    p.send("vm1", question(1000)).send("vm2", udp(v4(kVm2, kVm1), 7, 8)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_EQ(p.sent("vm1").size(), 1u) << "another vNIC has its own share";
}

TEST(ConnectionLimit, OfHalfOpenOnesClosesTheOldestHandshakeThatIsNotDone) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"limits": {"half_open_per_port": 2}})");
    Pipeline p(document);
    TcpTalk a(v4(kVm1, kVm2), 1), b(v4(kVm1, kVm2), 2), c(v4(kVm1, kVm2), 3), d(v4(kVm1, kVm2), 4);
    p.send("vm1", a.syn()).send("vm1", b.syn()).step();
    p.send("vm2", a.syn_ack()).step().send("vm1", a.ack(TcpTalk::kClient)).step();
    p.send("vm1", c.syn()).send("vm1", d.syn()).step();
    EXPECT_EQ(p.sent("vm2").size(), 5u) << "no SYN is refused";
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_EQ(p.dataplane().connections().early_drops(), 1u);
    EXPECT_EQ(p.connections().size(), 3u);
    p.send("vm1", a.data(TcpTalk::kClient)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u) << "what is established stays";
    p.send("vm2", c.syn_ack()).send("vm2", d.syn_ack()).step();
    EXPECT_EQ(p.drops(), 0u);
    p.send("vm1", b.syn()).step().send("vm2", b.syn_ack()).step();
    EXPECT_EQ(p.drops(), 0u) << "its SYN again opens anew";
    EXPECT_TRUE(p.packets_conserved());
}

TEST(ConnectionLimit, AFloodOfSynsCostsTheFlooderItsOldest) {
    nlohmann::json document = two_vms();
    document["dfw"] =
        json_of(R"({"limits": {"half_open_per_port": 100, "connections_per_port": 500}})");
    for (const bool flow_cache : {true, false}) {
        PipelineOptions options;
        options.flow_cache = flow_cache;
        Pipeline p(document, options);
        TcpTalk talk(v4(kVm1, kVm2), 7);
        p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
        p.send("vm1", talk.ack(TcpTalk::kClient)).step();
        for (std::uint32_t port = 1000; port < 6000; ++port) {
            TcpTalk flood(v4(kVm1, kVm2), static_cast<std::uint16_t>(port));
            p.send("vm1", flood.syn());
        }
        p.step();
        EXPECT_EQ(p.drops(DropReason::kHalfOpenLimit) + p.drops(DropReason::kConnectionLimit), 0u);
        EXPECT_EQ(p.connections().size(), 101u);
        EXPECT_EQ(p.dataplane().connections().early_drops(), 4900u);
        (void)p.sent("vm2");
        p.send("vm1", talk.data(TcpTalk::kClient)).step();
        EXPECT_EQ(p.sent("vm2").size(), 1u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(ConnectionLimit, OfTheHost) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"limits": {"connections": 2}})");
    Pipeline p(document);
    p.send("vm1", question(1)).send("vm1", question(2)).send("vm1", question(3)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 1u);
}

TEST(FlowQuota, OfAVnicEvictsItsOwnFlowsAndLosesNoPacketAndNoFigure) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["limits"] = {{"flows", 4}};
    Pipeline p(document);
    p.send("vm2", udp(v4(kVm2, kVm1), 7, 8)).step();
    for (int round = 0; round < 3; ++round) {
        for (std::uint16_t port = 1000; port < 1020; ++port) { p.send("vm1", question(port)); }
    }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 60u);
    EXPECT_EQ(p.flow_count(), 5u) << "four of vm1, and vm2's";
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{60, 0}));
    EXPECT_EQ(p.connections().size(), 21u) << "a connection is not a flow";
    EXPECT_TRUE(p.packets_conserved());
}

TEST(FlowQuota, OfDroppedFirstPacketsIsItsOwn) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["udp/1000-65000"]}]}]})");
    Pipeline p(document);
    p.send("vm1", question(999)).step();
    for (std::uint32_t port = 1000; port < 4000; ++port) {
        p.send("vm1", udp(v4(kVm1, kVm2), 999, static_cast<std::uint16_t>(port)));
    }
    p.step();
    EXPECT_EQ(p.flow_count(), kNegativeFlowsPerPort + 1U)
        << "a port scan does not push out what works";
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 3000u);
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{3001, 3000}));
}

TEST(FlowTableFull, MeansSlowerAndNotWrong) {
    PipelineOptions options;
    options.flow_capacity = 64;
    Pipeline p(two_vms(), options);
    for (int round = 0; round < 2; ++round) {
        for (std::uint16_t port = 1000; port < 1500; ++port) { p.send("vm1", question(port)); }
    }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 1000u);
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{1000, 0}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Burst, WhoseConnectionsWereFlushedInMidFlowIsJudgedAnewPacketByPacket) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn())
        .step()
        .send("vm2", talk.syn_ack())
        .step()
        .send("vm1", talk.ack(TcpTalk::kClient))
        .step();
    EXPECT_EQ(p.flush_connections(), 1u);
    for (int i = 0; i < 20; ++i) { p.send("vm1", talk.data(TcpTalk::kClient)); }
    p.step();
    EXPECT_EQ(p.drops("vm1", DropReason::kTcpNoConnection), 20u);
    EXPECT_EQ(p.flow_count(), 1u) << "vm2's, which was not used since";
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
