// SPDX-License-Identifier: Apache-2.0
// Tunnel, receiving: which frames of an uplink are VXLAN for a VTEP of it, and whether they may
// come in: from a known remote VTEP, for a known VNI, with every length, flag and checksum right
// (RFC 7348 §4, §5). What is left is the inner frame in the same buffers. Called by ingress before
// anything is parsed, so that an inner frame is parsed once and never opened again. All other
// frames for a VTEP are its own stack's (underlay.cc).
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/esp.h"
#include "datapath/remote_index.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"
#include "datapath/tunnel_open.h"
#include "datapath/underlay.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kHeadBytes = 256;  // Of outer and inner headers: in the first segment.
// Whether what was opened may come in. Sets `remote`.
[[gnu::always_inline]] inline DropReason judge(const WorkerContext& context, const VtepConfig& vtep,
                                               const Head& head, const Outer& outer,
                                               const OpenedVxlan& opened,
                                               std::uint16_t& remote) noexcept {
    if (!opened.is_good) { return DropReason::kBadVxlan; }
    const RemoteIndex* remotes = context.snapshot->remote_index.get();
    remote = remotes != nullptr ? remotes->find(outer.family, outer.source) : std::uint16_t{0};
    if (remote == 0) { return DropReason::kUnknownVtep; }
    if (domain_of_vni(*context.snapshot->port(vtep.port), opened.vni) == kNoDomain) {
        return DropReason::kUnknownVni;
    }
    return has_tag(head.data + opened.inner) ? DropReason::kInnerVlan : DropReason::kNone;
}

// Leaves only the inner frame. False: it is not in one piece with what lies behind it.
bool cut_out(rte_mbuf& frame, const OpenedVxlan& opened) noexcept {
    const auto behind = static_cast<std::uint16_t>(frame.pkt_len - opened.end);
    if (behind > 0 && rte_pktmbuf_trim(&frame, behind) != 0) { return false; }
    rte_pktmbuf_adj(&frame, static_cast<std::uint16_t>(opened.inner));
    frame.ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    frame.tx_offload = 0;
    return true;
}

[[gnu::always_inline]] inline Received enter(WorkerContext& context, const VtepConfig& vtep,
                                             rte_mbuf* frame, const Head& head, const Outer& outer,
                                             bool is_group, TunnelEntry& entry) noexcept {
    frame->port = vtep.port.value;
    const OpenedVxlan opened = open_vxlan(*frame, head, outer);
    DropReason reason = judge(context, vtep, head, outer, opened, entry.remote);
    if (reason == DropReason::kNone && !cut_out(*frame, opened)) { reason = DropReason::kBadVxlan; }
    if ((outer.ecn & 1U) != 0 && reason == DropReason::kNone &&
        !take_over_ecn(rte_pktmbuf_mtod(frame, std::uint8_t*), frame->data_len, outer.ecn))
        [[unlikely]] {
        reason = DropReason::kBadVxlan;
    }
    std::uint8_t key_policy = 0;
    if (!context.snapshot->key_policies.empty() && reason == DropReason::kNone) [[unlikely]] {
        reason = open_frame(context, entry.remote, *frame, key_policy);
    }
    if (reason != DropReason::kNone) [[unlikely]] {
        drop(context, frame, reason);
        return Received::kEnded;
    }
    entry.port = vtep.port;
    entry.tunnel = tunnel_word(opened.vni, key_policy);
    if (is_group) { entry.tunnel |= kTunnelledForAll; }
    if ((opened.flags & kVxlanReplicate) != 0 && !is_group) [[unlikely]] {
        entry.tunnel |= kTunnelledForAll;
        const auto index = static_cast<std::uint16_t>(&vtep - context.snapshot->vteps.data());
        frame->hash.rss = std::uint32_t{load_be16(head.data + outer.l4)} << 18U;
        flood_own_subnet(context, index, *frame, {opened.vni, entry.remote, key_policy});
    }
    return Received::kTunnelled;
}

