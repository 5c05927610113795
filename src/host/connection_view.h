// SPDX-License-Identifier: Apache-2.0
// ConnectionView: a connection as `show conns` and its filter see it: by its opener's first packet,
// and from one vNIC's side. Pure functions over a copied record, control thread.
#pragma once

#include <cstdint>
#include <string>

#include "sluice/iochain/connection.h"
#include "sluice/net/address.h"

namespace sluice::host {

struct ConnectionView {
    IpAddr source, destination;          ///< Of the opener's first packet.
    std::uint16_t source_port = 0;       ///< ICMP: the identifier. Host order.
    std::uint16_t destination_port = 0;  ///< ICMP: the type. Host order.
    PortIndex port = kNoPort;            ///< The vNIC from whose side it is seen.
    bool opened_by_port = false;         ///< That vNIC's VM opened it.
    RuleId rule;  ///< That vNIC's rule; the other side's where it was not judged there.
};

/// @param wanted  vNIC to look from; kNoPort: the opener if it is on this host, else the responder
[[nodiscard]] ConnectionView view_of(const Connection& connection, PortIndex wanted) noexcept;

/// "established", "one_way"
[[nodiscard]] const char* to_text(ConnectionState state) noexcept;
/// "tcp", "ip/47"
[[nodiscard]] std::string protocol_text(std::uint8_t protocol);

}  // namespace sluice::host
