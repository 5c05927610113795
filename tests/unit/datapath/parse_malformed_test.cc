// SPDX-License-Identifier: Apache-2.0
// What parse refuses, and by which name.
#include <gtest/gtest.h>

#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

Bytes changed(Bytes frame, std::size_t at, unsigned value) {
    frame[at] = static_cast<std::uint8_t>(value);
    return frame;
}

/// An untagged IPv4 frame with header byte `at` set and the checksum made right again.
Bytes ipv4_changed(Bytes frame, std::size_t at, unsigned value) {
    frame[14 + at] = static_cast<std::uint8_t>(value);
    put16(frame, 24, 0);
    put16(frame, 24, internet_checksum(Bytes(frame.begin() + 14, frame.begin() + 34)));
    return frame;
}

const Bytes kTcpFrame = ipv4_frame(6, tcp(kTcpAck, Bytes(4)));

TEST(ParseMalformed, Ethernet) {
    EXPECT_EQ(why({}), "truncated_frame");
    EXPECT_EQ(why(Bytes(13, 2)), "truncated_frame");
    EXPECT_EQ(why(kMacB + kMacA + Bytes{0x81, 0, 0, 1, 8}), "truncated_frame");
    EXPECT_EQ(why(ethernet(0x0800, Bytes(46), {.source_mac = Bytes(6)})), "bad_source_mac");
    EXPECT_EQ(why(ethernet(0x0800, Bytes(46), {.source_mac = Bytes(6, 0xff)})), "bad_source_mac");
}

TEST(ParseMalformed, Ipv4Header) {
    EXPECT_EQ(why(ethernet(0x0800, Bytes(19, 0x45))), "bad_ip_header");
    EXPECT_EQ(why(ipv4_changed(kTcpFrame, 0, 0x55)), "bad_ip_header");
    EXPECT_EQ(why(ipv4_changed(kTcpFrame, 0, 0x44)), "bad_ip_header");
    EXPECT_EQ(why(ipv4_changed(kTcpFrame, 0, 0x4f)), "bad_ip_header");
    EXPECT_EQ(why(ipv4_changed(kTcpFrame, 3, 19)), "bad_ip_length");
    EXPECT_EQ(why(ipv4_changed(kTcpFrame, 2, 1)), "bad_ip_length");
    EXPECT_EQ(why(changed(kTcpFrame, 24, 0x77)), "bad_ip_checksum");
}

TEST(ParseMalformed, Ipv4Options) {
    const auto with = [](const Bytes& options) {
        return why(ipv4_frame(6, tcp(kTcpAck), {}, {.options = options}));
    };
    EXPECT_EQ(with({1, 1, 1, 0}), "none");
    EXPECT_EQ(with({131, 3, 4, 0}), "bad_ip_option");
    EXPECT_EQ(with({1, 137, 3, 4}), "bad_ip_option");
    EXPECT_EQ(with({7, 0, 0, 0}), "bad_ip_option");
    EXPECT_EQ(with({7, 5, 0, 0}), "bad_ip_option");
    EXPECT_EQ(with({1, 1, 1, 7}), "bad_ip_option");
}

TEST(ParseMalformed, Ipv4Addresses) {
    const auto from = [](const Bytes& ip) {
        const Ends ends{.source4 = ip};
        return why(ipv4_frame(17, udp(1, 2, {}, ends), ends));
    };
    const auto to = [](const Bytes& ip) {
        const Ends ends{.destination4 = ip};
        return why(ipv4_frame(17, udp(1, 2, {}, ends), ends));
    };
    for (const Bytes& ip : {Bytes{127, 0, 0, 1},
                            {224, 0, 0, 5},
                            {255, 255, 255, 255},
                            {240, 0, 0, 1},
                            {0, 0, 0, 0},
                            {0, 1, 2, 3}}) {
        EXPECT_EQ(from(ip), "bad_ip_address") << int{ip[0]};
    }
    EXPECT_EQ(from(kIp4B), "bad_ip_address");
    for (const Bytes& ip :
         {Bytes{127, 0, 0, 1}, {240, 0, 0, 1}, {255, 255, 255, 254}, {0, 0, 0, 0}}) {
        EXPECT_EQ(to(ip), "bad_ip_address") << int{ip[0]};
    }
    EXPECT_EQ(to({255, 255, 255, 255}), "none");
    EXPECT_EQ(to({239, 1, 2, 3}), "none");
}

