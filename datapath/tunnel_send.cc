// SPDX-License-Identifier: Apache-2.0
// Tunnel, sending: frames that wait for a VTEP's port are made whole (large TCP cut, checksums
// finished), get outer headers (RFC 7348 §5) and wait for the VTEP's uplink. The headers come from
// a template a remote VTEP (tunnel_table.h); a frame changes lengths, the IPv4 checksum, DSCP and
// ECN (RFC 6040 §4.1: copied), the source port and the VNI. UDP's checksum is zero (RFC 7348 §5,
// RFC 6935): the inner packet has its own. What is to be sealed is made whole first, sealed in
// batches (seal_queue.h) and comes here again. Called by output, on the worker that polls the
// uplink.
#include <rte_mbuf.h>

#include <array>
#include <cstring>

#include "datapath/limits.h"
#include "datapath/membership.h"
#include "datapath/offload.h"
#include "datapath/packet_writer.h"
#include "datapath/seal_queue.h"
#include "datapath/segment.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"
#include "datapath/underlay.h"

namespace sluice::datapath {
namespace {

// Of an IPv4 header, without what differs from frame to frame.
std::uint32_t sum_of_constants(const std::uint8_t* ip) noexcept {
    std::array<std::uint8_t, kIpv4Size> header;
    std::memcpy(header.data(), ip, header.size());
    header[1] = 0;
    store_be16(&header[2], 0);
    store_be16(&header[10], 0);
    return header_sum(header.data(), kIpv4Size);
}

void write_headers(TunnelWay& way, const VtepConfig& vtep, const IpAddr& to,
                   const MacAddr& next_hop) noexcept {
    way.uplink = vtep.uplink;
    way.is_v6 = vtep.ip.is_v6();
    std::uint8_t* at = way.headers.data();
    std::memcpy(at, next_hop.bytes.data(), 6);
    std::memcpy(at + 6, vtep.mac.bytes.data(), 6);
    at += 12;
    if (vtep.vlan != 0) {
        store_be16(at, kEtherVlan);
        store_be16(at + 2, vtep.vlan);
        at += kTagSize;
    }
    store_be16(at, way.is_v6 ? kEtherIpv6 : kEtherIpv4);
    at += 2;
    way.l3 = static_cast<std::uint8_t>(at - way.headers.data());
    write_ip(at, {vtep.ip, to, kProtocolUdp, kOwnHopLimit, 0, 0});
    way.ip_sum = sum_of_constants(at);
    at += ip_size_of(vtep.ip.family);
    std::memset(at, 0, kUdpSize + kVxlanSize);
    store_be16(at + 2, vtep.udp_port);
    way.size = static_cast<std::uint8_t>(at + kUdpSize + kVxlanSize - way.headers.data());
}

// Traffic class of an inner frame; 0 if it is no IP.
std::uint32_t class_of(const rte_mbuf& frame) noexcept {
    const auto* data = rte_pktmbuf_mtod(&frame, const std::uint8_t*);
    const std::uint16_t type = load_be16(data + 12);
    if (type == kEtherIpv4 && frame.data_len >= kEthernetSize + kIpv4Size) { return data[15]; }
    if (type == kEtherIpv6 && frame.data_len >= kEthernetSize + kIpv6Size) {
        return load_be16(data + kEthernetSize) >> 4U & 0xffU;
    }
    return 0;
}

// Sizes that are known make copies that are not calls.
void copy_headers(std::uint8_t* to, const TunnelWay& way) noexcept {
    constexpr std::uint32_t kPlainV4 = kEthernetSize + outer_ip_size(IpFamily::kV4);
    if (way.size == kPlainV4) [[likely]] {
        std::memcpy(to, way.headers.data(), kPlainV4);
    } else {
        std::memcpy(to, way.headers.data(), way.size);
    }
}

void finish_ipv4(std::uint8_t* ip, const TunnelWay& way, std::uint32_t size,
                 std::uint32_t traffic_class) noexcept {
    ip[1] = static_cast<std::uint8_t>(traffic_class);
    store_be16(ip + 2, size);
    std::uint32_t sum = way.ip_sum + (traffic_class << 8U) + load<std::uint16_t>(ip + 2);
    sum = (sum & 0xffffU) + (sum >> 16U);
    const auto inverted = static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
    std::memcpy(ip + 10, &inverted, sizeof inverted);
}

// The flow label is the flow's (RFC 6438 §3), as the source port is.
void finish_ipv6(std::uint8_t* ip, std::uint32_t size, std::uint32_t traffic_class,
                 std::uint32_t flow_hash) noexcept {
    store_be32(ip, 0x60000000U | traffic_class << 20U | (flow_hash & 0xfffffU));
    store_be16(ip + 4, size - kIpv6Size);
}

// Puts outer headers on a frame that owes nothing. False: no room.
bool wrap(rte_mbuf& frame, const TunnelWay& way, std::uint32_t vni) noexcept {
    const std::uint32_t traffic_class = class_of(frame);
    const std::uint32_t flow_hash = frame.hash.rss;
    auto* outer = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(&frame, way.size));
    if (outer == nullptr) [[unlikely]] { return false; }
    copy_headers(outer, way);
    std::uint8_t* ip = outer + way.l3;
    const std::uint32_t size = frame.pkt_len - way.l3;
    if (way.is_v6) {
        finish_ipv6(ip, size, traffic_class, flow_hash);
    } else {
        finish_ipv4(ip, way, size, traffic_class);
    }
    std::uint8_t* udp = outer + way.size - kVxlanSize - kUdpSize;
    store_be16(udp, vxlan_source_port(flow_hash));
    store_be16(udp + 4, size - (way.is_v6 ? kIpv6Size : kIpv4Size));
    const bool asks = (vni & kAskReplication) != 0;
    udp[kUdpSize] = asks ? kVxlanHasVni | kVxlanReplicate : kVxlanHasVni;
    store_be32(udp + kUdpSize + 4, vni << 8U);
    frame.ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    return true;
}

// What one tunnel's frames have in common.
struct Tunnel {
    WorkerContext& context;
    PortIndex port;  // The VTEP's.
    const TunnelWay& way;
    TunnelMark mark;
    SealQueue* seals = nullptr;  // What leaves goes there first.

