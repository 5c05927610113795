// SPDX-License-Identifier: Apache-2.0
// The catalogue of valid frames; see parse_frames.h.
#include "parse_frames.h"

namespace sluice::datapath::test {

std::vector<NamedFrame> valid_frames() {
    const Bytes text = {'s', 'l', 'u', 'i', 'c', 'e', '!', '.', '.'};
    const Ends tagged{.vlan = 101};
    const Bytes options = {7, 7, 4, 0, 0, 0, 0, 0};         // Record route, end.
    const Bytes tcp_options = {2, 4, 5, 0xb4, 1, 3, 3, 7};  // MSS, NOP, window scale.
    const Bytes hop_by_hop = {58, 0, 5, 2, 0, 0, 1, 0};     // Router alert, PadN.
    const Bytes destination_options = {6, 0, 1, 4, 0, 0, 0, 0};
    const Bytes ah = Bytes{6, 4} + Bytes(22);
    const Bytes srh = {17, 2, 4, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8,
                       0,  2, 0, 0, 0, 0, 0, 0, 0,    0, 0,   0x0b};
    const Ends dad{.source6 = Bytes(16),
                   .destination6 = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x0a}};
    const Ends dhcp{
        .destination_mac = Bytes(6, 0xff), .source4 = Bytes(4), .destination4 = Bytes(4, 0xff)};
    const Ends mdns{.destination_mac = {1, 0, 0x5e, 0, 0, 0xfb}, .destination4 = {224, 0, 0, 251}};
    const Bytes target = Bytes(4) + kIp6A;
    return {
        {"tcp4", ipv4_frame(6, tcp(kTcpAck, text))},
        {"tcp4 padded", ipv4_frame(6, tcp(kTcpAck)) + Bytes(6)},
        {"tcp4 tagged", ipv4_frame(6, tcp(kTcpAck | kTcpPsh, text), tagged)},
        {"tcp4 syn", ipv4_frame(6, tcp(kTcpSyn, {}, {}, false, tcp_options))},
        {"tcp4 fin", ipv4_frame(6, tcp(kTcpFin | kTcpAck))},
        {"tcp4 rst", ipv4_frame(6, tcp(kTcpRst))},
        {"tcp4 ip options", ipv4_frame(6, tcp(kTcpAck, text), {}, {.options = options})},
        {"udp4", ipv4_frame(17, udp(5000, 53, text))},
        {"udp4 empty", ipv4_frame(17, udp(5000, 53, {}))},
        {"udp4 multicast", ipv4_frame(17, udp(5353, 5353, text, mdns), mdns)},
        {"sctp4", ipv4_frame(132, {0x10, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4})},
        {"icmp echo", ipv4_frame(1, icmp(8, 0))},
        {"icmp error", ipv4_frame(1, icmp(3, 3, Bytes(4) + ipv4_packet(17, udp(1, 2, {}))))},
        {"igmp", ipv4_frame(2, icmp(0x16, 0, {224, 1, 2, 3}))},
        {"gre", ipv4_frame(47, {0, 0, 8, 0, 1, 2, 3})},
        {"dhcp", ipv4_frame(17, udp(68, 67, Bytes(40), dhcp), dhcp)},
        {"head4", ipv4_frame(17, udp(5000, 53, Bytes(24)), {}, {.fragment = 0x2000})},
        {"later4", ipv4_frame(17, text, {}, {.fragment = 4})},
        {"tcp6", ipv6_frame(6, tcp(kTcpAck, text, {}, true))},
        {"tcp6 tagged", ethernet(0x86dd, ipv6_packet(6, tcp(kTcpAck, text, {}, true)), tagged)},
        {"tcp6 destination options",
         ipv6_frame(60, destination_options + tcp(kTcpSyn, {}, {}, true))},
        {"tcp6 ah", ipv6_frame(51, ah + tcp(kTcpAck, {}, {}, true))},
        {"udp6", ipv6_frame(17, udp(5000, 53, text, {}, true))},
        {"udp6 srh", ipv6_frame(43, srh + udp(5000, 53, text, {}, true))},
        {"udp6 atomic",
         ipv6_frame(44, fragment_header(17, 0, false) + udp(5000, 53, text, {}, true))},
        {"head6",
         ipv6_frame(44, fragment_header(17, 0, true) + udp(5000, 53, Bytes(24), {}, true))},
        {"later6", ipv6_frame(44, fragment_header(17, 32, false) + text)},
        {"icmpv6 echo", ipv6_frame(58, icmpv6(128, 0))},
        {"icmpv6 error",
         ipv6_frame(58, icmpv6(1, 0, Bytes(4) + ipv6_packet(17, udp(1, 2, {}, {}, true))))},
        {"mld", ipv6_frame(0, hop_by_hop + icmpv6(143, 0), {}, 1)},
        {"nd ns",
         ipv6_frame(58, icmpv6(135, 0, target + Bytes{1, 1, 2, 0, 0, 0, 0, 0x0a}), {}, 255)},
        {"nd dad", ipv6_frame(58, icmpv6(135, 0, target, dad), dad, 255)},
        {"dhcp6", ipv6_frame(17, udp(546, 547, text, {}, true))},
        {"esp6", ipv6_frame(50, Bytes(24))},
        {"no next header", ipv6_frame(59, {})},
        {"arp", ethernet(0x0806, Bytes(28))},
        {"unknown", ethernet(0x88b5, Bytes(46))},
        {"lldp", ethernet(0x88cc, Bytes(46))},
        {"bpdu", ethernet(38, Bytes(46), {.destination_mac = {1, 0x80, 0xc2, 0, 0, 0}})},
    };
}

}  // namespace sluice::datapath::test