TEST(ParseMalformed, Ipv6Header) {
    const Bytes good = ipv6_frame(6, tcp(kTcpAck, {}, {}, true));
    EXPECT_EQ(why(changed(good, 14, 0x50)), "bad_ip_header");
    EXPECT_EQ(why(changed(good, 19, 21)), "bad_ip_length");
    EXPECT_EQ(why(Bytes(good.begin(), good.begin() + 53)), "bad_ip_header");
    Bytes jumbo = ipv6_frame(0, Bytes{6, 0, 0xc2, 4, 0, 0, 0, 28} + tcp(kTcpAck, {}, {}, true));
    EXPECT_EQ(why(jumbo), "bad_ip_option");
    put16(jumbo, 18, 0);
    EXPECT_EQ(why(jumbo), "bad_ip_length");
}

TEST(ParseMalformed, Ipv6Addresses) {
    const auto why_of = [](const Ends& ends) {
        return why(ipv6_frame(17, udp(1, 2, {}, ends, true), ends));
    };
    const Bytes loopback = Bytes(15) + Bytes{1};
    const Bytes mapped = Bytes(10) + Bytes{0xff, 0xff, 10, 1, 0, 10};
    EXPECT_EQ(why_of({.source6 = Bytes{0xff, 2} + Bytes(14)}), "bad_ip_address");
    EXPECT_EQ(why_of({.source6 = Bytes(16)}), "bad_ip_address");
    EXPECT_EQ(why_of({.destination6 = Bytes(16)}), "bad_ip_address");
    EXPECT_EQ(why_of({.source6 = loopback}), "bad_ip_address");
    EXPECT_EQ(why_of({.destination6 = loopback}), "bad_ip_address");
    EXPECT_EQ(why_of({.source6 = mapped}), "bad_ip_address");
    EXPECT_EQ(why_of({.destination6 = mapped}), "bad_ip_address");
    EXPECT_EQ(why_of({.source6 = kIp6B}), "bad_ip_address");
    EXPECT_EQ(why_of({.destination6 = Bytes{0xff, 2} + Bytes(13) + Bytes{0xfb}}), "none");
}

TEST(ParseMalformed, Ipv6ExtensionHeaders) {
    const Bytes end = tcp(kTcpAck, {}, {}, true);
    const auto option = [](std::uint8_t next) { return Bytes{next, 0, 1, 4, 0, 0, 0, 0}; };
    EXPECT_EQ(why(ipv6_frame(60, option(0) + option(6) + end)), "bad_ip_header");
    EXPECT_EQ(why(ipv6_frame(43, Bytes{6, 0, 0, 0, 0, 0, 0, 0} + end)), "bad_ip_option");
    EXPECT_EQ(why(ipv6_frame(60, Bytes{6, 9, 1, 4, 0, 0, 0, 0} + end)), "bad_ip_header");
    EXPECT_EQ(why(ipv6_frame(60, Bytes{6, 0, 1, 5, 0, 0, 0, 0} + end)), "bad_ip_option");
    EXPECT_EQ(why(ipv6_frame(51, Bytes{6, 0, 0, 0, 0, 0, 0, 0} + end)), "bad_ip_header");
    EXPECT_EQ(why(ipv6_frame(51, Bytes{6, 200} + Bytes(14) + end)), "bad_ip_header");
    EXPECT_EQ(
        why(ipv6_frame(44, fragment_header(44, 0, false) + fragment_header(6, 0, false) + end)),
        "bad_fragment");
    EXPECT_EQ(why(ipv6_frame(60, {6, 0})), "bad_ip_header");
    EXPECT_EQ(why(ipv6_frame(1, icmp(8, 0))), "bad_icmp");
    Bytes chain;
    for (unsigned i = 1; i < kExtensionHeaderMax; ++i) { chain = chain + option(60); }
    EXPECT_EQ(why(ipv6_frame(60, chain + option(6) + end)), "none");
    EXPECT_EQ(why(ipv6_frame(60, chain + option(60) + option(6) + end)), "bad_ip_header");
}

