// SPDX-License-Identifier: Apache-2.0
// A VTEP and the groups of its VNIs: reports byte by byte, when they are sent, and what queries do.
#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

/// Frames of the cable whose destination MAC starts like that.
Frames to(TunnelRig& rig, const Bytes& start) {
    Frames out = rig.pipeline().sent("vm3");
    std::erase_if(out, [&](const Bytes& frame) {
        return !std::equal(start.begin(), start.end(), frame.begin());
    });
    return out;
}

RigOptions joining(bool is_v6, std::uint16_t vlan = 0) {
    RigOptions out;
    out.is_v6 = is_v6;
    out.vlan = vlan;
    out.remotes = {is_v6 ? "fd00::2" : "172.16.0.2"};
    out.replication = model::Replication::kHybrid;
    return out;
}

const Bytes kIgmpRouters = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x16};
const Bytes kMldRouters = {0x33, 0x33, 0x00, 0x00, 0x00, 0x16};

/// RFC 3376 §4.2: one record for 239.1.1.1; checksums by hand.
Bytes igmp_report(std::uint8_t record) {
    const std::uint8_t sum = record == 4 ? 0xe9 : 0xeb;
    Bytes out = {0x01, 0x00, 0x5e,   0x00, 0x00, 0x16, 0x02, 0x00, 0x00, 0x00, 0x99,
                 0x01, 0x08, 0x00,   0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00,
                 0x01, 0x02, 0x57,   0xe8, 172,  16,   0,    1,    224,  0,    0,
                 22,   0x94, 0x04,   0x00, 0x00, 0x22, 0x00, sum,  0xfb, 0x00, 0x00,
                 0x00, 0x01, record, 0x00, 0x00, 0x00, 239,  1,    1,    1};
    out.resize(60);
    return out;
}

Bytes igmp_query(bool is_old) {
    Bytes igmp = {0x11, 100, 0, 0, 0, 0, 0, 0};
    if (!is_old) { igmp.resize(12); }
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < igmp.size(); i += 2) { sum += igmp[i] * 256U + igmp[i + 1]; }
    sum = ~sum;
    igmp[2] = static_cast<std::uint8_t>(sum >> 8U);
    igmp[3] = static_cast<std::uint8_t>(sum);
    Path path;
    path.source_mac = kHopMac;
    path.destination_mac = mac("01:00:5e:00:00:01");
    path.source = ip("172.16.0.254");
    path.destination = ip("224.0.0.1");
    return packet(path, 2, igmp, 1);
}

TEST(TunnelMembership, IsReportedTwiceAndThenNowAndThen) {
    TunnelRig r(joining(false));
    EXPECT_EQ(to(r, kIgmpRouters), Frames{igmp_report(4)});
    r.pipeline().advance(500 * kMillisecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{});
    r.pipeline().advance(600 * kMillisecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{igmp_report(4)});
    r.pipeline().advance(59 * kSecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{});
    r.pipeline().advance(2 * kSecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{igmp_report(2)});
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST(TunnelMembership, IsReportedToWhoAsks) {
    TunnelRig r(joining(false));
    r.pipeline().advance(2 * kSecond).step();
    static_cast<void>(r.pipeline().sent("vm3"));
    r.receive_raw(igmp_query(false));
    r.pipeline().advance(kSecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{igmp_report(2)});
    r.receive_raw(igmp_query(true));
    r.pipeline().advance(kSecond).step();
    const Frames old = to(r, {0x01, 0x00, 0x5e, 0x01, 0x01, 0x01});
    ASSERT_EQ(old.size(), 1u) << "an older querier is told in its language";
    EXPECT_EQ(Bytes(old[0].begin() + 38, old[0].begin() + 46),
              (Bytes{0x16, 0x00, 0xf9, 0xfc, 239, 1, 1, 1}));
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST(TunnelMembership, OverIpv6GoesFromTheLinkLocalAddress) {
    TunnelRig r(joining(true, 77));
    const Frames sent = to(r, kMldRouters);
    ASSERT_EQ(sent.size(), 1u);
    const Bytes& frame = sent[0];
    EXPECT_EQ(Bytes(frame.begin() + 12, frame.begin() + 18),
              (Bytes{0x81, 0x00, 0x00, 77, 0x86, 0xdd}));
    Bytes expected = {0x60, 0,  0, 0,    0,    36,   0,    1,    0xfe, 0x80, 0,    0,    0,
                      0,    0,  0, 0x00, 0x00, 0x00, 0xff, 0xfe, 0x00, 0x99, 0x01, 0xff, 0x02,
                      0,    0,  0, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                      0x16, 58, 0, 5,    2,    0,    0,    1,    0,    143,  0};
    EXPECT_EQ(Bytes(frame.begin() + 18, frame.begin() + 18 + 50), expected);
    const Bytes group = {0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2};
    EXPECT_EQ(Bytes(frame.begin() + 78, frame.begin() + 94), group);
    std::uint32_t sum = 36 - 8 + 58;
    for (std::size_t i = 26; i < 58; i += 2) { sum += frame[i] * 256U + frame[i + 1]; }
    for (std::size_t i = 66; i < 94; i += 2) { sum += frame[i] * 256U + frame[i + 1]; }
    sum = (sum & 0xffffU) + (sum >> 16U);
    EXPECT_EQ((sum & 0xffffU) + (sum >> 16U), 0xffffU) << "checksum";
}

TEST(TunnelMembership, OfUnicastIsNone) {
    TunnelRig r;
    r.receive_raw(igmp_query(false));
    r.pipeline().advance(70 * kSecond).step();
    EXPECT_EQ(to(r, kIgmpRouters), Frames{});
}

}  // namespace
}  // namespace sluice::test
