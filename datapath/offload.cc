// SPDX-License-Identifier: Apache-2.0
// Offload: software checksum for receivers without VIRTIO_NET_F_GUEST_CSUM. l2_len, l3_len and the
// type flags were set by parse's convert_offload() from our own parse.
#include "datapath/offload.h"

#include <rte_mbuf.h>

#include "datapath/checksum.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kWanted = RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;

}  // namespace

DropReason finish_offload(rte_mbuf& frame, const Port& receiver) noexcept {
    if ((frame.ol_flags & kWanted) == 0) { return DropReason::kNone; }
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
        const bool is_v6 = (frame.ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
        const bool taken = is_v6 ? receiver.takes_tso6() : receiver.takes_tso4();
        return taken ? DropReason::kNone : DropReason::kOffloadMissing;
    }
    if (receiver.takes_partial_checksum()) { return DropReason::kNone; }
    if (!fill_l4_checksum(frame)) { return DropReason::kOffloadMissing; }
    frame.ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    return DropReason::kNone;
}

}  // namespace sluice::datapath