TEST(ParseMalformed, TcpHeader) {
    EXPECT_EQ(why(ipv4_frame(6, Bytes(19, 1))), "bad_l4_header");
    EXPECT_EQ(why(changed(kTcpFrame, 46, 0x40)), "bad_l4_header");
    EXPECT_EQ(why(changed(kTcpFrame, 46, 0xf0)), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(6, tcp(kTcpAck, {}, {}, false, {}, 0, 80))), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(6, tcp(kTcpAck, {}, {}, false, {}, 1, 0))), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(6, tcp(kTcpAck), {.destination_mac = Bytes(6, 0xff)})),
              "bad_ip_address");
    const Ends group{.destination4 = {239, 1, 1, 1}};
    EXPECT_EQ(why(ipv4_frame(6, tcp(kTcpAck, {}, group), group)), "bad_ip_address");
}

TEST(ParseMalformed, TcpFlags) {
    const std::vector<unsigned> valid = {0x02, 0x22, 0x12, 0x04, 0x14, 0x11, 0x31, 0x10, 0x30};
    for (unsigned flags = 0; flags < 256; ++flags) {
        const unsigned judged = flags & 0x37U;  // PSH, ECE and CWR don't matter.
        const bool good = std::find(valid.begin(), valid.end(), judged) != valid.end();
        EXPECT_EQ(why(ipv4_frame(6, tcp(static_cast<std::uint8_t>(flags)))),
                  good ? "none" : "bad_tcp_flags")
            << flags;
    }
}

TEST(ParseMalformed, TcpOptionsOfASyn) {
    const auto syn = [](const Bytes& options) {
        return why(ipv4_frame(6, tcp(kTcpSyn, {}, {}, false, options)));
    };
    EXPECT_EQ(syn({3, 3, 7, 0}), "none");
    EXPECT_EQ(syn({3, 0, 0, 0}), "bad_tcp_option");
    EXPECT_EQ(syn({3, 1, 0, 0}), "bad_tcp_option");
    EXPECT_EQ(syn({3, 5, 7, 0}), "bad_tcp_option");
    EXPECT_EQ(syn({1, 1, 1, 3}), "bad_tcp_option");
}

TEST(ParseMalformed, UdpAndIcmp) {
    EXPECT_EQ(why(ipv4_frame(17, Bytes(7))), "bad_l4_header");
    EXPECT_EQ(why(changed(ipv4_frame(17, udp(1, 2, Bytes(4))), 39, 7)), "bad_l4_header");
    EXPECT_EQ(why(changed(ipv4_frame(17, udp(1, 2, Bytes(4))), 39, 13)), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(132, Bytes(11))), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(1, Bytes{8, 0, 0, 0, 0, 0, 0})), "bad_l4_header");
    EXPECT_EQ(why(ipv4_frame(1, icmp(42, 0))), "bad_icmp");
    EXPECT_EQ(why(ipv4_frame(58, icmpv6(128, 0))), "bad_icmp");
    EXPECT_EQ(why(ipv6_frame(58, icmpv6(127, 0))), "bad_icmp");
    EXPECT_EQ(why(ipv6_frame(58, icmpv6(200, 0))), "bad_icmp");
}

