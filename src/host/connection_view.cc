// SPDX-License-Identifier: Apache-2.0
// See connection_view.h.
#include "src/host/connection_view.h"

#include <algorithm>

namespace sluice::host {
namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIcmpV6 = 58;

IpAddr address(const std::uint8_t* wire, IpFamily family) noexcept {
    IpAddr ip;
    std::copy_n(wire, ip.bytes.size(), ip.bytes.begin());
    ip.family = family;
    return ip;
}

}  // namespace

ConnectionView view_of(const Connection& connection, PortIndex wanted) noexcept {
    const ConnectionTuple& t = connection.tuple;
    const bool opener_is_a = (connection.flags & kConnOpenerIsA) != 0;
    ConnectionView view;
    view.source = address(opener_is_a ? t.ip_a : t.ip_b, t.family);
    view.destination = address(opener_is_a ? t.ip_b : t.ip_a, t.family);
    view.source_port = opener_is_a ? t.port_a.host() : t.port_b.host();
    view.destination_port = opener_is_a ? t.port_b.host() : t.port_a.host();
    if (t.protocol == kIcmp || t.protocol == kIcmpV6) {
        view.destination_port = static_cast<std::uint16_t>(view.destination_port >> 8U);
    }
    view.opened_by_port =
        wanted == kNoPort ? connection.opener_port != kNoPort : connection.opener_port == wanted;
    view.port = view.opened_by_port ? connection.opener_port : connection.responder_port;
    const RuleId here = view.opened_by_port ? connection.opener_rule : connection.responder_rule;
    const RuleId there = view.opened_by_port ? connection.responder_rule : connection.opener_rule;
    view.rule = here.value != 0 ? here : there;
    return view;
}

const char* to_text(ConnectionState state) noexcept {
    switch (state) {
        case ConnectionState::kClosed: return "closed";
        case ConnectionState::kTcpSynSent: return "syn_sent";
        case ConnectionState::kTcpSynSent2: return "syn_sent2";
        case ConnectionState::kTcpSynReceived: return "syn_received";
        case ConnectionState::kTcpEstablished: return "established";
        case ConnectionState::kTcpFinWait: return "fin_wait";
        case ConnectionState::kTcpCloseWait: return "close_wait";
        case ConnectionState::kTcpLastAck: return "last_ack";
        case ConnectionState::kTcpTimeWait: return "time_wait";
        case ConnectionState::kTcpClose: return "close";
        case ConnectionState::kUdpOneWay:
        case ConnectionState::kIcmpOneWay:
        case ConnectionState::kOtherOneWay: return "one_way";
        case ConnectionState::kUdpTwoWay:
        case ConnectionState::kIcmpTwoWay:
        case ConnectionState::kOtherTwoWay: return "two_way";
    }
    return "closed";
}

std::string protocol_text(std::uint8_t protocol) {
    switch (protocol) {
        case 6: return "tcp";
        case 17: return "udp";
        case 132: return "sctp";
        case kIcmp: return "icmp";
        case kIcmpV6: return "icmpv6";
        default: return "ip/" + std::to_string(protocol);
    }
}

}  // namespace sluice::host