Head head_of(const rte_mbuf& frame) noexcept {
    return {rte_pktmbuf_mtod(&frame, const std::uint8_t*), frame.data_len, frame.pkt_len};
}

std::uint16_t udp_port_of(const Head& head, const Outer& outer) noexcept {
    return load_be16(head.data + outer.l4 + 2);
}

void note_queries(WorkerContext& context, PortIndex uplink, const rte_mbuf& frame) noexcept {
    const auto& vteps = context.snapshot->vteps;
    for (std::size_t i = 0; i < vteps.size(); ++i) {
        if (vteps[i].uplink != uplink) { continue; }
        context.memberships.note_query(context, static_cast<std::uint16_t>(i), frame);
    }
}

// Multicast of the underlay: a VNI's group, which one VTEP of the host takes for all.
[[gnu::cold, gnu::noinline]] Received receive_group(WorkerContext& context, PortIndex uplink,
                                                    rte_mbuf* frame, TunnelEntry& entry) noexcept {
    const Head head = head_of(*frame);
    for (const VtepConfig& vtep : context.snapshot->vteps) {
        Outer outer;
        if (vtep.uplink != uplink || !read_outer(head, vtep, outer) || outer.is_bad ||
            udp_port_of(head, outer) != vtep.udp_port ||
            head.size < outer.l4 + kUdpSize + kVxlanSize) {
            continue;
        }
        const std::uint32_t vni = load_be32(head.data + outer.l4 + kUdpSize + 4) >> 8U;
        const std::uint16_t index = domain_of_vni(*context.snapshot->port(vtep.port), vni);
        if (index == kNoDomain) { continue; }
        const Domain& domain = context.snapshot->domains[index];
        if (domain.multicast_group.family != vtep.ip.family ||
            !is_to(outer, domain.multicast_group) || !model::uses_multicast(domain.replication) ||
            group_vtep(context, index) != vtep.port) {
            continue;
        }
        return enter(context, vtep, frame, head, outer, true, entry);
    }
    note_queries(context, uplink, *frame);
    return take_underlay(context, uplink, frame) ? Received::kEnded : Received::kPlain;
}

// To a VTEP's MAC, but nothing that its tunnels take. A fragment of UDP may have been (RFC 7348
// §4.3: a VTEP does not reassemble).
[[gnu::cold, gnu::noinline]] Received receive_other(WorkerContext& context, PortIndex uplink,
                                                    rte_mbuf* frame) noexcept {
    if (take_underlay(context, uplink, frame)) { return Received::kEnded; }
    return Received::kPlain;
}

}  // namespace

Received receive_tunnelled(WorkerContext& context, PortIndex uplink, rte_mbuf* frame,
                           TunnelEntry& entry) noexcept {
    if (frame->nb_segs > 1 && frame->data_len < kHeadBytes) [[unlikely]] {
        if (rte_pktmbuf_linearize(frame) != 0) { return receive_other(context, uplink, frame); }
    }
    const Head head = head_of(*frame);
    if (head.size < kEthernetSize) { return Received::kPlain; }
    if ((head.data[0] & 1U) != 0) { return receive_group(context, uplink, frame, entry); }
    MacAddr to;
    std::memcpy(to.bytes.data(), head.data, sizeof to.bytes);
    bool is_ours = false;
    for (const VtepConfig& vtep : context.snapshot->vteps) {
        if (vtep.uplink != uplink || vtep.mac != to) { continue; }
        is_ours = true;
        Outer outer;
        if (!read_outer(head, vtep, outer) || !is_to(outer, vtep.ip)) { continue; }
        if (!outer.is_bad && udp_port_of(head, outer) != vtep.udp_port) { continue; }
        return enter(context, vtep, frame, head, outer, false, entry);
    }
    return is_ours ? receive_other(context, uplink, frame) : Received::kPlain;
}

}  // namespace sluice::datapath
