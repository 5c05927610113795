// SPDX-License-Identifier: Apache-2.0
// What SpoofGuard `manual` refused waits in a list: which addresses, how often, and what approving
// and rejecting do. Each fact with cached programs and without.
#include <map>

#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

const IpAddr kForeign4 = ip("10.0.0.50"), kOther4 = ip("10.0.0.51"), kForeign6 = ip("2001:db8::50");
const IpAddr kNobody = ip("0.0.0.0");

nlohmann::json guarded(const char* spoofguard = "manual") {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["spoofguard"] = spoofguard;
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0})");
    return document;
}

Bytes claim(const IpAddr& sender, const IpAddr& target = kVm2.ip4) {
    return arp(kVm1.mac, kBroadcast, {1, kVm1.mac, sender, {}, target});
}

Bytes datagram(const IpAddr& source, std::uint16_t port = 1) {
    Path path = source.is_v6() ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
    path.source = source;
    return udp(path, port, 2);
}

class Pending : public testing::TestWithParam<bool> {
protected:
    std::vector<LearnedRow> rows() {
        std::vector<LearnedRow> out;
        const LearnedTable& table = p.dataplane().learned();
        table.for_each(0, table.used_count(), p.now_ns(), [&](const LearnedRow& row) {
            if (row.key.kind == LearnedKind::kPending) { out.push_back(row); }
        });
        return out;
    }
    /// How often each address was refused.
    std::map<IpAddr, std::uint32_t> counts() {
        std::map<IpAddr, std::uint32_t> out;
        for (const LearnedRow& row : rows()) { out[row.key.ip_address()] = row.value.detail; }
        return out;
    }
    void send(const Bytes& frame, int times = 1) {
        for (int i = 0; i < times; ++i) { p.send("vm1", frame).step(); }
        p.port("vm2").clear_sent();
    }
    void settle(bool is_rejected) {
        std::vector<LearnedKey> keys;
        for (const LearnedRow& row : rows()) { keys.push_back(row.key); }
        datapath::SettlePending command(keys, is_rejected);
        p.run(0, command);
    }
    using Counts = std::map<IpAddr, std::uint32_t>;
    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }

    Pipeline p{guarded(), {.flow_cache = GetParam()}};
};

TEST_P(Pending, ListsWhatWasRefusedWithCounts) {
    send(claim(kForeign4), 3);
    send(claim(kNobody, kOther4));
    send(neighbour({kVm1.mac, kVm2.mac, kForeign6, kVm2.ip6}, 135, kVm2.ip6), 2);
    EXPECT_EQ(counts(), (Counts{{kForeign4, 3}, {kOther4, 1}, {kForeign6, 2}}));
    for (const LearnedRow& row : rows()) {
        EXPECT_EQ(row.key.port, p.index_of("vm1"));
        EXPECT_EQ(row.value.mac, kVm1.mac);
        EXPECT_EQ(row.value.source,
                  row.key.family == IpFamily::kV6 ? LearnedSource::kNd : LearnedSource::kArp);
    }
}

TEST_P(Pending, AFlowIsListedWithItsFirstPacket) {
    send(datagram(kForeign4, 1));
    EXPECT_EQ(counts(), (Counts{{kForeign4, 1}}));
    EXPECT_EQ(rows()[0].value.source, LearnedSource::kData);
    send(datagram(kForeign4, 2));
    EXPECT_EQ(counts(), (Counts{{kForeign4, 2}}));
}

TEST_P(Pending, OwnAddressesAndOtherMacsAreNot) {
    send(claim(kVm1.ip4));
    send(datagram(kVm1.ip4));
    send(arp(kVm1.mac, kBroadcast, {1, kVm3.mac, kForeign4, {}, kVm2.ip4}));
    send(arp(kVm3.mac, kBroadcast, {1, kVm3.mac, kForeign4, {}, kVm2.ip4}));
    EXPECT_EQ(counts(), Counts{});
    // Its own source is none of what an advertisement was refused for.
    send(neighbour({kVm1.mac, kVm2.mac, kVm1.ip6, kVm2.ip6}, 136, kForeign6));
    EXPECT_EQ(counts(), (Counts{{kForeign6, 1}}));
}

TEST_P(Pending, OnlyManualLists) {
    for (const char* mode : {"off", "auto"}) {
        p.apply(guarded(mode));
        for (std::uint8_t i = 60; i < 70; ++i) { send(claim(ip("10.0.0." + std::to_string(i)))); }
        EXPECT_EQ(counts(), Counts{}) << mode;
    }
}

TEST_P(Pending, EachVlanHasItsOwn) {
    nlohmann::json document = guarded();
    document["port_groups"][0]["vlan"] = json_of(R"({"mode": "trunk", "ranges": ["1-20"]})");
    p.apply(document);
    send(tagged(claim(kForeign4), 10));
    send(tagged(claim(kForeign4), 11), 2);
    ASSERT_EQ(rows().size(), 2u);
    EXPECT_NE(rows()[0].key.domain.value, rows()[1].key.domain.value);
}

TEST_P(Pending, HoldsNoMoreThanItsShareAndForgetsWhatIsOld) {
    for (unsigned i = 0; i < kPendingPerPortMax + 50; ++i) {
        send(claim(IpAddr::v4(0x0a010000U + i)));
    }
    EXPECT_EQ(rows().size(), kPendingPerPortMax);
    p.advance((kPendingAgeS + 2) * kSecond).step();
    EXPECT_EQ(rows().size(), 0u);
    send(claim(kForeign4));
    for (unsigned i = 0; i < 4000; ++i) { p.advance(kMillisecond).poll(0); }
    EXPECT_EQ(counts(), (Counts{{kForeign4, 1}}));
}

TEST_P(Pending, ChangesNoDecision) {
    send(datagram(kVm1.ip4));
    const std::uint32_t before = p.dataplane().learned().epoch();
    send(claim(kForeign4));
    EXPECT_EQ(p.dataplane().learned().epoch(), before);
    settle(true);
    EXPECT_EQ(p.dataplane().learned().epoch(), before);
}

TEST_P(Pending, WhatWasRejectedStaysOffTheListUntilAFlush) {
    send(claim(kForeign4));
    settle(true);
    send(claim(kForeign4));
    ASSERT_EQ(rows().size(), 1u);
    EXPECT_EQ(rows()[0].value.flags, kPendingRejected);
    EXPECT_EQ(rows()[0].value.expires_ns, 0u);
    datapath::FlushLearned flush(LearnedFilter::of_port(p.index_of("vm1"), LearnedKind::kPending));
    p.run(0, flush);
    EXPECT_EQ(flush.removed, 1u);
    send(claim(kForeign4));
    ASSERT_EQ(rows().size(), 1u);
    EXPECT_EQ(rows()[0].value.flags, 0u);
}

TEST_P(Pending, WhatWasApprovedIsForgotten) {
    send(claim(kForeign4));
    settle(false);
    EXPECT_EQ(counts(), Counts{});
}

INSTANTIATE_TEST_SUITE_P(Modes, Pending, testing::Bool(), [](const auto& mode) {
    return mode.param ? std::string("cached") : std::string("walked");
});

}  // namespace
}  // namespace sluice::test
