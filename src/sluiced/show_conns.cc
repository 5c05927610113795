// SPDX-License-Identifier: Apache-2.0
// show conns, flush conns. The table is read in slices, with a breath of the control loop between
// them.
#include <ctime>

#include "sluice/net/address_text.h"
#include "src/sluiced/show_service.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

constexpr std::uint32_t kSlice = 16384;
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIcmpV6 = 58;

std::uint64_t monotonic_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

const char* state_text(ConnectionState state) {
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

IpAddr address(const std::uint8_t* wire, IpFamily family) {
    IpAddr ip;
    std::copy_n(wire, ip.bytes.size(), ip.bytes.begin());
    ip.family = family;
    return ip;
}

// As the opener's first packet had it. ICMP: sport is the identifier, dport the type.
json endpoints(const Connection& c) {
    const bool opener_is_a = (c.flags & kConnOpenerIsA) != 0;
    const ConnectionTuple& t = c.tuple;
    std::uint16_t sport = opener_is_a ? t.port_a.host() : t.port_b.host();
    std::uint16_t dport = opener_is_a ? t.port_b.host() : t.port_a.host();
    if (t.protocol == kIcmp || t.protocol == kIcmpV6) {
        dport = static_cast<std::uint16_t>(dport >> 8U);
    }
    return {{"src", to_string(address(opener_is_a ? t.ip_a : t.ip_b, t.family))},
            {"sport", sport},
            {"dst", to_string(address(opener_is_a ? t.ip_b : t.ip_a, t.family))},
            {"dport", dport}};
}

}  // namespace

AnswerLater ShowService::conns(std::string port, std::uint64_t limit, std::uint64_t offset) {
    co_await fold();
    PortIndex wanted = kNoPort;
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        wanted = index.value();
    }
    const std::uint64_t now = monotonic_ns();
    json rows = json::array();
    std::uint64_t seen = 0;
    for (std::uint32_t at = 0; at < dataplane_.connections().used_count() && rows.size() < limit;
         at += kSlice) {
        dataplane_.connections().for_each(at, kSlice, now, [&](const Connection& c) {
            if (wanted != kNoPort && c.opener_port != wanted && c.responder_port != wanted) {
                return;
            }
            if (seen++ < offset || rows.size() >= limit) { return; }
            const bool by_opener =
                wanted == kNoPort ? c.opener_port != kNoPort : c.opener_port == wanted;
            json row = endpoints(c);
            row["port"] = name_of(by_opener ? c.opener_port : c.responder_port);
            row["proto"] = protocol_text(c.tuple.protocol);
            row["initiator"] = by_opener ? "out" : "in";
            row["state"] = state_text(c.state);
            const RuleId rule = by_opener ? c.opener_rule : c.responder_rule;
            row["rule"] =
                rule_text(rule.value != 0 ? rule : (by_opener ? c.responder_rule : c.opener_rule));
            row["packets"] = c.packets;
            row["bytes"] = c.bytes;
            row["expires_s"] = (c.expires_ns - now) / 1000000000U;
            rows.push_back(std::move(row));
        });
        co_await wait_until([first = true]() mutable { return !std::exchange(first, false); });
    }
    co_return rows;
}

AnswerLater ShowService::flush_conns(std::string port) {
    PortIndex wanted = kNoPort;
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        wanted = index.value();
    }
    // Fragments and stale programs go with them.
    co_await run_on_workers<datapath::FlushFlows>(dataplane_);
    datapath::FlushConnections flush(wanted);
    co_await run_on_worker(dataplane_, 0, flush);
    co_return json{{"removed", flush.removed}};
}

}  // namespace sluice::daemon