    /// Bytes of the longest frame that may leave.
    [[nodiscard]] std::uint32_t most() const noexcept {
        const std::uint32_t plain = way.mtu - (way.size - way.l3);
        return seals == nullptr ? plain : kEthernetSize + mtu_unsealed(plain - kEthernetSize);
    }
    void drop(rte_mbuf* frame, DropReason reason) const noexcept {
        drop_towards(context, frame, port, reason);
    }
    void send(rte_mbuf* frame) const noexcept {
        if (seals != nullptr) [[unlikely]] { return seals->add(frame, mark); }
        if (context.capture.set != nullptr) [[unlikely]] {
            capture_sent(context, port, {&frame, 1});
        }
        PortCounters& counters = context.ports[port.value];
        counters.tx_packets.add(1);
        counters.tx_bytes.add(frame->pkt_len);
        if (!wrap(*frame, way, mark.vni)) [[unlikely]] {
            return drop(frame, DropReason::kNoBuffer);
        }
        output(context, frame, way.uplink);
    }
    void finish_and_send(rte_mbuf* frame) const noexcept {
        const Port& device = *context.snapshot->port(port)->device;
        const DropReason reason = finish_checksum(*frame, device);
        if (reason != DropReason::kNone) { return drop(frame, reason); }
        send(frame);
    }
};

[[gnu::noinline]] void send_cut(const Tunnel& tunnel, rte_mbuf* frame) noexcept {
    std::array<rte_mbuf*, kCutSegmentMax> segments;
    const std::size_t count = segment_count(*frame);
    if (count == 0 || count > kCutSegmentMax) {
        return tunnel.drop(frame, DropReason::kOffloadMissing);
    }
    if (count == 1) {
        forget_segmentation(*frame);
        return tunnel.finish_and_send(frame);
    }
    if (!segment(*frame, *tunnel.context.options.pool, 0, SegmentSum::kFull,
                 {segments.data(), count})) {
        return tunnel.drop(frame, DropReason::kNoBuffer);
    }
    tunnel.context.counters.created.add(count);
    consume(tunnel.context, frame);
    for (std::size_t i = 0; i < count; ++i) { tunnel.send(segments[i]); }
}

bool is_cut(const rte_mbuf& frame) noexcept {
    return (frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
}

// Too long for the underlay, or it owes an offload.
[[gnu::noinline]] void send_uncommon(const Tunnel& tunnel, rte_mbuf* frame) noexcept {
    const std::uint32_t most = tunnel.most();
    if (size_on_wire(*frame) > most) {
        return refuse_too_big(tunnel.context, frame, tunnel.port, most - kEthernetSize);
    }
    if (is_cut(*frame)) { return send_cut(tunnel, frame); }
    tunnel.finish_and_send(frame);
}

void send_by(const Tunnel& tunnel, rte_mbuf* frame) noexcept {
    if (owes_offload(*frame) || frame->pkt_len > tunnel.most()) [[unlikely]] {
        return send_uncommon(tunnel, frame);
    }
    tunnel.send(frame);
}

// The next hop of a frame that waited is known.
void resume(WorkerContext& context, const NeighbourQuestion& question, rte_mbuf* frame) noexcept {
    send_to_remote(context, question.index, frame, tunnel_mark(*frame));
}

const RemoteVtep* remote_of(const Snapshot& snapshot, const VtepConfig& vtep,
                            std::uint16_t index) noexcept {
    if (index == 0 || index >= snapshot.remotes.size()) { return nullptr; }
    const RemoteVtep& remote = snapshot.remotes[index];
    return remote.ip.family == vtep.ip.family ? &remote : nullptr;
}

// Makes the way anew. kNone: it is there; kNeighbourQueueFull: its next hop must be asked for.
[[gnu::noinline]] DropReason make_way(WorkerContext& context, std::uint16_t index,
                                      std::uint16_t remote_index, TunnelWay& way) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    way.remote = 0;
    const RemoteVtep* remote = remote_of(*context.snapshot, vtep, remote_index);
    if (remote == nullptr) { return DropReason::kTunnelDown; }
    const IpAddr hop = next_hop_of(vtep, remote->ip);
    if (hop.family == IpFamily::kNone) { return DropReason::kNeighbourUnreachable; }
    const std::optional<MacAddr> mac = find_neighbour(context, vtep.underlay, hop);
    if (!mac) { return DropReason::kNeighbourQueueFull; }
    write_headers(way, vtep, remote->ip, *mac);
    way.mtu = underlay_mtu(context, index, remote_index);
    way.vtep = index;
    way.remote = remote_index;
    way.stamp = context.stamp;
    return DropReason::kNone;
}

void wait_for_hop(WorkerContext& context, std::uint16_t index, rte_mbuf* frame,
                  const TunnelMark& mark) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    set_tunnel_mark(*frame, mark);
    const IpAddr hop = next_hop_of(snapshot.vteps[index], snapshot.remotes[mark.remote].ip);
    hold_for_neighbour(context, underlay_question(snapshot, index, hop, resume), frame);
}

