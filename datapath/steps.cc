// SPDX-License-Identifier: Apache-2.0
// Steps: the DSCP mark and the VLAN rewrites. The frame's headers lie in its first segment and the
// frame is not shared.
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/stages.h"

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

// RFC 1624 §3 (eqn. 3): HC' = ~(~HC + ~m + m').
std::uint16_t mended(std::uint16_t checksum, std::uint16_t before, std::uint16_t after) noexcept {
    std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
    sum += static_cast<std::uint16_t>(~before);
    sum += after;
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
}

const Step* mark_of(const Program& program) noexcept {
    const bool marks = program.step_count > 0 && program.steps[0].kind == StepKind::kSetDscp;
    return marks ? &program.steps[0] : nullptr;
}

}  // namespace

void set_marks(Program& program, const FlowKey& key, std::uint8_t from, std::uint8_t to) noexcept {
    if (mark_of(program) != nullptr) {
        program.steps[0] = program.steps[1];
        --program.step_count;
    }
    if (!key.is_ip() || (from == kNoDscp && to == kNoDscp)) { return; }
    program.steps[1] = program.steps[0];
    program.steps[0] = Step{StepKind::kSetDscp, from, to != kNoDscp ? to : from};
    ++program.step_count;
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

void mark_for_copies(rte_mbuf& frame, const ParsedFrame& parsed, const Program& program) noexcept {
    if (const Step* mark = mark_of(program)) { mark_dscp(frame, parsed, mark->source); }
}

bool run_steps(rte_mbuf& frame, const ParsedFrame& parsed, const Program& program) noexcept {
    if (const Step* mark = mark_of(program)) {
        mark_dscp(frame, parsed, static_cast<std::uint8_t>(mark->argument));
    }
    return run_vlan_steps(frame, program);
}

bool run_vlan_steps(rte_mbuf& frame, const Program& program) noexcept {
    for (std::uint8_t i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (step.kind == StepKind::kVlanPop && !pop_tag(frame)) { return false; }
        if (step.kind == StepKind::kVlanPush && !push_tag(frame, step.argument)) { return false; }
    }
    return true;
}

}  // namespace sluice::datapath
