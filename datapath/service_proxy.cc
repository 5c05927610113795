// SPDX-License-Identifier: Apache-2.0
// Service proxy: see service_proxy.h.
#include "datapath/service_proxy.h"

#include <rte_mbuf.h>

#include "datapath/finish_whole.h"
#include "datapath/packet_writer.h"
#include "datapath/service_health.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

const ServiceInstanceConfig& config_of(const WorkerContext& context,
                                       std::uint16_t instance) noexcept {
    return context.snapshot->service_instances[instance];
}

void count_served(WorkerContext& context, std::uint16_t instance, const rte_mbuf& frame) noexcept {
    context.service_counters[instance].sent_packets.add(1);
    context.service_counters[instance].sent_bytes.add(frame.pkt_len);
}

unsigned leg_of_side(ConnectionSide side) noexcept {
    return side == ConnectionSide::kOpener ? 0U : 1U;
}

void serve_plain(WorkerContext& context, rte_mbuf* frame, const NshHeader& header,
                 std::uint16_t instance, std::uint16_t origin) noexcept {
    const ServiceInstanceConfig& config = config_of(context, instance);
    const PortIndex leg = leg_of_side(header.what.side) == 0 ? config.in : config.out;
    const PortConfig* port = context.snapshot->port(leg);
    if (port == nullptr) { return drop(context, frame, DropReason::kPortDown); }
    const std::uint16_t tag = context.service_networks.tag_of(
        {origin, header.what.service_vid}, port->vlan.tagged_domains.get(),
        static_cast<std::uint32_t>(context.now_ns / kSecondNs));
    if (tag == 0) { return drop(context, frame, DropReason::kServiceProxyFull); }
    rte_pktmbuf_adj(frame, kNshEnvelope);
    if (!run_vlan_step(*frame, static_cast<std::uint16_t>(Steps::kVlanPush | tag))) {
        return drop(context, frame, DropReason::kNoBuffer);
    }
    count_served(context, instance, *frame);
    output(context, frame, leg);
}

// Puts an envelope on a frame that owes nothing, and sends it to a host.
void wrap_for(WorkerContext& context, rte_mbuf* frame, const NshHeader& header,
              const ServiceWay& way, std::uint16_t origin) noexcept {
    auto* room = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(frame, kNshEnvelope));
    if (room == nullptr) { return drop(context, frame, DropReason::kNoBuffer); }
    write_nsh(room, header);
    frame->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    set_tunnel_mark(*frame, {context.snapshot->domains[way.domain].vni, origin});
    output(context, frame, way.vtep);
}

}  // namespace

void serve_host(WorkerContext& context, rte_mbuf* frame, NshHeader& header, std::uint16_t instance,
                std::uint16_t origin) noexcept {
    const ServiceInstanceConfig& config = config_of(context, instance);
    if (config.encapsulation == model::Encapsulation::kPlain) {
        return serve_plain(context, frame, header, instance, origin);
    }
    const unsigned leg = leg_of_side(header.what.side);
    header.origin = origin;
    --header.ttl;
    header.source = service_mac(config.path, leg);
    header.destination = service_mac(config.path, leg ^ 1U);
    write_nsh(bytes_of(*frame), header);
    count_served(context, instance, *frame);
    output(context, frame, leg == 0 ? config.in : config.out);
}

void hand_back(WorkerContext& context, rte_mbuf* frame, NshHeader& header,
               std::uint16_t instance) noexcept {
    if (header.origin >= context.snapshot->remotes.size()) {
        return drop(context, frame, DropReason::kBadNsh);
    }
    const ServiceWay way = context.service_paths.way(context, instance, header.origin);
    if (way.vtep == kNoPort) { return drop(context, frame, DropReason::kNoUplink); }
    context.service_counters[instance].returned_packets.add(1);
    const std::uint16_t origin = header.origin;
    header.origin = 0;
    write_nsh(bytes_of(*frame), header);
    set_tunnel_mark(*frame, {context.snapshot->domains[way.domain].vni, origin});
    output(context, frame, way.vtep);
}

void hand_back_plain(WorkerContext& context, Packet& packet, std::uint16_t instance) noexcept {
    rte_mbuf* frame = packet.mbuf;
    const ServiceInstanceConfig& config = config_of(context, instance);
    const auto network = context.service_networks.find(packet.frame.key.vlan);
    if (!network || network->remote >= context.snapshot->remotes.size()) {
        return drop(context, frame, DropReason::kServiceReturn);
    }
    const ServiceWay way = context.service_paths.way(context, instance, network->remote);
    if (way.vtep == kNoPort) { return drop(context, frame, DropReason::kNoUplink); }
    const unsigned leg = packet.frame.key.port == config.out ? 0U : 1U;
    NshHeader header;
    header.what.path = config.path;
    header.what.index = 254;
    header.what.service_vid = network->vid;
    header.what.side = leg == 0 ? ConnectionSide::kOpener : ConnectionSide::kResponder;
    header.source = service_mac(config.path, leg ^ 1U);
    header.destination = service_mac(config.path, leg);
    if (!run_vlan_step(*frame, Steps::kVlanPop)) {
        return drop(context, frame, DropReason::kNoBuffer);
    }
    context.service_counters[instance].returned_packets.add(1);
    finish_whole(context, frame,
                 [&](rte_mbuf* whole) { wrap_for(context, whole, header, way, network->remote); });
}

}  // namespace sluice::datapath