TEST(ParseMalformed, NeighbourDiscovery) {
    const Bytes target = Bytes(4) + kIp6A;
    const auto ns = [&](const Bytes& options, std::uint8_t code = 0) {
        return icmpv6(135, code, target + options);
    };
    EXPECT_EQ(why(ipv6_frame(58, ns({1, 1, 2, 0, 0, 0, 0, 1}), {}, 255)), "none");
    EXPECT_EQ(why(ipv6_frame(58, ns({}), {}, 64)), "bad_nd");
    EXPECT_EQ(why(ipv6_frame(58, ns({}, 1), {}, 255)), "bad_nd");
    EXPECT_EQ(why(ipv6_frame(58, ns({1, 0, 0, 0, 0, 0, 0, 0}), {}, 255)), "bad_nd");
    EXPECT_EQ(why(ipv6_frame(58, ns({1, 2, 0, 0, 0, 0, 0, 0}), {}, 255)), "bad_nd");
    EXPECT_EQ(why(ipv6_frame(58, icmpv6(136, 0, Bytes(8)), {}, 255)), "bad_nd");
    EXPECT_EQ(why(ipv6_frame(44, fragment_header(58, 0, false) + ns({}), {}, 255)), "bad_nd");
    const Ends anonymous{.source6 = Bytes(16)};
    EXPECT_EQ(why(ipv6_frame(58, icmpv6(136, 0, target, anonymous), anonymous, 255)),
              "bad_ip_address");
}

TEST(ParseMalformed, Sctp) {
    const auto sctp = [](const Bytes& ports, const Bytes& chunk) {
        return why(ipv4_frame(132, ports + Bytes(8) + chunk));
    };
    const Bytes good = {0, 7, 0, 8};
    EXPECT_EQ(sctp(good, {1, 0, 0, 4}), "none");
    EXPECT_EQ(sctp(good, {}), "none");
    EXPECT_EQ(sctp({0, 0, 0, 8}, {1, 0, 0, 4}), "bad_l4_header");
    EXPECT_EQ(sctp({0, 7, 0, 0}, {1, 0, 0, 4}), "bad_l4_header");
    EXPECT_EQ(sctp(good, {1, 0, 0, 3}), "bad_l4_header");
}

TEST(ParseMalformed, MulticastListeners) {
    for (const std::uint8_t type : Bytes{130, 131, 132, 143}) {
        const Bytes message = icmpv6(type, 0, Bytes(20));
        const Bytes alert = {58, 0, 5, 2, 0, 0, 1, 0};
        EXPECT_EQ(why(ipv6_frame(58, message, {}, 1)), "none");
        EXPECT_EQ(why(ipv6_frame(0, alert + message, {}, 1)), "none");
        EXPECT_EQ(why(ipv6_frame(0, alert + message, {}, 64)), "bad_membership");
    }
}

TEST(ParseMalformed, GroupsThatAreNeverSent) {
    for (const std::uint8_t scope : Bytes{0x00, 0x01, 0x11, 0xf0}) {
        Ends ends;
        ends.destination6[0] = 0xff;
        ends.destination6[1] = scope;
        EXPECT_EQ(why(ipv6_frame(17, udp(1, 2, {}, ends, true), ends)), "bad_ip_address");
        ends.destination6[1] = static_cast<std::uint8_t>(scope + 2);
        EXPECT_EQ(why(ipv6_frame(17, udp(1, 2, {}, ends, true), ends)), "none");
    }
}

