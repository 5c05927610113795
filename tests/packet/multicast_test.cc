// SPDX-License-Identifier: Apache-2.0
// IGMP and MLD snooping: which ports a group reaches, from the first query to the last expiry.
#include "datapath/checksum.h"
#include "datapath/querier.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const Vnic kVm4{mac("02:00:00:00:00:04"), ip("10.0.0.4"), ip("2001:db8::4")};
const IpAddr kGroup4 = ip("239.1.2.3"), kGroup6 = ip("ff05::1:3");
const MacAddr kGroup4Mac = mac("01:00:5e:01:02:03"), kGroup6Mac = mac("33:33:00:01:00:03");

nlohmann::json four_vms(const std::string& multicast = "{}") {
    nlohmann::json document = three_vms();
    document["ports"].push_back(port_of("vm4", "lan", kVm4));
    document["switches"][0]["multicast"] = json_of(multicast);
    return document;
}

void put_checksum(Bytes& bytes, std::size_t at, std::uint32_t sum) {
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) { sum += bytes[i] << 8U | bytes[i + 1]; }
    while (sum > 0xffff) { sum = (sum & 0xffff) + (sum >> 16U); }
    bytes[at] = static_cast<std::uint8_t>(~sum >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(~sum);
}

Bytes igmp(const Vnic& from, const IpAddr& to, const MacAddr& to_mac, Bytes message) {
    put_checksum(message, 2, 0);
    return packet({from.mac, to_mac, from.ip4, to}, 2, message, 1);
}

Bytes join4(const Vnic& from) {
    return igmp(from, kGroup4, kGroup4Mac, {0x16, 0, 0, 0, 239, 1, 2, 3});
}
Bytes leave4(const Vnic& from) {
    return igmp(from, ip("224.0.0.2"), mac("01:00:5e:00:00:02"), {0x17, 0, 0, 0, 239, 1, 2, 3});
}
/// IGMPv3: one record of the type, without sources.
Bytes report4(const Vnic& from, std::uint8_t type) {
    return igmp(from, ip("224.0.0.22"), mac("01:00:5e:00:00:16"),
                {0x22, 0, 0, 0, 0, 0, 0, 1, type, 0, 0, 0, 239, 1, 2, 3});
}
Bytes query4(const Vnic& from) {
    return igmp(from, ip("224.0.0.1"), mac("01:00:5e:00:00:01"), {0x11, 100, 0, 0, 0, 0, 0, 0});
}

Bytes mld(const Vnic& from, const IpAddr& to, const MacAddr& to_mac, Bytes message) {
    std::uint32_t sum = 58 + static_cast<std::uint32_t>(message.size());
    for (const IpAddr* ip : {&from.ip6, &to}) {
        for (std::size_t i = 0; i < 16; i += 2) { sum += ip->bytes[i] << 8U | ip->bytes[i + 1]; }
    }
    put_checksum(message, 2, sum);
    return packet({from.mac, to_mac, from.ip6, to}, 58, message, 1);
}
Bytes with_group(Bytes head, const IpAddr& group) {
    head.insert(head.end(), group.bytes.begin(), group.bytes.end());
    return head;
}
Bytes query6(const Vnic& from) {
    return mld(from, ip("ff02::1"), mac("33:33:00:00:00:01"),
               with_group({130, 0, 0, 0, 0x27, 0x10, 0, 0}, ip("::")));
}
Bytes join6(const Vnic& from) {
    return mld(from, kGroup6, kGroup6Mac, with_group({131, 0, 0, 0, 0, 0, 0, 0}, kGroup6));
}
Bytes done6(const Vnic& from) {
    return mld(from, ip("ff02::2"), mac("33:33:00:00:00:02"),
               with_group({132, 0, 0, 0, 0, 0, 0, 0}, kGroup6));
}
Bytes report6(const Vnic& from, std::uint8_t type) {
    return mld(from, ip("ff02::16"), mac("33:33:00:00:00:16"),
               with_group({143, 0, 0, 0, 0, 0, 0, 1, type, 0, 0, 0}, kGroup6));
}