// The way to the marked remote VTEP. nullptr: the frame waits for it, or is dropped.
[[gnu::always_inline]] inline const TunnelWay* find_way(WorkerContext& context, std::uint16_t vtep,
                                                        rte_mbuf* frame,
                                                        const TunnelMark& mark) noexcept {
    const PortIndex port = context.snapshot->vteps[vtep].port;
    TunnelWay& way = context.tunnels.slot(vtep, mark.remote);
    if (way.stamp != context.stamp || way.remote != mark.remote || way.vtep != vtep) [[unlikely]] {
        const DropReason reason = make_way(context, vtep, mark.remote, way);
        if (reason == DropReason::kNeighbourQueueFull) {
            wait_for_hop(context, vtep, frame, mark);
            return nullptr;
        }
        if (reason != DropReason::kNone) {
            drop_towards(context, frame, port, reason);
            return nullptr;
        }
    }
    if (!context.reach.works(vtep, mark.remote)) [[unlikely]] {
        drop_towards(context, frame, port, DropReason::kTunnelDown);
        return nullptr;
    }
    return &way;
}

// A flood is sealed once, before it is copied: it must fit the underlay as the VTEP has it.
void queue_flood(SealQueue& queue, rte_mbuf* frame, const TunnelMark& mark) noexcept {
    const VtepConfig& vtep = queue.context().snapshot->vteps[queue.vtep()];
    TunnelWay way{};
    way.mtu = vtep.mtu;
    way.size = static_cast<std::uint8_t>(outer_ip_size(vtep.ip.family));
    send_by({queue.context(), vtep.port, way, mark, &queue}, frame);
}

