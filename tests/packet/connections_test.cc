// SPDX-License-Identifier: Apache-2.0
// Connections by the thousand: both directions' flows as a pair, what a closed connection leaves
// behind, and tables that are full.
#include <array>

#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

std::uint64_t misses(Pipeline& p) {
    return p.dataplane().worker(0).context().counters.flow_misses.get();
}

void open(Pipeline& p, TcpTalk& talk) {
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(TcpTalk::kClient)).step();
}

void close(Pipeline& p, TcpTalk& talk) {
    p.send("vm1", talk.fin(TcpTalk::kClient)).step().send("vm2", talk.fin(TcpTalk::kServer)).step();
    p.send("vm1", talk.ack(TcpTalk::kClient)).step();
}

void exchange(Pipeline& p, std::uint16_t port) {
    TcpTalk talk(v4(kVm1, kVm2), port);
    open(p, talk);
    p.send("vm1", talk.data(TcpTalk::kClient)).step().send("vm2", talk.data(TcpTalk::kServer));
    p.step();
    close(p, talk);
}

TEST(FlowPair, IsMadeByTheOpenersPacket) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step();
    EXPECT_EQ(p.flow_count(), 2u);
    EXPECT_EQ(misses(p), 1u);
    p.send("vm2", talk.syn_ack()).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(misses(p), 1u) << "the answer found its program";
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kFromVm), (SlotFigures{1, 0}));
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kToVm), (SlotFigures{1, 0}));
}

TEST(FlowPair, IsForgottenWhenTheConnectionCloses) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    open(p, talk);
    EXPECT_EQ(p.flow_count(), 2u);
    close(p, talk);
    EXPECT_EQ(p.flow_count(), 0u);
    ASSERT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(p.connections()[0].state, ConnectionState::kTcpTimeWait);
    EXPECT_EQ(p.connections()[0].packets, 6u);
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{4, 0}));
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kToVm), (SlotFigures{2, 0}));
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(FlowPair, IsForgottenOnAReset) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    open(p, talk);
    p.send("vm2", talk.reset(TcpTalk::kServer)).step();
    EXPECT_EQ(p.flow_count(), 0u);
    EXPECT_EQ(p.connections().at(0).state, ConnectionState::kTcpClose);
}

TEST(FlowPair, IsNotMadeForAnAnswerThatIsDenied) {
    nlohmann::json document = two_vms();
    document["acls"] = json_of(R"([{"name": "quiet", "applied_to": ["vm2"],
        "rules": [{"name": "out", "direction": "out", "action": "deny", "services": ["tcp"]}]}])");
    Pipeline p(document);
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_EQ(p.flow_count(), 1u);
    EXPECT_EQ(p.drops(), 0u) << "nothing was sent that could be dropped";
    p.send("vm2", talk.syn_ack()).step();
    EXPECT_EQ(p.sent("vm1").size(), 0u);
    EXPECT_EQ(p.drops("vm2", DropReason::kAclDeny), 1u);
}

TEST(FlowPair, ObeysARuleThatChangedBeforeTheAnswer) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s",
        "rules": [{"name": "web", "source": ["vm1"], "services": ["tcp/80"]}]}]})");
    Pipeline p(document);
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step();
    document["dfw"]["sections"][0]["rules"][0]["services"] = {"tcp/81"};
    p.apply(document);
    p.send("vm2", talk.syn_ack()).step();
    EXPECT_EQ(p.sent("vm1").size(), 0u);
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1u);
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(FlowPair, TakesNoRoomOfTheAnsweringVnic) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["limits"] = {{"flows", 4}};
    Pipeline p(document);
    for (std::uint16_t port = 1; port <= 4; ++port) {
        p.send("vm2", udp(v4(kVm2, kVm1), port, 53));
    }
    p.step();
    const std::uint64_t before = misses(p);
    for (std::uint16_t port = 1000; port < 1020; ++port) {
        p.send("vm1", TcpTalk(v4(kVm1, kVm2), port).syn());
    }
    p.step();
    for (std::uint16_t port = 1; port <= 4; ++port) {
        p.send("vm2", udp(v4(kVm2, kVm1), port, 53));
    }
    p.step();
    EXPECT_EQ(misses(p), before + 20) << "vm2's own flows are where they were";
}

