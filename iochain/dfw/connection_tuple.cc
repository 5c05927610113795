// SPDX-License-Identifier: Apache-2.0
// tuple_of(): the identity of a connection from the flow key of either direction. Called for first
// packets, by any worker. Pure.
#include <cstring>

#include "sluice/iochain/connection_table.h"

namespace sluice {
namespace {

constexpr std::uint8_t kProtocolIcmp = 1;
constexpr std::uint8_t kProtocolIcmp6 = 58;

enum class QueryRole : std::uint8_t { kNone, kRequest, kReply };

struct Query {
    QueryRole role = QueryRole::kNone;
    std::uint8_t request_type = 0;
};

// Queries of ICMP (RFC 792, RFC 950) and ICMPv6 (RFC 4443 §4) that a host answers.
Query query_of(std::uint8_t protocol, std::uint8_t type) noexcept {
    if (protocol == kProtocolIcmp6) {
        if (type == 128) { return {QueryRole::kRequest, 128}; }
        if (type == 129) { return {QueryRole::kReply, 128}; }
        return {};
    }
    switch (type) {
        case 8: return {QueryRole::kRequest, 8};
        case 0: return {QueryRole::kReply, 8};
        case 13:
        case 15:
        case 17: return {QueryRole::kRequest, type};
        case 14:
        case 16:
        case 18: return {QueryRole::kReply, static_cast<std::uint8_t>(type - 1U)};
        default: return {};
    }
}

void set_endpoints(TupleOfFrame& out, const FlowKey& key, bool source_is_a) noexcept {
    std::memcpy(out.tuple.ip_a, source_is_a ? key.source_ip : key.destination_ip, 16);
    std::memcpy(out.tuple.ip_b, source_is_a ? key.destination_ip : key.source_ip, 16);
    out.from_a = source_is_a;
}

void set_query(TupleOfFrame& out, const FlowKey& key) noexcept {
    const std::uint16_t type_code = key.source_port.host();
    const auto type = static_cast<std::uint8_t>(type_code >> 8U);
    const Query query = query_of(key.protocol, type);
    const auto code = static_cast<std::uint16_t>(type_code & 0xffU);
    const std::uint8_t request = query.role == QueryRole::kNone ? type : query.request_type;
    set_endpoints(out, key, query.role != QueryRole::kReply);
    out.tuple.port_a = key.destination_port;
    out.tuple.port_b = Be16::from_host(static_cast<std::uint16_t>(request << 8U | code));
    out.may_open = query.role == QueryRole::kRequest;
}

bool source_is_smaller(const FlowKey& key, bool ports) noexcept {
    const int order = std::memcmp(key.source_ip, key.destination_ip, 16);
    if (order != 0 || !ports) { return order <= 0; }
    return key.source_port.host() <= key.destination_port.host();
}

}  // namespace

TupleOfFrame tuple_of(const FlowKey& key, DomainId domain) noexcept {
    TupleOfFrame out;
    out.tuple.domain = domain;
    out.tuple.protocol = key.protocol;
    out.tuple.family = key.family();
    if (key.protocol == (key.has(kKeyIpv4) ? kProtocolIcmp : kProtocolIcmp6)) {
        set_query(out, key);
        return out;
    }
    const bool ports = key.has(kKeyPorts);
    set_endpoints(out, key, source_is_smaller(key, ports));
    if (ports) {
        out.tuple.port_a = out.from_a ? key.source_port : key.destination_port;
        out.tuple.port_b = out.from_a ? key.destination_port : key.source_port;
    }
    out.may_open = true;
    return out;
}

}  // namespace sluice