[[gnu::noinline]] void queue_frame(SealQueue& queue, rte_mbuf* frame,
                                   const TunnelMark& mark) noexcept {
    WorkerContext& context = queue.context();
    if (mark.remote == kEveryRemote) { return queue_flood(queue, frame, mark); }
    const TunnelWay* way = find_way(context, queue.vtep(), frame, mark);
    if (way == nullptr) { return; }
    send_by({context, context.snapshot->vteps[queue.vtep()].port, *way, mark, &queue}, frame);
}

[[gnu::noinline]] void seal_and_send(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                                     const TunnelMark& mark) noexcept {
    SealQueue queue(context, vtep);
    queue_frame(queue, frame, mark);
    queue.flush();
}

// A burst in which some are to be sealed.
[[gnu::noinline]] void send_sealed(WorkerContext& context, std::uint16_t vtep,
                                   std::span<rte_mbuf* const> frames) noexcept {
    SealQueue queue(context, vtep);
    for (rte_mbuf* frame : frames) {
        const TunnelMark mark = tunnel_mark(*frame);
        if (mark.key_policy != 0) {
            queue_frame(queue, frame, mark);
        } else {
            send_marked(context, vtep, frame, mark);
        }
    }
    queue.flush();
}

}  // namespace

void send_to_remote(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                    const TunnelMark& mark) noexcept {
    if (mark.key_policy != 0) [[unlikely]] { return seal_and_send(context, vtep, frame, mark); }
    const TunnelWay* way = find_way(context, vtep, frame, mark);
    if (way == nullptr) [[unlikely]] { return; }
    send_by({context, context.snapshot->vteps[vtep].port, *way, mark}, frame);
}

void send_marked(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                 const TunnelMark& mark) noexcept {
    if (mark.remote != kEveryRemote) [[likely]] {
        send_to_remote(context, vtep, frame, mark);
    } else if (mark.key_policy != 0) {
        seal_and_send(context, vtep, frame, mark);
    } else {
        flood_tunnels(context, vtep, frame, mark.vni);
    }
}

void send_to_group(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame, std::uint32_t vni,
                   const IpAddr& group) noexcept {
    const VtepConfig& from = context.snapshot->vteps[vtep];
    if (group.family != from.ip.family) {
        return drop_towards(context, frame, from.port, DropReason::kTunnelDown);
    }
    TunnelWay way{};
    write_headers(way, from, group, group_mac(group));
    way.mtu = from.mtu;
    send_by({context, from.port, way, {vni, kEveryRemote}}, frame);
}

void send_tunnelled(WorkerContext& context, PortIndex egress,
                    std::span<rte_mbuf* const> frames) noexcept {
    const std::uint16_t vtep = context.snapshot->port(egress)->vtep;
    const bool has_keys = !context.snapshot->key_policies.empty();
    if (has_keys) [[unlikely]] { return send_sealed(context, vtep, frames); }
    for (rte_mbuf* frame : frames) { send_marked(context, vtep, frame, tunnel_mark(*frame)); }
}

}  // namespace sluice::datapath