/// What hosts send, odd as it is, and what is theirs to judge: RFC 1122 §3.2.1.7, RFC 7126, RFC
/// 768, RFC 8200 §4.2 and §4.7, RFC 3168.
TEST(ParseMalformed, OddButLegal) {
    const Bytes datagram = udp(1, 2, Bytes(8));
    const Bytes no_ttl = ipv4_changed(ipv4_frame(17, datagram), 8, 0);
    EXPECT_EQ(why(no_ttl), "none") << "time to live 0";
    for (const Bytes& options : {Bytes{7, 7, 4, 0, 0, 0, 0, 0}, Bytes{68, 8, 5, 0, 0, 0, 0, 0},
                                 Bytes{148, 4, 0, 0}, Bytes{1, 1, 0, 99}}) {
        EXPECT_EQ(why(ipv4_frame(17, datagram, {}, {.options = options})), "none");
    }
    EXPECT_EQ(why(ipv4_frame(17, datagram, {}, {.fragment = 0x8000})), "none") << "reserved flag";
    EXPECT_EQ(why(ipv4_frame(17, datagram, {}, {.fragment = 0x6000})), "none") << "DF and MF";
    EXPECT_EQ(why(ipv4_frame(17, udp(0, 2, {}))), "none") << "no port to answer to";
    EXPECT_EQ(why(ipv6_frame(59, {})), "none");
    EXPECT_EQ(why(ipv6_frame(59, Bytes(9))), "none");
    EXPECT_EQ(why(ipv6_frame(50, Bytes(16))), "none");
    EXPECT_EQ(why(ipv6_frame(253, Bytes(3))), "none");
    EXPECT_EQ(why(ipv6_frame(17, udp(1, 2, {}, {}, true), {}, 0)), "none") << "hop limit 0";
    const Bytes unknown_option = {17, 0, 0xde, 4, 0, 0, 0, 0};
    EXPECT_EQ(why(ipv6_frame(0, unknown_option + udp(1, 2, {}, {}, true))), "none");
    for (const std::uint8_t type : Bytes{2, 3, 4}) {  // Mobile IPv6, RPL, segment routing.
        const Bytes routing = Bytes{17, 2, type, 0} + Bytes(20);
        EXPECT_EQ(why(ipv6_frame(43, routing + udp(1, 2, {}, {}, true))), "none");
    }
}

TEST(ParseMalformed, MartiansInBothFamilies) {
    const auto v4 = [](const Bytes& from, const Bytes& to) {
        const Ends ends{.source4 = from, .destination4 = to};
        return why(ipv4_frame(17, udp(1, 2, {}, ends), ends));
    };
    for (const Bytes& never : {Bytes{0, 0, 0, 0}, {0, 1, 2, 3}, {127, 0, 0, 1}, {240, 0, 0, 1}}) {
        EXPECT_EQ(v4(never, kIp4B), "bad_ip_address");
        EXPECT_EQ(v4(kIp4A, never), "bad_ip_address");
    }
    EXPECT_EQ(v4({224, 0, 0, 5}, kIp4B), "bad_ip_address");
    EXPECT_EQ(v4({255, 255, 255, 255}, kIp4B), "bad_ip_address");
    EXPECT_EQ(v4(kIp4A, kIp4A), "bad_ip_address");
    EXPECT_EQ(v4(kIp4A, {255, 255, 255, 255}), "none");
    EXPECT_EQ(v4({169, 254, 1, 1}, kIp4B), "none");
    const auto v6 = [](const Bytes& from, const Bytes& to) {
        const Ends ends{.source6 = from, .destination6 = to};
        return why(ipv6_frame(17, udp(1, 2, {}, ends, true), ends));
    };
    const Bytes loopback = Bytes(15) + Bytes{1};
    const Bytes mapped = Bytes(10) + Bytes{0xff, 0xff, 10, 0, 0, 1};
    for (const Bytes& never : {Bytes(16), loopback, mapped}) {
        EXPECT_EQ(v6(never, kIp6B), "bad_ip_address");
        EXPECT_EQ(v6(kIp6A, never), "bad_ip_address");
    }
    EXPECT_EQ(v6(Bytes{0xff, 2} + Bytes(13) + Bytes{1}, kIp6B), "bad_ip_address");
    EXPECT_EQ(v6(kIp6A, kIp6A), "bad_ip_address");
}

/// What follows the head of a client's first message comes from 0.0.0.0, too.
TEST(ParseMalformed, FragmentsFromNobody) {
    const Ends nobody{.source4 = Bytes(4)};
    EXPECT_EQ(why(ipv4_frame(17, Bytes(16), nobody, {.fragment = 2})), "none");
    EXPECT_EQ(why(ipv4_frame(6, Bytes(16), nobody, {.fragment = 2})), "bad_ip_address");
    EXPECT_EQ(why(ipv4_frame(17, udp(1, 2, Bytes(8), nobody), nobody, {.fragment = 0x2000})),
              "bad_ip_address");
}

