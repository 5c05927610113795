// SPDX-License-Identifier: Apache-2.0
// Tunnel, too big: a frame that is longer than the underlay carries, outer headers included, is
// never fragmented (RFC 7348 §4.3). The vNIC that sent it is told what would pass (RFC 1191 §4, RFC
// 8201), by its gateway if the packet was routed, else by the destination itself: the switch has no
// address of its own there. Worker that polls the VTEP's uplink.
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/icmp_error.h"
#include "datapath/parse.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

const RouterConfig* router_of(const Snapshot& snapshot, const MacAddr& pmac) noexcept {
    const auto at = std::find_if(snapshot.routers.begin(), snapshot.routers.end(),
                                 [&](const RouterConfig& router) { return router.pmac == pmac; });
    return at != snapshot.routers.end() ? &*at : nullptr;
}

// The gateway as the vNIC knows it; nullptr if that is not to be said from here.
const RouterAddress* gateway_of(const RouterConfig& router, const PortConfig& from,
                                IpFamily family) noexcept {
    const std::uint16_t index = from.vlan.untagged_domain;
    if (index == kNoDomain || from.vlan.is_trunk) { return nullptr; }
    for (const RouterInterface& interface : router.interfaces) {
        if (interface.domain_index != index) { continue; }
        for (const RouterAddress& address : interface.addresses) {
            if (address.ip.family == family) { return &address; }
        }
    }
    return nullptr;
}

void tell(WorkerContext& context, const rte_mbuf& frame, std::uint32_t mtu) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const PortIndex port{frame.port};
    const PortConfig* from = snapshot.port(port);
    if (from == nullptr || from->is_uplink) { return; }
    ParsedFrame parsed;
    parse_frame(rte_pktmbuf_mtod(&frame, const std::uint8_t*), frame.data_len, frame.pkt_len, port,
                parsed);
    if (parsed.frame_class == FrameClass::kBad) { return; }
    IcmpError error{IcmpErrorKind::kTooBig, parsed.key.destination_mac, parsed.key.destination(),
                    static_cast<std::uint16_t>(mtu)};
    if (const RouterConfig* router = router_of(snapshot, parsed.key.source_mac)) {
        const RouterAddress* gateway = gateway_of(*router, *from, parsed.key.family());
        if (gateway == nullptr) { return; }
        error.from_mac = router->vmac;
        error.from_ip = gateway->ip;
        parsed.key.source_mac = from->mac;
    }
    tell_sender(context, frame, parsed, error);
}

}  // namespace

void refuse_too_big(WorkerContext& context, rte_mbuf* frame, PortIndex egress,
                    std::uint32_t mtu) noexcept {
    tell(context, *frame, mtu);
    drop_towards(context, frame, egress, DropReason::kTooBig);
}

}  // namespace sluice::datapath