Bytes stream4(const Vnic& from, const IpAddr& group = kGroup4, const MacAddr& to = kGroup4Mac) {
    return udp({from.mac, to, from.ip4, group}, 5000, 5001);
}
Bytes stream6(const Vnic& from) {
    return udp({from.mac, kGroup6Mac, from.ip6, kGroup6}, 5000, 5001);
}

class Snooping : public testing::TestWithParam<bool> {
protected:
    void begin(const nlohmann::json& document) {
        PipelineOptions options;
        options.flow_cache = GetParam();
        p_ = std::make_unique<Pipeline>(document, options);
    }
    Pipeline& p() { return *p_; }
    /// Sends and steps; what came out elsewhere is forgotten.
    void quietly(const std::string& port, const Bytes& frame) {
        p().send(port, frame).step();
        for (const char* name : {"vm1", "vm2", "vm3", "vm4"}) { p().port(name).clear_sent(); }
    }
    /// The ports that `frame` from vm1 reaches.
    std::string reach(const Bytes& frame) {
        p().send("vm1", frame).step();
        std::string out;
        for (const char* name : {"vm2", "vm3", "vm4"}) {
            const Frames got = p().sent(name);
            EXPECT_LE(got.size(), 1u);
            if (!got.empty()) {
                EXPECT_EQ(got[0], frame);
                out += name[2];
            }
        }
        return out;
    }
    std::unique_ptr<Pipeline> p_;
};
INSTANTIATE_TEST_SUITE_P(, Snooping, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Snooping, WithoutAQuerierEverybodyReceivesEveryGroup) {
    begin(four_vms());
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, AGroupReachesItsMembersAndTheRouter) {
    begin(four_vms());
    quietly("vm4", query4(kVm4));
    EXPECT_EQ(reach(stream4(kVm1)), "234") << "nobody has joined yet";
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "24");
    EXPECT_EQ(reach(stream4(kVm1)), "24");
    EXPECT_EQ(reach(stream4(kVm1, ip("239.1.2.4"), mac("01:00:5e:01:02:04"))), "234")
        << "another group is still unregistered";
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, ReportsGoToRoutersOnlyAndQueriesToAll) {
    begin(four_vms());
    p().send("vm4", query4(kVm4)).step();
    EXPECT_EQ(p().sent("vm1").size() + p().sent("vm2").size() + p().sent("vm3").size(), 3u);
    p().send("vm2", join4(kVm2)).step();
    EXPECT_EQ(p().sent("vm4"), Frames{join4(kVm2)});
    EXPECT_EQ(p().sent("vm1").size() + p().sent("vm3").size(), 0u);
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, ALeaveEndsItAtOnceForASingleGuest) {
    begin(four_vms());
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    quietly("vm3", join4(kVm3));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    quietly("vm2", leave4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "34");
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, ALeaveBehindALearningPortWaitsForOthersToAnswer) {
    nlohmann::json document = four_vms();
    document["port_groups"][0]["mac_learning"] = {{"enabled", true}};
    begin(document);
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    quietly("vm3", join4(kVm3));
    quietly("vm2", leave4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    quietly("vm2", join4(kVm2));
    p().advance(4 * kSecond).step();
    EXPECT_EQ(reach(stream4(kVm1)), "234") << "somebody answered";
    quietly("vm2", leave4(kVm2));
    p().advance(4 * kSecond).step();
    EXPECT_EQ(reach(stream4(kVm1)), "34");
}

TEST_P(Snooping, RecordsOfVersionThreeJoinAndLeave) {
    begin(four_vms());
    quietly("vm4", query4(kVm4));
    quietly("vm3", report4(kVm3, 4));
    quietly("vm2", report4(kVm2, 4));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    quietly("vm2", report4(kVm2, 3));
    EXPECT_EQ(reach(stream4(kVm1)), "34");
    quietly("vm2", report4(kVm2, 2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    quietly("vm2", report4(kVm2, 6));
    EXPECT_EQ(reach(stream4(kVm1)), "234") << "blocking sources is no leave";
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, MldIsTheSame) {
    begin(four_vms());
    quietly("vm4", query6(kVm4));
    quietly("vm2", join6(kVm2));
    EXPECT_EQ(reach(stream6(kVm1)), "24");
    EXPECT_EQ(reach(stream4(kVm1)), "234") << "no IGMP querier: IPv4 is not snooped";
    quietly("vm3", report6(kVm3, 4));
    EXPECT_EQ(reach(stream6(kVm1)), "234");
    quietly("vm2", done6(kVm2));
    EXPECT_EQ(reach(stream6(kVm1)), "34");
    quietly("vm3", report6(kVm3, 3));
    EXPECT_EQ(reach(stream6(kVm1)), "234") << "unregistered again";
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, LinkLocalGroupsAlwaysReachEverybody) {
    begin(four_vms(R"({"flood_unregistered": false})"));
    quietly("vm4", query4(kVm4));
    quietly("vm4", query6(kVm4));
    EXPECT_EQ(reach(stream4(kVm1, ip("224.0.0.251"), mac("01:00:5e:00:00:fb"))), "234");
    EXPECT_EQ(reach(udp({kVm1.mac, mac("33:33:00:00:00:01"), kVm1.ip6, ip("ff02::1")}, 1, 2)),
              "234");
    EXPECT_EQ(
        reach(udp({kVm1.mac, mac("33:33:ff:00:00:02"), kVm1.ip6, ip("ff02::1:ff00:2")}, 1, 2)),
        "234");
    EXPECT_EQ(reach(ethernet(kVm1.mac, mac("01:0c:cd:01:00:01"), 0x88b8, Bytes(50, 1))), "234")
        << "no IP at all";
    EXPECT_EQ(reach(stream4(kVm1)), "4") << "unregistered: to the router";
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, PromiscuousPortsReceiveEveryGroup) {
    nlohmann::json document = four_vms();
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    begin(document);
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
}

TEST_P(Snooping, MembersAndQueriersExpire) {
    begin(four_vms());
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    quietly("vm3", join4(kVm3));
    p().advance(200 * kSecond).step();
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    p().advance(61 * kSecond).step();
    EXPECT_EQ(reach(stream4(kVm1)), "24") << "vm3 did not answer for 260 s";
    p().advance(200 * kSecond).step();
    EXPECT_EQ(reach(stream4(kVm1)), "234") << "no querier any more";
    EXPECT_EQ(p().dataplane().learned().size(), 0u);
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, AQueryFromNobodyMakesNoRouterPort) {
    begin(four_vms(R"({"flood_unregistered": false})"));
    Vnic nobody = kVm4;
    nobody.ip4 = ip("0.0.0.0");
    quietly("vm4", query4(nobody));
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "2");
}

TEST_P(Snooping, CanBeOff) {
    begin(four_vms(R"({"snooping": false})"));
    quietly("vm4", query4(kVm4));
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "234");
    EXPECT_EQ(p().dataplane().learned().size(), 0u);
}

TEST_P(Snooping, MalformedMessagesAreDropped) {
    begin(four_vms());
    Bytes wrong_sum = join4(kVm2);
    wrong_sum.back() ^= 1U;
    p().send("vm2", wrong_sum);
    p().send("vm2", igmp(kVm2, ip("224.0.0.22"), mac("01:00:5e:00:00:16"),
                         {0x22, 0, 0, 0, 0, 0, 0, 9, 4, 0, 0, 0, 239, 1, 2, 3}));
    p().send("vm2", igmp(kVm2, ip("239.1.2.3"), kGroup4Mac, {0x16, 0, 0, 0, 10, 0, 0, 1})).step();
    EXPECT_EQ(p().drops("vm2", DropReason::kBadMembership), 2u);
    EXPECT_EQ(p().drops("vm2", DropReason::kBadL4Checksum), 1u);
    EXPECT_EQ(p().dataplane().learned().size(), 0u);
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, OnePortTeachesSoManyTimesASecondAndNoMore) {
    begin(four_vms());
    for (unsigned i = 0; i < kMembershipPerPortPps + 100; ++i) {
        const auto low = static_cast<std::uint8_t>(i), high = static_cast<std::uint8_t>(i >> 8U);
        p().send("vm2", igmp(kVm2, kGroup4, kGroup4Mac, {0x16, 0, 0, 0, 239, 9, high, low}));
    }
    p().step();
    EXPECT_EQ(p().dataplane().learned().count(p().index_of("vm2"), LearnedKind::kGroupMember),
              kMembershipPerPortPps);
    EXPECT_EQ(p().drops(), 0u) << "they are forwarded all the same";
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, OnePortJoinsSoManyGroupsAndNoMore) {
    begin(four_vms());
    for (unsigned i = 0; i < kGroupPerPortMax + 100; ++i) {
        const auto high = static_cast<std::uint8_t>(1 + (i >> 8U));
        const auto low = static_cast<std::uint8_t>(i);
        p().send("vm2", igmp(kVm2, kGroup4, kGroup4Mac, {0x16, 0, 0, 0, 239, 9, high, low}));
        p().step().advance(kSecond / kMembershipPerPortPps);
    }
    EXPECT_EQ(p().dataplane().learned().count(p().index_of("vm2"), LearnedKind::kGroupMember),
              kGroupPerPortMax);
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, OurOwnQuerierAsksAndMakesSnoopingActive) {
    nlohmann::json document = four_vms(R"({"querier": {"enabled": true, "interval_s": 60}})");
    document["ports"][3]["overrides"] = json_of(R"({"vlan": {"mode": "trunk", "ranges": ["7"]}})");
    begin(document);
    quietly("vm2", join4(kVm2));
    EXPECT_EQ(reach(stream4(kVm1)), "2");
    datapath::SendQueries command("dvs0");
    p().run(0, command);
    p().step();
    EXPECT_EQ(command.sent, 8u) << "two families; three ports untagged, one in VLAN 7";
    const Frames got = p().sent("vm1");
    ASSERT_EQ(got.size(), 2u);
    EXPECT_EQ(got[0][14 + 9], 2) << "IGMP";
    EXPECT_EQ(got[0][38], 0x11);
    EXPECT_EQ(got[0][47], 60);
    EXPECT_EQ(datapath::raw_sum(got[0].data() + 38, 12), 0xffff) << "checksum";
    EXPECT_EQ(datapath::raw_sum(got[0].data() + 14, 24), 0xffff) << "checksum";
    EXPECT_EQ(got[1][62], 130) << "MLD";
    const Frames in_vlan = p().sent("vm4");
    ASSERT_EQ(in_vlan.size(), 2u);
    EXPECT_EQ(in_vlan[0], tagged(got[0], 7));
    EXPECT_EQ(p().books().created, 9u);
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Snooping, OurOwnQuerierIsSilentWhileARouterAsks) {
    begin(four_vms(R"({"querier": {"enabled": true}})"));
    quietly("vm4", query4(kVm4));
    datapath::SendQueries command("dvs0");
    p().run(0, command);
    EXPECT_EQ(command.sent, 4u) << "MLD only";
    Vnic nobody = kVm3;
    nobody.ip4 = ip("0.0.0.0");
    quietly("vm3", query4(nobody));
    p().advance(300 * kSecond).step();
    quietly("vm3", query4(nobody));
    datapath::SendQueries again("dvs0");
    p().run(0, again);
    EXPECT_EQ(again.sent, 8u) << "the router is silent; a switch does not count";
}

TEST_P(Snooping, OurOwnQueriesAreGoodOnesToAnotherSwitch) {
    nlohmann::json document = four_vms(R"({"querier": {"enabled": true}})");
    document["ports"][1]["overrides"] = json_of(R"({"security": {"forged_transmits": true}})");
    begin(document);
    datapath::SendQueries command("dvs0");
    p().run(0, command);
    p().step();
    for (const Bytes& query : p().sent("vm1")) { p().send("vm2", query).step(); }
    EXPECT_EQ(p().drops(), 0u);
    EXPECT_EQ(p().dataplane().learned().count(p().index_of("vm2"), LearnedKind::kQuerier), 2u);
    EXPECT_EQ(p().dataplane().learned().count(p().index_of("vm2"), LearnedKind::kRouterPort), 1u)
        << "the one of MLD has an address";
    EXPECT_TRUE(p().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
