// SPDX-License-Identifier: Apache-2.0
// Several uplinks of one switch: which one carries a vNIC's frames, what happens when one fails,
// and that what the fabric sends by each of them comes to a vNIC once.
#include "datapath/teaming.h"
#include "datapath/announce.h"
#include "datapath/beacon.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const Vnic kFar{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};

/// vNICs vm1 to vm8 and the uplinks up0 to up2.
class SeveralUplinks : public testing::TestWithParam<bool> {
protected:
    static constexpr int kVnics = 8;

    SeveralUplinks() {
        nlohmann::json document = two_vms();
        document["port_groups"][0]["mac_learning"] = {{"enabled", true},
                                                      {"unknown_unicast_flood", true}};
        for (int i = 3; i <= kVnics; ++i) {
            document["ports"].push_back(port_of(name(i), "lan", vnic(i)));
        }
        for (int i = 0; i < 3; ++i) {
            document["ports"].push_back(port_of(up(i), "lan", vnic(100 + i)));
        }
        PipelineOptions options;
        options.flow_cache = GetParam();
        p = std::make_unique<Pipeline>(document, options);
        make_team();
    }

    static std::string name(int i) { return "vm" + std::to_string(i); }
    static std::string up(int i) { return "up" + std::to_string(i); }
    static Vnic vnic(int i) {
        const auto last = static_cast<std::uint8_t>(i);
        return {MacAddr{{2, 0, 0, 0, 0, last}}, ip("10.0.0." + std::to_string(i)),
                ip("2001:db8::" + std::to_string(i))};
    }

    void make_team() {
        auto next = std::make_unique<datapath::Snapshot>(p->dataplane().snapshot());
        ++next->generation;
        datapath::Domain& domain = next->domains[0];
        datapath::Team team;
        for (int i = 0; i < 3; ++i) {
            const PortIndex index = p->index_of(up(i));
            datapath::PortConfig& port = *next->ports[index.value];
            port.is_uplink = true;
            port.learning = {};
            port.policy_epoch = next->generation;
            port.chain = std::make_shared<const ChainProgram>();
            std::erase(domain.members, index);
            std::erase(domain.flood, index);
            std::erase(domain.learners, index);
            domain.fabric.push_back(index);
            team.active.push_back(index);
        }
        auto rows = domain.macs.rows();
        std::erase_if(rows,
                      [&](const auto& row) { return next->ports[row.port.value]->is_uplink; });
        domain.macs = datapath::MacTable(std::move(rows));
        domain.team = 0;
        domain.epoch = next->generation;
        next->teams = {team};
        static_cast<void>(p->dataplane().publish(std::move(next)));
        p->step();
        p->dataplane().reclaim();
    }

    /// Number of the uplink that carries a vNIC's frames; -1: none.
    [[nodiscard]] int way(int i) const {
        const PortIndex out = datapath::find_way_out(
            p->dataplane().snapshot(), p->dataplane().reach(), 0, p->index_of(name(i)), FlowKey{});
        for (int u = 0; u < 3; ++u) {
            if (out == p->index_of(up(u))) { return u; }
        }
        return -1;
    }
    void set_works(int uplink, bool works) {
        p->dataplane().reach().set(p->index_of(up(uplink)), works);
    }
    [[nodiscard]] static Bytes far_question() {
        return arp(kFar.mac, kBroadcast, {1, kFar.mac, kFar.ip4, {}, kVm1.ip4});
    }
    [[nodiscard]] static Bytes frame_of(int i) { return udp(v4(vnic(i), kFar), 1, 2); }

