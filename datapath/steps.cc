// SPDX-License-Identifier: Apache-2.0
// Steps: the VLAN rewrites. The frame's headers lie in its first segment and the frame is not
// shared.
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

}  // namespace

bool run_vlan_steps(rte_mbuf& frame, const Program& program) noexcept {
    for (std::uint8_t i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (step.kind == StepKind::kVlanPop && !pop_tag(frame)) { return false; }
        if (step.kind == StepKind::kVlanPush && !push_tag(frame, step.argument)) { return false; }
    }
    return true;
}

}  // namespace sluice::datapath
