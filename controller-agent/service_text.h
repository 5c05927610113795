// SPDX-License-Identifier: Apache-2.0
// Text forms of the small values in rules and port groups: services ("tcp/80-90",
// "udp/53:1024-65535", "icmp/8/0", "ip/47"), VLAN ranges ("1-100"), MAC matches ("MAC/MASK"), TCP
// flags ("syn,!ack").
// Strict, and what is printed parses back to the same value. Any thread, pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sluice/model/acl.h"
#include "sluice/model/service.h"
#include "sluice/model/vlan.h"

namespace sluice::agent {

/// A whole decimal number 0..max without sign or leading zero.
[[nodiscard]] std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t max);

/// One item of `services` but `any`: tcp, udp, sctp, icmp, icmpv6, PROTO/PORT[-PORT],
/// PROTO/DST:SRC, icmp/TYPE[/CODE], ip/PROTOCOL. nullopt if it is none of these or a range runs
/// backwards.
[[nodiscard]] std::optional<model::Service> parse_service(std::string_view text);
[[nodiscard]] std::string to_text(const model::Service& service);

/// "10" or "1-100", 1..4094, forwards.
[[nodiscard]] std::optional<model::VlanRange> parse_vlan_range(std::string_view text);
[[nodiscard]] std::string to_text(const model::VlanRange& range);

/// "MAC" or "MAC/MASK". nullopt also if MAC has bits outside MASK.
[[nodiscard]] std::optional<model::MacMatch> parse_mac_match(std::string_view text);
[[nodiscard]] std::string to_text(const model::MacMatch& match);

/// "syn,!ack": flags that are set, and with ! flags that are not; fin, syn, rst, psh, ack, urg,
/// ece, cwr, each once at most. nullopt if it is empty or none of these.
[[nodiscard]] std::optional<model::TcpFlagsMatch> parse_tcp_flags(std::string_view text);
[[nodiscard]] std::string to_text(const model::TcpFlagsMatch& match);

/// "0x0800": 0x and one to four hex digits, 0x0600..0xffff (IEEE 802.3 §3.2.6).
[[nodiscard]] std::optional<std::uint16_t> parse_ethertype(std::string_view text);
[[nodiscard]] std::string ethertype_text(std::uint16_t ethertype);

}  // namespace sluice::agent
