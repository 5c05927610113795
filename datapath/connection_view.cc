// SPDX-License-Identifier: Apache-2.0
// Connection view: a connection's record as slot 2 sees it, with the key of the packet that opened
// it. For first packets, copies of tracked flows, and the firewall log. Worker.
#include <utility>

#include "datapath/stages.h"

namespace sluice::datapath {

void fill_view(const Connection& record, ConnectionSide side, ConnectionView& view) noexcept {
    const ConnectionTuple& tuple = record.tuple;
    const std::uint8_t flags = record.flags;
    const bool opener_is_a = (flags & kConnOpenerIsA) != 0;
    view = ConnectionView{};
    view.side = side;
    view.opener_stateful = (flags & kConnOpenerStateful) != 0;
    view.responder_stateful = (flags & kConnResponderStateful) != 0;
    FlowKey& key = view.opener_key;
    __builtin_memcpy(key.source_ip, opener_is_a ? tuple.ip_a : tuple.ip_b, sizeof key.source_ip);
    __builtin_memcpy(key.destination_ip, opener_is_a ? tuple.ip_b : tuple.ip_a,
                     sizeof key.destination_ip);
    key.protocol = tuple.protocol;
    key.flags = static_cast<std::uint8_t>((tuple.family == IpFamily::kV4 ? kKeyIpv4 : kKeyIpv6) |
                                          kKeyPorts);
    key.source_port = opener_is_a ? tuple.port_a : tuple.port_b;
    key.destination_port = opener_is_a ? tuple.port_b : tuple.port_a;
    if (tuple.protocol == 1 ||
        tuple.protocol ==
            58) {  // A tuple holds (identifier, type); a key (type and code, identifier).
        std::swap(key.source_port, key.destination_port);
    }
}

bool view_connection(WorkerContext& context, ConnectionHandle handle, ConnectionSide side,
                     ConnectionView& view) noexcept {
    Connection record;
    if (!context.connections.snapshot(handle, record)) { return false; }
    fill_view(record, side, view);
    return true;
}

}  // namespace sluice::datapath
