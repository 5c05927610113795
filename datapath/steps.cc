// SPDX-License-Identifier: Apache-2.0
// Steps: the DSCP mark, the route's rewrite, the VLAN rewrites and the mark for the tunnel. The
// frame's headers lie in its first segment and the frame is not shared.
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/packet_writer.h"
#include "datapath/stages.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t kMacBytes = 2 * RTE_ETHER_ADDR_LEN;
constexpr std::uint16_t kTagBytes = sizeof(rte_vlan_hdr);

bool pop_tag(rte_mbuf& frame) noexcept {
    if (rte_pktmbuf_data_len(&frame) < kMacBytes + kTagBytes + 2) { return false; }
    auto* start = rte_pktmbuf_mtod(&frame, std::uint8_t*);
    std::memmove(start + kTagBytes, start, kMacBytes);
    rte_pktmbuf_adj(&frame, kTagBytes);
    if (frame.l2_len >= kTagBytes) {
        frame.l2_len = static_cast<std::uint8_t>(frame.l2_len - kTagBytes) & 0x7fU;
    }
    return true;
}

bool push_tag(rte_mbuf& frame, std::uint16_t vid) noexcept {
    auto* start = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(&frame, kTagBytes));
    if (start == nullptr) { return false; }
    std::memmove(start, start + kTagBytes, kMacBytes);
    const rte_be16_t tag[2] = {rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(vid)};
    std::memcpy(start + kMacBytes, tag, sizeof tag);
    if (frame.l2_len != 0) {
        frame.l2_len = static_cast<std::uint8_t>(frame.l2_len + kTagBytes) & 0x7fU;
    }
    return true;
}

}  // namespace

void set_marks(Program& program, const FlowKey& key, std::uint8_t from, std::uint8_t to) noexcept {
    const auto coded = [&key](std::uint8_t mark) {  // kNoDscp + 1 is 0.
        return key.is_ip() ? static_cast<std::uint8_t>(mark + 1U) : std::uint8_t{0};
    };
    program.steps.dscp = coded(to != kNoDscp ? to : from);
    program.steps.copies_dscp = coded(from);
}

void mark_dscp(rte_mbuf& frame, const ParsedFrame& parsed, std::uint8_t dscp) noexcept {
    if (dscp == kNoDscp || parsed.l3_offset == 0 || !parsed.key.is_ip()) { return; }
    auto* ip = rte_pktmbuf_mtod_offset(&frame, std::uint8_t*, parsed.l3_offset);
    std::uint16_t before = 0;
    std::memcpy(&before, ip, sizeof before);
    if (parsed.key.has(kKeyIpv6)) {  // Version, traffic class, flow label (RFC 8200 §3).
        ip[0] = static_cast<std::uint8_t>(0x60U | dscp >> 2U);
        ip[1] = static_cast<std::uint8_t>((ip[1] & 0x3fU) | (dscp & 3U) << 6U);
        return;
    }
    ip[1] = static_cast<std::uint8_t>((ip[1] & 3U) | dscp << 2U);
    std::uint16_t after = 0, checksum = 0;
    std::memcpy(&after, ip, sizeof after);
    std::memcpy(&checksum, ip + 10, sizeof checksum);
    checksum = mended(checksum, before, after);
    std::memcpy(ip + 10, &checksum, sizeof checksum);
}

void write_hop(std::uint8_t* start, const ParsedFrame& parsed, const Rewrite& hop) noexcept {
    std::uint8_t* ip = start + parsed.l3_offset;
    if (parsed.key.has(kKeyIpv6)) {
        --ip[7];
    } else {
        std::uint16_t before = 0, after = 0, checksum = 0;
        std::memcpy(&before, ip + 8, sizeof before);
        --ip[8];
        std::memcpy(&after, ip + 8, sizeof after);
        std::memcpy(&checksum, ip + 10, sizeof checksum);
        checksum = mended(checksum, before, after);
        std::memcpy(ip + 10, &checksum, sizeof checksum);
    }
    std::memcpy(start, hop.destination.bytes.data(), 6);
    std::memcpy(start + 6, hop.source.bytes.data(), 6);
}

void mark_for_copies(rte_mbuf& frame, const ParsedFrame& parsed, const Program& program) noexcept {
    mark_dscp(frame, parsed, static_cast<std::uint8_t>(program.steps.copies_dscp - 1U));
}

namespace {

DropReason rewrite_hop(rte_mbuf& frame, const ParsedFrame& parsed, const Rewrite& hop) noexcept {
    auto* start = rte_pktmbuf_mtod(&frame, std::uint8_t*);
    std::uint8_t* ip = start + parsed.l3_offset;
    if (ip[parsed.key.has(kKeyIpv6) ? 7 : 8] <= 1) { return DropReason::kTtlExpired; }
    write_hop(start, parsed, hop);
    return DropReason::kNone;
}

// Domains that a router joins need not carry the same. What leaves as segments is as long as they.
bool fits(const WorkerContext& context, const rte_mbuf& frame, const ParsedFrame& parsed,
          PortIndex egress) noexcept {
    const PortConfig* out = context.snapshot->port(egress);
    const std::uint32_t tag = parsed.key.has(kKeyTagged) ? kTagBytes : 0U;
    if (out == nullptr || parsed.frame_size - tag <= out->frame_size_max) [[likely]] {
        return true;
    }
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) { return false; }
    const std::uint32_t segment = frame.l2_len + frame.l3_len + frame.l4_len + frame.tso_segsz;
    return segment - tag <= out->frame_size_max;
}

}  // namespace

DropReason run_steps(const WorkerContext& context, rte_mbuf& frame, const ParsedFrame& parsed,
                     const Program& program) noexcept {
    const Steps& steps = program.steps;
    if (steps.dscp != 0) { mark_dscp(frame, parsed, static_cast<std::uint8_t>(steps.dscp - 1U)); }
    std::uint32_t vni = 0;
    if (steps.rewrite != 0) {
        const Rewrite& hop = context.rewrites.row(steps.rewrite);
        if (!fits(context, frame, parsed, program.output)) { return DropReason::kTooBig; }
        const DropReason reason = rewrite_hop(frame, parsed, hop);
        if (reason != DropReason::kNone) { return reason; }
        vni = hop.vni;
    } else if (steps.remote != 0) {
        vni = context.snapshot->domains[program.domain].vni;
    }
    if (!run_vlan_step(frame, steps.vlan)) { return DropReason::kNoBuffer; }
    if (steps.remote != 0) {
        const auto policy = static_cast<std::uint8_t>(program.key_policy & kKeyPolicyMask);
        set_tunnel_mark(frame, {vni, steps.remote, policy});
    }
    return DropReason::kNone;
}

bool run_vlan_step(rte_mbuf& frame, std::uint16_t vlan) noexcept {
    if (vlan == 0) { return true; }
    if (vlan == Steps::kVlanPop) { return pop_tag(frame); }
    return push_tag(frame, vlan & 0xfffU);
}

}  // namespace sluice::datapath