TEST(ClosedConnection, CountsAgainstNoLimit) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"limits": {"connections_per_port": 2}})");
    Pipeline p(document);
    for (std::uint16_t port = 1000; port < 1010; ++port) { exchange(p, port); }
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_EQ(p.connections().size(), 10u) << "they wait for stragglers";
    TcpTalk a(v4(kVm1, kVm2), 1), b(v4(kVm1, kVm2), 2), c(v4(kVm1, kVm2), 3);
    open(p, a);
    open(p, b);
    p.send("vm1", c.syn()).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 1u);
}

TEST(ClosedConnection, CountsAgainWhenItBeginsAnew) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"limits": {"connections_per_port": 2}})");
    Pipeline p(document);
    TcpTalk a(v4(kVm1, kVm2), 1), b(v4(kVm1, kVm2), 2), c(v4(kVm1, kVm2), 3);
    open(p, a);
    close(p, a);
    open(p, b);
    open(p, a);
    EXPECT_EQ(p.drops(), 0u);
    p.send("vm1", c.syn()).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 1u);
    close(p, b);
    p.send("vm1", c.syn()).step();
    open(p, b);
    EXPECT_EQ(p.dataplane().connections().early_drops(), 1u) << "c made room for b to begin anew";
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 1u);
}

TEST(FullTables, MakeRoomOfWhatIsClosed) {
    for (const bool has_cache : {true, false}) {
        PipelineOptions options;
        options.flow_cache = has_cache;
        options.flow_capacity = 64;
        options.connection_capacity = 64;
        Pipeline p(two_vms(), options);
        for (std::uint16_t port = 1000; port < 1500; ++port) { exchange(p, port); }
        EXPECT_EQ(p.drops(), 0u);
        EXPECT_LE(p.connections().size(), 64u);
        EXPECT_GE(p.connections().size(), 16u) << "as many as there is room for are remembered";
        EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{2500, 0}));
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(FullTables, KeepWhatIsOpen) {
    PipelineOptions options;
    options.connection_capacity = 64;
    Pipeline p(two_vms(), options);
    std::vector<TcpTalk> talks;
    for (std::uint16_t port = 1; port <= 64; ++port) {
        talks.emplace_back(v4(kVm1, kVm2), port);
        open(p, talks.back());
    }
    TcpTalk late(v4(kVm1, kVm2), 1000);
    p.send("vm1", late.syn()).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kConnectionLimit), 1u);
    close(p, talks[7]);
    p.send("vm1", late.syn()).step();
    EXPECT_EQ(p.drops(), 1u) << "one closed, one opened";
    for (std::size_t i = 0; i < talks.size(); ++i) {
        if (i != 7) { p.send("vm2", talks[i].data(TcpTalk::kServer)); }
    }
    p.step();
    EXPECT_EQ(p.drops(), 1u);
}

TEST(FullTables, EvictOfTheVnicThatTakesMost) {
    PipelineOptions options;
    options.flow_capacity = 1024;
    Pipeline p(two_vms(), options);
    for (std::uint16_t port = 201; port <= 300; ++port) {
        p.send("vm2", udp(v4(kVm2, kVm1), port, 53));
    }
    p.step();
    for (std::uint16_t port = 1000; port < 9000; ++port) {
        p.send("vm1", udp(v4(kVm1, kVm2), port, 53));
        if (port % 100 == 0) { p.step(); }
    }
    p.step();
    const std::uint64_t before = misses(p);
    for (std::uint16_t port = 201; port <= 300; ++port) {
        p.send("vm2", udp(v4(kVm2, kVm1), port, 53));
    }
    p.send("vm1", udp(v4(kVm1, kVm2), 8999, 53)).step();
    EXPECT_EQ(misses(p), before) << "the quiet vNIC's flows, and the noisy one's last, are cached";
    EXPECT_LE(p.flow_count(), 1024u);
    EXPECT_EQ(p.drops(), 0u);
}

}  // namespace
}  // namespace sluice::test
