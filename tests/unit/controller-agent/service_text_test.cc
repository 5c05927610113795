// SPDX-License-Identifier: Apache-2.0
// Text forms of services, VLAN ranges, MAC matches and ethertypes: what parses, what does not, and
// that printing and parsing are inverse.
#include "controller-agent/service_text.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

TEST(Service, PrintsBackWhatItParsed) {
    for (const char* text : {"tcp", "udp", "sctp", "icmp", "icmpv6", "tcp/80", "tcp/8000-8080",
                             "udp/53:1024-65535", "sctp/0-65535:7", "icmp/8", "icmp/3/4",
                             "icmpv6/128", "ip/47", "ip/0", "tcp/0", "tcp/65535"}) {
        const auto service = parse_service(text);
        ASSERT_TRUE(service.has_value()) << text;
        EXPECT_EQ(to_text(*service), text);
        EXPECT_EQ(parse_service(to_text(*service)), service);
    }
}

TEST(Service, SourcePortsFollowTheColon) {
    const auto service = parse_service("udp/53:1024-65535");
    ASSERT_TRUE(service.has_value());
    EXPECT_EQ(service->protocol, model::kProtocolUdp);
    EXPECT_EQ(service->destination, (model::PortRange{53, 53}));
    EXPECT_EQ(service->source, (model::PortRange{1024, 65535}));
}

TEST(Service, RefusesWhatIsNone) {
    for (const char* text :
         {"",        "any",      "TCP",     "tcp/",       "tcp/65536", "tcp/90-80",
          "tcp/80-", "tcp/-80",  "tcp/80:", "tcp/80:9-8", "tcp/http",  "tcp/ 80",
          "tcp/080", "icmp/256", "icmp/8/", "icmp/8/0/0", "icmp/8:1",  "ip",
          "ip/",     "ip/256",   "gre",     "tcp/80/81",  "udp/+5",    "tcp80"}) {
        EXPECT_FALSE(parse_service(text).has_value()) << text;
    }
}

TEST(Service, NumberAndWordOfAProtocolAreEqual) {
    EXPECT_EQ(parse_service("ip/6"), parse_service("tcp"));
    EXPECT_EQ(parse_service("ip/58"), parse_service("icmpv6"));
}

TEST(VlanRange, ParsesAndRefuses) {
    EXPECT_EQ(parse_vlan_range("1-4094"), (model::VlanRange{1, 4094}));
    EXPECT_EQ(to_text(*parse_vlan_range("7")), "7");
    EXPECT_EQ(to_text(*parse_vlan_range("7-9")), "7-9");
    for (const char* text : {"0", "4095", "0-5", "9-7", "", "-", "1-", "a", "1-2-3"}) {
        EXPECT_FALSE(parse_vlan_range(text).has_value()) << text;
    }
}

TEST(MacMatch, ParsesAndRefuses) {
    for (const char* text : {"02:00:00:00:00:01", "02:00:00:00:00:00/ff:00:00:00:00:00"}) {
        ASSERT_TRUE(parse_mac_match(text).has_value()) << text;
        EXPECT_EQ(to_text(*parse_mac_match(text)), text);
    }
    for (const char* text :
         {"", "02:00", "02:00:00:00:00:01/ff:00:00:00:00:00", "02:00:00:00:00:01/"}) {
        EXPECT_FALSE(parse_mac_match(text).has_value()) << text;
    }
}

TEST(Ethertype, ParsesAndRefuses) {
    EXPECT_EQ(parse_ethertype("0x0800"), 0x0800);
    EXPECT_EQ(parse_ethertype("0x800"), 0x0800);
    EXPECT_EQ(ethertype_text(0x86dd), "0x86dd");
    for (const char* text : {"", "0x", "0800", "2048", "0x05ff", "0x10000", "0xzz", "0x 800"}) {
        EXPECT_FALSE(parse_ethertype(text).has_value()) << text;
    }
}

TEST(TcpFlagsText, ReadsAndPrintsFlagsInTheirOrder) {
    EXPECT_EQ(parse_tcp_flags("syn,!ack"), (model::TcpFlagsMatch{0x02, 0x12}));
    EXPECT_EQ(parse_tcp_flags("cwr"), (model::TcpFlagsMatch{0x80, 0x80}));
    for (const char* text : {"syn,!ack", "fin", "!syn,rst", "fin,syn,rst,psh,ack,urg,ece,cwr"}) {
        EXPECT_EQ(to_text(parse_tcp_flags(text).value()), text);
    }
    EXPECT_EQ(to_text(parse_tcp_flags("!ack,syn").value()), "syn,!ack");
    for (const char* text : {"", ",", "syn,", "SYN", "syn ack", "syn,!syn", "!", "!!syn", "ns"}) {
        EXPECT_FALSE(parse_tcp_flags(text)) << text;
    }
}

}  // namespace
}  // namespace sluice::agent