TEST(ParseMalformed, ChecksumOfDhcp) {
    Bytes frame = ipv4_frame(17, udp(68, 67, Bytes(300)));
    EXPECT_EQ(why(frame), "none");
    frame.back() ^= 1U;
    EXPECT_EQ(why(frame), "bad_l4_checksum");
    put16(frame, 40, 0);
    EXPECT_EQ(why(frame), "none") << "none was sent";
}

TEST(ParseMalformed, Fragments) {
    const auto v4 = [](std::uint8_t protocol, const Bytes& payload, std::uint16_t field) {
        return why(ipv4_frame(protocol, payload, {}, {.fragment = field}));
    };
    EXPECT_EQ(v4(17, {}, 0x2000), "bad_fragment");                   // Empty.
    EXPECT_EQ(v4(17, udp(1, 2, Bytes(5)), 0x2000), "bad_fragment");  // No multiple of 8.
    EXPECT_EQ(v4(17, Bytes(100), 0x1ffd), "bad_fragment");           // Ends behind 65535.
    EXPECT_EQ(v4(6, Bytes(12), 1), "bad_fragment");                  // RFC 3128.
    EXPECT_EQ(v4(6, Bytes(8), 0x2000), "bad_fragment");              // RFC 1858.
    EXPECT_EQ(v4(6, Bytes(16), 0x2000), "bad_fragment");
    EXPECT_EQ(v4(17, udp(1, 2, {}), 0x2000), "bad_fragment");   // Nothing but the header.
    EXPECT_EQ(v4(17, udp(68, 67, Bytes(24)), 0x2000), "none");  // Gathered.
    EXPECT_EQ(v4(1, icmp(3, 3, Bytes(28)), 0x2000), "none");
    EXPECT_EQ(v4(2, icmp(0x16, 0, Bytes(28)), 0x2000), "bad_fragment");  // Reports are not split,
    EXPECT_EQ(why(ipv6_frame(44, fragment_header(58, 0, true) + icmpv6(143, 0, Bytes(28)), {}, 1)),
              "bad_fragment");
    for (std::uint8_t type = 133; type <= 137; ++type) {  // nor is ND (RFC 6980).
        EXPECT_EQ(
            why(ipv6_frame(44, fragment_header(58, 0, true) + icmpv6(type, 0, Bytes(44)), {}, 255)),
            "bad_nd");
    }
    EXPECT_EQ(why(ipv6_frame(44, fragment_header(17, 65520, false) + Bytes(100))), "bad_fragment");
    EXPECT_EQ(why(ipv6_frame(44, fragment_header(60, 0, true) + Bytes{17, 1, 1, 4, 0, 0, 0, 0})),
              "bad_ip_header");
}

TEST(ParseMalformed, ChecksumOfWhatOpensOrCloses) {
    const auto broken = [](Bytes frame) {
        frame.back() ^= 0x40U;
        return why(frame);
    };
    for (const std::uint8_t flags : {kTcpSyn, kTcpRst}) {
        EXPECT_EQ(broken(ipv4_frame(6, tcp(flags, Bytes(4)))), "bad_l4_checksum");
    }
    EXPECT_EQ(broken(ipv6_frame(6, tcp(kTcpFin | kTcpAck, Bytes(5), {}, true))), "bad_l4_checksum");
    EXPECT_EQ(broken(ipv4_frame(6, tcp(kTcpAck, Bytes(4)))), "none");
    EXPECT_EQ(broken(ipv4_frame(1, icmp(8, 0))), "bad_l4_checksum");
    EXPECT_EQ(broken(ipv6_frame(58, icmpv6(128, 0))), "bad_l4_checksum");
    EXPECT_EQ(broken(ipv4_frame(2, icmp(0x16, 0))), "bad_l4_checksum");
}

}  // namespace
}  // namespace sluice::datapath::test
