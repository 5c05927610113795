// SPDX-License-Identifier: Apache-2.0
// OwnFrame: see own_frame.h.
#include "datapath/own_frame.h"

#include <rte_mbuf.h>

#include "datapath/checksum.h"
#include "datapath/packet_writer.h"
#include "datapath/stages.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {

void OwnFrame::checksum(std::size_t from, std::size_t to, std::size_t at,
                        std::uint32_t extra) noexcept {
    std::uint32_t sum = raw_sum(room_.data() + from, to - from) + extra;
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    const auto inverted = static_cast<std::uint16_t>(~sum);
    std::memcpy(room_.data() + at, &inverted, sizeof inverted);
}

bool send_own(WorkerContext& context, PortIndex egress, const OwnBytes& own, const Domain* domain,
              std::uint16_t remote) noexcept {
    const PortConfig* out = context.snapshot->port(egress);
    if (out == nullptr || !out->is_enabled) { return false; }
    context.counters.created.add(1);
    rte_mbuf* frame = new_frame(context, egress, static_cast<std::uint32_t>(own.bytes.size()));
    if (frame == nullptr) {  // Charged to who misses it: it entered nowhere.
        count_drop(context, egress, DropReason::kNoBuffer);
        return false;
    }
    std::memcpy(bytes_of(*frame), own.bytes.data(), own.bytes.size());
    if (own.fabric_source && out->is_uplink) {
        std::memcpy(bytes_of(*frame) + 6, own.fabric_source->bytes.data(), 6);
    }
    if (domain != nullptr) {
        if (!run_vlan_step(*frame, egress_vlan_step(*out, *domain, FlowKey{}))) {
            drop(context, frame, DropReason::kNoBuffer);
            return false;
        }
        set_tunnel_mark(*frame, {domain->vni, remote});
    }
    output(context, frame, egress);
    return true;
}

std::uint64_t flood_own(WorkerContext& context, std::uint16_t index, const OwnBytes& own) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    std::uint64_t sent = 0;
    const auto send_to = [&](PortIndex egress) {
        sent += send_own(context, egress, own, &domain) ? 1U : 0U;
    };
    for (const PortIndex egress : domain.members) { send_to(egress); }
    const PortIndex out = way_out(context, index, kNoPort, FlowKey{});
    if (out != kNoPort) { send_to(out); }
    return sent;
}

}  // namespace sluice::datapath
