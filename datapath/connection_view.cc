// SPDX-License-Identifier: Apache-2.0
// Connection view: a connection's record as slot 2 sees it, with the key of the packet that opened
// it. For first packets, copies of tracked flows, and the firewall log. Worker.
#include <utility>

#include "datapath/stages.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice::datapath {

FlowKey opener_key_of(const Connection& record) noexcept {
    const ConnectionTuple& tuple = record.tuple;
    const bool opener_is_a = (record.flags & kConnOpenerIsA) != 0;
    FlowKey key;
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
    return key;
}

void fill_view(WorkerContext& context, const Connection& record, ConnectionSide side,
               FlowKey& parent_key, ConnectionView& view) noexcept {
    view = ConnectionView{};
    view.side = side;
    view.opener_key = opener_key_of(record);
    view.opener_stateful = (record.flags & kConnOpenerStateful) != 0;
    view.responder_stateful = (record.flags & kConnResponderStateful) != 0;
    if ((record.flags & kConnRelated) != 0 &&
        context.connections.expectations().parent_of(view.opener_key, record.tuple.domain,
                                                     parent_key)) {
        view.parent_key = &parent_key;
    }
}

bool view_connection(WorkerContext& context, ConnectionHandle handle, ConnectionSide side,
                     FlowKey& parent_key, ConnectionView& view) noexcept {
    Connection record;
    if (!context.connections.snapshot(handle, record)) { return false; }
    fill_view(context, record, side, parent_key, view);
    return true;
}

}  // namespace sluice::datapath
