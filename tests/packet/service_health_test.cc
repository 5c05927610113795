// SPDX-License-Identifier: Apache-2.0
// A service's health: what its heartbeats say, by a clock that is stepped.
#include <cstring>

#include "datapath/beacon.h"
#include "tests/packet/service_rig.h"

namespace sluice::test {
namespace {

constexpr unsigned kMisses = kServiceHeartbeatMisses;

// Heartbeats that left by a leg since the last call.
std::vector<Bytes> heartbeats(Pipeline& pipeline, const std::string& leg) {
    std::vector<Bytes> out;
    for (Bytes& frame : pipeline.sent(leg)) {
        if (frame[12] == 0x88 && frame[13] == 0xb5) { out.push_back(std::move(frame)); }
    }
    return out;
}

TEST(ServiceHealth, WorksUntilThreeHeartbeatsAreLost) {
    ServiceRig rig(inspected_vms());
    rig.beat(5);
    EXPECT_TRUE(rig.works());
    rig.passes_in = rig.passes_out = false;
    rig.beat(kMisses);  // The first of these notices that the last one came back.
    EXPECT_TRUE(rig.works());
    rig.beat();
    EXPECT_FALSE(rig.works());
    EXPECT_TRUE(rig.pipeline().packets_conserved());
}

TEST(ServiceHealth, OneDirectionThatFailsIsEnough) {
    for (const bool is_in : {true, false}) {
        ServiceRig rig(inspected_vms());
        rig.beat(2);
        (is_in ? rig.passes_in : rig.passes_out) = false;
        rig.beat(kMisses + 1);
        EXPECT_FALSE(rig.works()) << is_in;
        (is_in ? rig.passes_in : rig.passes_out) = true;
        rig.beat(2);
        EXPECT_TRUE(rig.works()) << is_in;
    }
}

TEST(ServiceHealth, TwoLostHeartbeatsAreForgiven) {
    ServiceRig rig(inspected_vms());
    for (unsigned round = 0; round < 5; ++round) {
        rig.passes_in = rig.passes_out = true;
        rig.beat(2);
        rig.passes_in = rig.passes_out = false;
        rig.beat(kMisses - 1);
    }
    EXPECT_TRUE(rig.works());
}

TEST(ServiceHealth, ComesBackAtTheFirstHeartbeatOfEachDirectionAndRamps) {
    ServiceRig rig(inspected_vms());
    rig.passes_in = rig.passes_out = false;
    rig.beat(kMisses + 1);
    ASSERT_FALSE(rig.works());
    rig.passes_in = true;
    rig.beat(2);
    EXPECT_FALSE(rig.works());
    rig.passes_out = true;
    rig.beat(2);
    EXPECT_TRUE(rig.works());
    EXPECT_EQ(rig.states().since_ns(rig.instance()), rig.pipeline().now_ns());
}

TEST(ServiceHealth, ALegWithoutAGuestFailsAtOnce) {
    ServiceRig rig(inspected_vms());
    rig.beat();
    rig.pipeline().port("ids-out").up = false;
    rig.beat();
    EXPECT_FALSE(rig.works());
    const std::uint64_t dropped = rig.pipeline().drops();
    rig.beat(3);
    EXPECT_EQ(rig.pipeline().drops(), dropped);  // Nothing is sent to where nobody is.
    rig.pipeline().port("ids-out").up = true;
    rig.beat(2);
    EXPECT_TRUE(rig.works());
}

TEST(ServiceHealth, ARingThatTakesNothingFails) {
    ServiceRig rig(inspected_vms());
    rig.beat(2);
    rig.pipeline().port("ids-in").room = 0;
    rig.beat(kMisses + 1);
    EXPECT_FALSE(rig.works());
    EXPECT_GT(rig.pipeline().drops("ids-in", DropReason::kTxQueueFull), 0U);
    EXPECT_TRUE(rig.pipeline().packets_conserved());
}

TEST(ServiceHealth, ABusyRingThatTakesOtherFramesSaysNothing) {
    ServiceRig rig(inspected_vms());
    rig.beat(2);
    datapath::WorkerContext& context = rig.pipeline().dataplane().worker(0).context();
    rig.pipeline().port("ids-in").room = 0;
    for (unsigned i = 0; i < 2 * kMisses; ++i) {
        rig.beat();
        context.ports[rig.pipeline().index_of("ids-in").value].tx_packets.add(1);
    }
    EXPECT_TRUE(rig.works());
}

TEST(ServiceHealth, AWorkerThatSleptJudgesNobody) {
    ServiceRig rig(inspected_vms());
    rig.beat(2);
    rig.passes_in = rig.passes_out = false;
    for (unsigned i = 0; i < 2 * kMisses; ++i) {
        rig.pipeline().advance(2 * kBeat);
        rig.serve();
    }
    EXPECT_TRUE(rig.works());
}

TEST(ServiceHealth, HeartbeatsAreUntaggedBetweenTwoMacsOfTheirOwn) {
    ServiceRig rig(inspected_vms());
    rig.serve();
    rig.pipeline().advance(kBeat).step();
    const auto in = heartbeats(rig.pipeline(), "ids-in");
    const auto out = heartbeats(rig.pipeline(), "ids-out");
    ASSERT_EQ(in.size(), 1U);
    ASSERT_EQ(out.size(), 1U);
    const std::uint32_t path = rig.pipeline().dataplane().snapshot().service_instances[1].path;
    for (unsigned i = 0; i < 6; ++i) {
        EXPECT_EQ(in[0][i], datapath::service_mac(path, 1).bytes[i]);
        EXPECT_EQ(in[0][6 + i], datapath::service_mac(path, 0).bytes[i]);
        EXPECT_EQ(out[0][i], in[0][6 + i]);
        EXPECT_EQ(out[0][6 + i], in[0][i]);
    }
    EXPECT_EQ(in[0].size(), 60U);
    EXPECT_EQ(std::memcmp(&in[0][14], "SLHB", 4), 0);
}

TEST(ServiceHealth, OneLegHasOneHeartbeat) {
    ServiceRig rig(inspected_vms(R"({"out": null})"));
    rig.out = rig.in;
    rig.beat(3);
    EXPECT_TRUE(rig.works());
    rig.pipeline().advance(kBeat).step();
    EXPECT_EQ(heartbeats(rig.pipeline(), "ids-in").size(), 1U);
    EXPECT_TRUE(heartbeats(rig.pipeline(), "ids-out").empty());
    rig.passes_in = false;
    rig.beat(kMisses + 1);
    EXPECT_FALSE(rig.works());
}

// What it changes, and it is no heartbeat of ours any more.
struct Forgery {
    const char* what;
    std::size_t at;
    std::uint8_t flip;
};
class ForgedHeartbeat : public testing::TestWithParam<Forgery> {};

TEST_P(ForgedHeartbeat, IsNotHeard) {
    ServiceRig rig(inspected_vms());
    for (unsigned i = 0; i < kMisses + 2; ++i) {
        rig.pipeline().advance(kBeat).step();
        for (Bytes& frame : heartbeats(rig.pipeline(), "ids-in")) {
            frame[GetParam().at] ^= GetParam().flip;
            rig.pipeline().send("ids-out", std::move(frame));
        }
        for (Bytes& frame : heartbeats(rig.pipeline(), "ids-out")) {
            rig.pipeline().send("ids-in", std::move(frame));
        }
        rig.pipeline().step();
    }
    EXPECT_FALSE(rig.works());
    EXPECT_TRUE(rig.pipeline().packets_conserved());
}

INSTANTIATE_TEST_SUITE_P(Table, ForgedHeartbeat,
                         testing::Values(Forgery{"magic", 14, 1}, Forgery{"instance", 19, 2},
                                         Forgery{"direction", 20, 1}, Forgery{"direction", 20, 2},
                                         Forgery{"cookie", 26, 1}, Forgery{"cookie", 33, 0x80},
                                         Forgery{"time to come", 34, 0x80},
                                         Forgery{"time past", 38, 0xff}));

TEST(ServiceHealth, AHeartbeatOutOfTheLegItWentInByIsNotHeard) {
    ServiceRig rig(inspected_vms());
    for (unsigned i = 0; i < kMisses + 2; ++i) {
        rig.pipeline().advance(kBeat).step();
        for (const char* leg : {"ids-in", "ids-out"}) {
            for (Bytes& frame : heartbeats(rig.pipeline(), leg)) {
                rig.pipeline().send(leg, std::move(frame));
            }
        }
        rig.pipeline().step();
    }
    EXPECT_FALSE(rig.works());
}

TEST(ServiceHealth, LegsOfTwoWorkersWatchTogether) {
    PipelineOptions options;
    options.worker_count = 2;
    ServiceRig rig(inspected_vms(), options);
    rig.beat(3);
    EXPECT_TRUE(rig.works());
    rig.passes_out = false;
    rig.beat(kMisses + 2);
    EXPECT_FALSE(rig.works());
    rig.passes_out = true;
    rig.beat(2);
    EXPECT_TRUE(rig.works());
    EXPECT_TRUE(rig.pipeline().packets_conserved());
}

TEST(ServiceHealth, AnIndexThatMeansAnotherInstanceBeginsAnew) {
    ServiceRig rig(inspected_vms());
    rig.passes_in = rig.passes_out = false;
    rig.beat(kMisses + 1);
    ASSERT_FALSE(rig.works());
    rig.pipeline().apply(inspected_vms(R"({"encapsulation": "nsh"})"));
    EXPECT_TRUE(rig.works());
    EXPECT_EQ(rig.states().since_ns(rig.instance()), 0U);
}

TEST(ServiceHealth, OtherConfigurationLeavesItsStateAlone) {
    ServiceRig rig(inspected_vms());
    rig.passes_in = rig.passes_out = false;
    rig.beat(kMisses + 1);
    ASSERT_FALSE(rig.works());
    rig.pipeline().apply(inspected_vms("{}", R"({"on_failure": "closed"})"));
    EXPECT_FALSE(rig.works());
    for (unsigned i = 0; i < 10; ++i) {  // No faster for being applied often.
        rig.pipeline().apply(inspected_vms(R"({"weight": )" + std::to_string(i + 1) + "}"));
    }
    EXPECT_TRUE(heartbeats(rig.pipeline(), "ids-in").empty());
}

TEST(ServiceHealth, AServiceThatSpeaksNshGetsHeartbeatsInIt) {
    ServiceRig rig(inspected_vms(R"({"encapsulation": "nsh"})"));
    rig.beat(2);
    EXPECT_TRUE(rig.works());
    rig.pipeline().advance(kBeat).step();
    const std::vector<Bytes> sent = rig.pipeline().sent("ids-in");
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].size(), 98U);
    EXPECT_EQ(sent[0][12] << 8 | sent[0][13], 0x894f);
    EXPECT_EQ(sent[0][14], 0x2f);  // Version 0, O, TTL 63.
    EXPECT_EQ(std::memcmp(&sent[0][38 + 14], "SLHB", 4), 0);
    rig.passes_in = false;
    rig.beat(kMisses + 1);
    EXPECT_FALSE(rig.works());
    EXPECT_TRUE(rig.pipeline().packets_conserved());
}

TEST(ServiceHealth, NothingIsSentWhereNoServiceIs) {
    Pipeline pipeline(two_vms());
    pipeline.advance(10 * kBeat).step();
    EXPECT_EQ(pipeline.books().created, 0U);
}

}  // namespace
}  // namespace sluice::test