    std::unique_ptr<Pipeline> p;
};
INSTANTIATE_TEST_SUITE_P(, SeveralUplinks, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(SeveralUplinks, EachVnicKeepsItsOwn) {
    for (int i = 1; i <= kVnics; ++i) {
        p->send(name(i), frame_of(i)).send(name(i), frame_of(i)).step();
        for (int u = 0; u < 3; ++u) {
            EXPECT_EQ(p->sent(up(u)).size(), u == way(i) ? 2u : 0u) << name(i) << " " << up(u);
        }
    }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, FlowsMoveWithTheirConnectionWhenTheirUplinkFails) {
    const int home = way(1);
    p->send("vm1", frame_of(1)).step();
    EXPECT_EQ(p->sent(up(home)).size(), 1u);
    set_works(home, false);
    const int other = way(1);
    ASSERT_NE(other, home);
    p->send("vm1", frame_of(1)).step();
    EXPECT_EQ(p->sent(up(home)), Frames{});
    EXPECT_EQ(p->sent(up(other)), Frames{frame_of(1)});
    EXPECT_EQ(p->connections().size(), 1u);
    set_works(home, true);
    p->send("vm1", frame_of(1)).step();
    EXPECT_EQ(p->sent(up(home)), Frames{frame_of(1)});
    EXPECT_EQ(p->drops(), 0u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, WithoutAnyFramesAreDroppedAndGoOnLater) {
    for (int u = 0; u < 3; ++u) { set_works(u, false); }
    p->send("vm1", frame_of(1)).send("vm1", frame_of(1)).step();
    EXPECT_EQ(p->drops("vm1", DropReason::kNoUplink), 2u);
    set_works(1, true);
    p->send("vm1", frame_of(1)).step();
    EXPECT_EQ(p->sent("up1"), Frames{frame_of(1)});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, ABroadcastThatComesByEachIsDeliveredOnce) {
    for (int u = 0; u < 3; ++u) { p->send(up(u), far_question()); }
    p->step();
    for (int i = 1; i <= kVnics; ++i) { EXPECT_EQ(p->sent(name(i)), Frames{far_question()}) << i; }
    for (int u = 0; u < 3; ++u) { EXPECT_EQ(p->sent(up(u)), Frames{}) << "never by another"; }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, UnknownUnicastToo) {
    const Bytes frame = udp(v4(kFar, vnic(77)), 1, 2);
    for (int round = 0; round < 2; ++round) {
        for (int u = 0; u < 3; ++u) { p->send(up(u), frame); }
        p->step();
        for (int i = 1; i <= kVnics; ++i) { EXPECT_EQ(p->sent(name(i)), Frames{frame}) << i; }
    }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, UnicastByAnotherThanTheVnicsIsDelivered) {
    const Bytes frame = udp(v4(kFar, kVm1), 1, 2);
    for (int u = 0; u < 3; ++u) { p->send(up(u), frame); }
    p->step();
    EXPECT_EQ(p->sent("vm1"), Frames(3, frame));
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, WhatNobodyTakesByThisOneHasAReason) {
    auto next = std::make_unique<datapath::Snapshot>(p->dataplane().snapshot());
    ++next->generation;
    next->teams[0].policy = model::TeamingPolicy::kExplicit;
    next->domains[0].epoch = next->generation;
    static_cast<void>(p->dataplane().publish(std::move(next)));
    p->send("up2", far_question()).send("up0", far_question()).step();
    EXPECT_EQ(p->drops("up2", DropReason::kOtherUplink), 1u);
    EXPECT_EQ(p->sent("vm1"), Frames{far_question()});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, WhatTheFabricReflectsIsDroppedByEach) {
    const Bytes own = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4});
    p->send("vm1", own).step();
    for (int u = 0; u < 3; ++u) {
        static_cast<void>(p->sent(up(u)));
        p->send(up(u), own).send(up(u), udp(v4(kVm1, kFar), 1, 2)).step();
        EXPECT_EQ(p->drops(up(u), DropReason::kReflected), 2u);
    }
    for (int i = 2; i <= kVnics; ++i) { EXPECT_EQ(p->sent(name(i)), Frames{own}) << "vm1's own"; }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, AnnouncementsLeaveByTheNewWay) {
    const DomainId domain = p->dataplane().snapshot().domains[0].id;
    set_works(way(1), false);
    const PortIndex vm1 = p->index_of("vm1");
    datapath::SendAnnouncements command({{vm1, domain, kVm1.mac, {}},
                                         {vm1, domain, kVm1.mac, kVm1.ip4},
                                         {vm1, domain, kVm1.mac, kVm1.ip6}});
    p->run(0, command);
    p->step();
    const Frames sent = p->sent(up(way(1)));
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(Bytes(sent[0].begin() + 6, sent[0].begin() + 14),
              (Bytes{2, 0, 0, 0, 0, 1, 0x80, 0x35}));
    EXPECT_EQ(sent[0].size(), 60u);
    Bytes question = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm1.ip4});
    question.resize(60);
    EXPECT_EQ(sent[1], question);
    EXPECT_EQ(sent[2].size(), 86u);
    p->send("up0", sent[2]).step();
    EXPECT_EQ(p->drops("up0", DropReason::kReflected), 1u) << "well formed: its checksum is right";
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(SeveralUplinks, BeaconsAreHeardAndEndThere) {
    datapath::BeaconsHeard& heard = p->dataplane().reach().beacons();
    heard.set_host(0x1234567890abcdefULL);
    const PortIndex up0 = p->index_of("up0");
    datapath::SendBeacons command({{up0, mac("02:00:00:00:aa:00")}});
    p->run(0, command);
    p->step();
    const Frames sent = p->sent("up0");
    ASSERT_EQ(sent.size(), 1u);
    p->send("up1", sent[0]).step();
    EXPECT_EQ(heard.of(up0), p->now_ns());
    EXPECT_EQ(heard.by(p->index_of("up1")), p->now_ns());
    EXPECT_EQ(heard.by(p->index_of("up2")), 0u);
    EXPECT_EQ(p->sent("vm1"), Frames{});
    heard.set_host(1);
    p->advance(kSecond).send("up2", sent[0]).step();
    EXPECT_EQ(heard.by(p->index_of("up2")), 0u) << "another host's";
    EXPECT_EQ(p->sent("vm1"), Frames{});
    p->send("vm1", sent[0]).step();
    EXPECT_EQ(p->sent("vm2"), Frames{sent[0]}) << "a guest's frame is a frame";
    EXPECT_TRUE(p->packets_conserved());
}

}  // namespace
}  // namespace sluice::test
