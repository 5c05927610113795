// SPDX-License-Identifier: Apache-2.0
// Ends as users write them, and the numbering of 5-tuples.
#include "load/spec.h"

#include <gtest/gtest.h>

#include <set>

#include "load/tuples.h"

namespace sluice::load {
namespace {

std::string refusal(const std::string& text) {
    const auto spec = parse_spec(text, 1);
    return spec.ok() ? "accepted" : spec.error().message;
}

TEST(Spec, PathAloneIsTheFirstGuest) {
    const auto spec = parse_spec("/run/vm1.sock", 1);
    ASSERT_TRUE(spec.ok());
    EXPECT_EQ(spec.value().path, "/run/vm1.sock");
    EXPECT_EQ(mac_text(spec.value().mac), "02:00:00:00:00:01");
    EXPECT_EQ(spec.value().ips, std::vector<std::uint32_t>{0x0a000001});
    EXPECT_FALSE(spec.value().listen);
}

TEST(Spec, TakesMacAddressesAndListen) {
    const auto spec = parse_spec(
        "/s,mac=02:00:00:00:0a:ff,listen,ip=10.0.0.1/30,ip=10.1.0.8-10.1.0.10,ip=192.0.2.1", 1);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    EXPECT_TRUE(spec.value().listen);
    EXPECT_EQ(mac_text(spec.value().mac), "02:00:00:00:0a:ff");
    std::vector<std::string> ips;
    for (const std::uint32_t ip : spec.value().ips) { ips.push_back(ip_text(ip)); }
    EXPECT_EQ(ips, (std::vector<std::string>{"10.0.0.1", "10.0.0.2", "10.1.0.8", "10.1.0.9",
                                             "10.1.0.10", "192.0.2.1"}));
}

TEST(Spec, TakesARouterAndATunnel) {
    const auto spec = parse_spec(
        "/s,mac=02:00:00:00:00:07,via=02:00:00:00:aa:01,"
        "vxlan=5000/172.16.0.2/172.16.0.1/02:00:00:00:99:fe",
        1);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    ASSERT_TRUE(spec.value().via && spec.value().tunnel);
    EXPECT_EQ(mac_text(*spec.value().via), "02:00:00:00:aa:01");
    const Tunnel& tunnel = *spec.value().tunnel;
    EXPECT_EQ(tunnel.vni, 5000U);
    EXPECT_EQ(ip_text(tunnel.own_ip), "172.16.0.2");
    EXPECT_EQ(ip_text(tunnel.peer_ip), "172.16.0.1");
    EXPECT_EQ(mac_text(tunnel.peer_mac), "02:00:00:00:99:fe");
    EXPECT_EQ(mac_text(tunnel.own_mac), "02:00:00:00:99:07");
}

TEST(Spec, PrefixStandsForItsHosts) {
    EXPECT_EQ(parse_spec("/s,ip=10.0.0.0/24", 1).value().ips.size(), 254U);
    EXPECT_EQ(parse_spec("/s,ip=10.0.0.1/28", 1).value().ips.size(), 14U);
    EXPECT_EQ(parse_spec("/s,ip=10.0.0.1/32", 1).value().ips.size(), 1U);
}

TEST(Spec, RefusesWithASentence) {
    EXPECT_EQ(refusal(""), "end \"\": the path of a vhost-user socket is missing");
    EXPECT_EQ(refusal("/s,port=1"),
              "end \"/s,port=1\": \"port=1\" is none of mac=ADDRESS, ip=ADDRESSES, via=ADDRESS, "
              "vxlan=VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC, listen");
    EXPECT_EQ(refusal("/s,via=10.0.0.1"),
              "end \"/s,via=10.0.0.1\": via \"10.0.0.1\" is not a unicast address like "
              "02:00:00:00:00:01");
    for (const char* wrong : {"5000", "0/172.16.0.2/172.16.0.1/02:00:00:00:99:01",
                              "16777216/172.16.0.2/172.16.0.1/02:00:00:00:99:01",
                              "5000/172.16.0.2/172.16.0.2/02:00:00:00:99:01",
                              "5000/172.16.0.2/172.16.0.1/03:00:00:00:99:01",
                              "5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01/"}) {
        EXPECT_EQ(refusal(std::string("/s,vxlan=") + wrong),
                  std::string("end \"/s,vxlan=") + wrong + "\": vxlan \"" + wrong +
                      "\" is not VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC, like "
                      "5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01");
    }
    EXPECT_EQ(
        refusal("/s,mac=01:00:00:00:00:01"),
        "end \"/s,mac=01:00:00:00:00:01\": mac \"01:00:00:00:00:01\" is not a unicast address "
        "like 02:00:00:00:00:01");
    EXPECT_EQ(
        refusal("/s,ip=10.0.0"),
        "end \"/s,ip=10.0.0\": ip \"10.0.0\" is not an address, PREFIX/8..32 or FIRST-LAST of "
        "IPv4");
    EXPECT_NE(refusal("/s,ip=10.0.0.9-10.0.0.1"), "accepted");
    EXPECT_NE(refusal("/s,ip=10.0.0.0/8"), "accepted");
    EXPECT_EQ(refusal("/s,ip=10.0.0.1,ip=10.0.0.1"),
              "end \"/s,ip=10.0.0.1,ip=10.0.0.1\": an address is there twice");
}

TEST(Tuples, AreAllDifferent) {
    const std::vector<std::uint32_t> a{1, 2}, b{3};
    const Tuples tuples(a, b, 80, 2, 128);
    ASSERT_EQ(tuples.count(), 512U);
    std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint16_t, std::uint16_t>> seen;
    for (std::uint64_t n = 0; n < tuples.count(); ++n) {
        const Tuple t = tuples.at(n);
        seen.insert({t.source_ip, t.destination_ip, t.source_port, t.destination_port});
    }
    EXPECT_EQ(seen.size(), 512U);
    EXPECT_EQ(tuples.at(512), tuples.at(0));
}

}  // namespace
}  // namespace sluice::load
