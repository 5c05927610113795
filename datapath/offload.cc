// SPDX-License-Identifier: Apache-2.0
// Offload: see offload.h. l2_len, l3_len and the type flags were set by parse's convert_offload()
// from our own parse, and moved by the VLAN steps. Behind IPv6 extension headers nothing is left to
// the receiver: librte_vhost would write a pseudo-header sum of the first next-header field.
#include "datapath/offload.h"

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {

bool takes_checksum(const rte_mbuf& frame, const Port& receiver) noexcept {
    const bool is_v6 = (frame.ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
    return receiver.takes_partial_checksum() && (!is_v6 || frame.l3_len == kIpv6Size);
}

bool wants_segments(const rte_mbuf& frame, const Port& receiver) noexcept {
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) { return false; }
    const bool is_v6 = (frame.ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
    const bool taken = is_v6 ? receiver.takes_tso6() : receiver.takes_tso4();
    return !taken || !takes_checksum(frame, receiver);
}

DropReason finish_checksum(rte_mbuf& frame, const Port& receiver) noexcept {
    if (!owes_offload(frame) || takes_checksum(frame, receiver)) { return DropReason::kNone; }
    if (!fill_l4_checksum(frame)) { return DropReason::kOffloadMissing; }
    frame.ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    return DropReason::kNone;
}

void forget_segmentation(rte_mbuf& frame) noexcept {
    frame.ol_flags &= ~RTE_MBUF_F_TX_TCP_SEG;
    frame.tso_segsz = 0;
    write_pseudo_header_sum(frame);
}

}  // namespace sluice::datapath
