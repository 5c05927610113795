// SPDX-License-Identifier: Apache-2.0
// Nsh: see nsh.h. Sending is asked by redirect.cc; what comes in ends here (Ending::kNsh): from a
// leg of a service that speaks it, from the host of a service that this one uses, or from a host
// that uses one of ours (service_proxy.cc).
#include "datapath/nsh.h"

#include <rte_mbuf.h>

#include "datapath/finish_whole.h"
#include "datapath/nsh_header.h"
#include "datapath/packet_writer.h"
#include "datapath/service_health.h"
#include "datapath/service_proxy.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kIndexMax = 254;  // Behind one service at least: it counts down (§2.3).
constexpr std::uint16_t kVidMax = 4094;

// A service wants to see no more of a connection. The handle came through it, and need not be true.
void bypass(WorkerContext& context, std::uint16_t instance, ConnectionHandle handle) noexcept {
    Connection record;
    if (handle.is_set() && handle.index < context.pins.capacity() &&
        context.connections.snapshot(handle, record) && record.redirected != 0 &&
        is_pinned(context, handle, instance)) {
        bypass_services(context, handle);
    }
}

void take_back(WorkerContext& context, rte_mbuf* frame, const NshHeader& header,
               std::uint16_t instance, std::uint32_t tunnel) noexcept {
    const std::uint16_t vid = header.what.service_vid;
    if (vid == 0 || vid > kVidMax || header.what.index > kIndexMax) {
        return drop(context, frame, DropReason::kBadNsh);
    }
    if (header.what.bypasses_rest) { bypass(context, instance, header.what.connection); }
    open_envelope(context, frame, vid, tunnel);
}

void end_from_leg(WorkerContext& context, rte_mbuf* frame, NshHeader& header,
                  std::uint16_t instance) noexcept {
    if (header.what.path != context.snapshot->service_instances[instance].path) {
        return drop(context, frame, DropReason::kBadNsh);
    }
    if (header.is_oam) {
        if (take_heartbeat(context, frame, kNshEnvelope, 0)) { return; }
        return drop(context, frame, DropReason::kBadNsh);
    }
    if (header.origin != 0) { return hand_back(context, frame, header, instance); }
    take_back(context, frame, header, instance, 0);
}

// By the VNI of a service path, from host `remote`.
void end_from_host(WorkerContext& context, rte_mbuf* frame, NshHeader& header,
                   const FlowKey& key) noexcept {
    const std::uint32_t vni = key.tunnel >> 8U;
    const std::uint16_t remote = key.vlan;
    const std::uint16_t instance = context.service_paths.find(context, header.what.path, vni);
    const auto& all = context.snapshot->service_instances;
    const bool is_here = instance != kNoService && all[instance].in != kNoPort;
    if (instance == kNoService || (!is_here && all[instance].remote != remote)) {
        return drop(context, frame, DropReason::kBadNsh);
    }
    if (header.is_oam && is_here) {
        if (!answer_heartbeat(context, *frame, kNshEnvelope, instance)) {
            return drop(context, frame, DropReason::kBadNsh);
        }
        set_tunnel_mark(*frame, {vni, remote});
        return output(context, frame, key.port);
    }
    if (header.is_oam) {
        if (take_heartbeat(context, frame, kNshEnvelope, remote)) { return; }
        return drop(context, frame, DropReason::kBadNsh);
    }
    if (!is_here) {
        return take_back(context, frame, header, instance,
                         std::uint32_t{instance} << 8U | kTunnelled);
    }
    if (header.ttl == 1) { return drop(context, frame, DropReason::kBadNsh); }
    serve_host(context, frame, header, instance, remote);
}

}  // namespace

void open_envelope(WorkerContext& context, rte_mbuf* frame, std::uint16_t service_vid,
                   std::uint32_t tunnel) noexcept {
    rte_pktmbuf_adj(frame, kNshEnvelope);
    frame->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    frame->tx_offload = 0;
    if (!run_vlan_step(*frame, static_cast<std::uint16_t>(Steps::kVlanPush | service_vid))) {
        return drop(context, frame, DropReason::kNoBuffer);
    }
    run_returned(context, frame, tunnel);
}

void end_nsh(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const PortConfig& in = *context.snapshot->port(key.port);
    const bool is_leg = in.vtep == kNoVtep;
    if (is_leg && key.has(kKeyTagged)) { return hand_back_plain(context, packet, in.leg_of); }
    rte_mbuf* frame = packet.mbuf;
    auto header = read_nsh({rte_pktmbuf_mtod(frame, const std::uint8_t*), frame->data_len});
    if (!header) { return drop(context, frame, DropReason::kBadNsh); }
    is_leg ? end_from_leg(context, frame, *header, in.leg_of)
           : end_from_host(context, frame, *header, key);
}

void send_in_nsh(WorkerContext& context, rte_mbuf* frame, std::uint16_t instance,
                 const NshContext& what) noexcept {
    const ServiceInstanceConfig& config = context.snapshot->service_instances[instance];
    const unsigned leg = what.side == ConnectionSide::kOpener ? 0U : 1U;
    const bool is_elsewhere = config.remote != 0;
    ServiceWay way;
    if (is_elsewhere) { way = context.service_paths.way(context, instance, config.remote); }
    const PortIndex egress = is_elsewhere ? way.vtep : (leg == 0 ? config.in : config.out);
    if (egress == kNoPort) { return drop(context, frame, DropReason::kTunnelDown); }
    NshHeader header;
    header.what = what;
    header.what.path = config.path;
    header.source = service_mac(config.path, leg);
    header.destination = service_mac(config.path, leg ^ 1U);
    finish_whole(context, frame, [&](rte_mbuf* whole) {
        auto* room = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(whole, kNshEnvelope));
        if (room == nullptr) { return drop(context, whole, DropReason::kNoBuffer); }
        write_nsh(room, header);
        whole->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
        if (is_elsewhere) {
            set_tunnel_mark(*whole, {context.snapshot->domains[way.domain].vni, config.remote});
        }
        output(context, whole, egress);
    });
}

}  // namespace sluice::datapath
