// SPDX-License-Identifier: Apache-2.0
// See frame_text.h. Headers only, outermost first; what is cut off reads "truncated".
#include "frame_text.h"

#include <arpa/inet.h>

#include <array>
#include <cstdio>
#include <string_view>

namespace sluice::cli {
namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr const char* kTruncated = "truncated";
constexpr unsigned kMacSize = 6;

unsigned be16(Bytes bytes, std::size_t at) {
    return static_cast<unsigned>(bytes[at]) << 8U | bytes[at + 1];
}

std::string mac_text(Bytes mac) {
    std::array<char, 18> text{};
    std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                  mac[3], mac[4], mac[5]);
    return text.data();
}

std::string address_text(int family, Bytes address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return inet_ntop(family, address.data(), text.data(), text.size()) != nullptr ? text.data()
                                                                                  : "";
}

std::string tcp_text(Bytes l4) {
    if (l4.size() < 14) { return std::string("TCP ") + kTruncated; }
    constexpr std::string_view kFlags = "FSRP.UEW";
    std::string flags;
    for (unsigned i = 0; i < kFlags.size(); ++i) {
        if ((l4[13] >> i & 1U) != 0) { flags += kFlags[i]; }
    }
    return "TCP " + (flags.empty() ? "none" : flags);
}

// What follows the IP header, and the ports that go behind the addresses.
struct Transport {
    std::string source_port, destination_port, text;
};

Transport transport(unsigned protocol, Bytes l4) {
    Transport out;
    const bool has_ports =
        protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
    if (has_ports && l4.size() >= 4) {
        out.source_port = "." + std::to_string(be16(l4, 0));
        out.destination_port = "." + std::to_string(be16(l4, 2));
    }
    switch (protocol) {
        case IPPROTO_TCP: out.text = tcp_text(l4); break;
        case IPPROTO_UDP: out.text = "UDP"; break;
        case IPPROTO_SCTP: out.text = "SCTP"; break;
        case IPPROTO_ICMP:
        case IPPROTO_ICMPV6:
            out.text = protocol == IPPROTO_ICMP ? "ICMP " : "ICMPv6 ";
            out.text += l4.size() < 2
                            ? kTruncated
                            : "type " + std::to_string(l4[0]) + " code " + std::to_string(l4[1]);
            break;
        default: out.text = "IP protocol " + std::to_string(protocol); break;
    }
    return out;
}

std::string conversation(const std::string& source, const std::string& destination,
                         const Transport& l4) {
    return source + l4.source_port + " > " + destination + l4.destination_port + ": " + l4.text;
}

std::string ipv4_text(Bytes ip) {
    if (ip.size() < 20) { return std::string("IPv4 ") + kTruncated; }
    const std::size_t header = (ip[0] & 15U) * 4U;
    const unsigned fragment = be16(ip, 6) & 0x1fffU;
    const Bytes l4 = header >= 20 && header <= ip.size() ? ip.subspan(header) : Bytes{};
    Transport what = transport(ip[9], fragment == 0 ? l4 : Bytes{});
    if ((be16(ip, 6) & 0x3fffU) != 0) {
        what.text = "fragment of " + what.text.substr(0, what.text.find(' ')) + " at " +
                    std::to_string(fragment * 8);
    }
    return conversation(address_text(AF_INET, ip.subspan(12, 4)),
                        address_text(AF_INET, ip.subspan(16, 4)), what);
}

std::string ipv6_text(Bytes ip) {
    if (ip.size() < 40) { return std::string("IPv6 ") + kTruncated; }
    return conversation(address_text(AF_INET6, ip.subspan(8, 16)),
                        address_text(AF_INET6, ip.subspan(24, 16)),
                        transport(ip[6], ip.subspan(40)));
}

std::string arp_text(Bytes arp) {
    if (arp.size() < 28) { return std::string("ARP ") + kTruncated; }
    const std::string sender = address_text(AF_INET, arp.subspan(14, 4));
    const std::string target = address_text(AF_INET, arp.subspan(24, 4));
    if (be16(arp, 6) == 1) { return "ARP who has " + target + " tell " + sender; }
    return "ARP " + sender + " is at " + mac_text(arp.subspan(8, kMacSize));
}

}  // namespace

std::string frame_text(Bytes frame) {
    constexpr std::size_t kEthernetSize = 14, kTagSize = 4;
    if (frame.size() < kEthernetSize) { return std::string("Ethernet ") + kTruncated; }
    std::size_t at = kEthernetSize;
    unsigned type = be16(frame, 12);
    std::string prefix;
    if (type == 0x8100 && frame.size() >= at + kTagSize) {
        prefix = "vlan " + std::to_string(be16(frame, 14) & 0xfffU) + ", ";
        type = be16(frame, 16);
        at += kTagSize;
    }
    const Bytes rest = frame.subspan(at);
    if (type == 0x0800) { return prefix + ipv4_text(rest); }
    if (type == 0x86dd) { return prefix + ipv6_text(rest); }
    if (type == 0x0806) { return prefix + arp_text(rest); }
    std::array<char, 16> ethertype{};
    std::snprintf(ethertype.data(), ethertype.size(), "0x%04x", type);
    return prefix + mac_text(frame.subspan(kMacSize, kMacSize)) + " > " +
           mac_text(frame.first(kMacSize)) + ": ethertype " + ethertype.data();
}

}  // namespace sluice::cli
