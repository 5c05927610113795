// SPDX-License-Identifier: Apache-2.0
// From a flow's key to what rules match on. Workers, for the first packet of a flow.
#pragma once

#include "iochain/dfw/rule_table.h"
#include "sluice/iochain/flow_key.h"

namespace sluice::iochain {

/// @param family  of the packet (the opener's key of a connection carries none)
/// @param holders  of the addresses of `key`
[[nodiscard]] inline FlowQuery query_of(const FlowKey& key, IpFamily family,
                                        const AddressHolders& holders) noexcept {
    return {key.source_ip,          key.destination_ip,          family, key.protocol,
            key.source_port.host(), key.destination_port.host(), holders};
}

/// What answers an ICMP or ICMPv6 query, and the other way round; other types are their own answer.
[[nodiscard]] constexpr std::uint8_t answering_type(std::uint8_t protocol,
                                                    std::uint8_t type) noexcept {
    if (protocol == model::kProtocolIcmpv6) {
        return type == 128 || type == 129 ? static_cast<std::uint8_t>(type ^ 1U) : type;
    }
    if (type == 0 || type == 8) { return static_cast<std::uint8_t>(type ^ 8U); }
    if (type < 13 || type > 18) { return type; }
    return static_cast<std::uint8_t>(type % 2 == 1 ? type + 1U : type - 1U);
}

/// The key that answers `key`.
[[nodiscard]] inline FlowQuery turned_query_of(const FlowKey& key,
                                               const AddressHolders& holders) noexcept {
    FlowQuery query{
        key.destination_ip,          key.source_ip,          key.family(),    key.protocol,
        key.destination_port.host(), key.source_port.host(), holders.turned()};
    if (key.protocol == model::kProtocolIcmp || key.protocol == model::kProtocolIcmpv6) {
        const std::uint16_t type_code = key.source_port.host();
        const std::uint8_t type =
            answering_type(key.protocol, static_cast<std::uint8_t>(type_code >> 8U));
        query.source_port = static_cast<std::uint16_t>(type << 8U | (type_code & 0xffU));
    }
    return query;
}

}  // namespace sluice::iochain
