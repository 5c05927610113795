// SPDX-License-Identifier: Apache-2.0
// Offload: software checksum for receivers without VIRTIO_NET_F_GUEST_CSUM. l2_len, l3_len and the type flags were set by
// parse's convert_offload() from our own parse.
#include "datapath/offload.h"

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kWanted = RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;

bool write_checksum(rte_mbuf& frame) noexcept {
    const std::uint16_t l3 = frame.l2_len;
    const auto l4 = static_cast<std::uint16_t>(frame.l2_len + frame.l3_len);
    const bool is_tcp = (frame.ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
    const std::size_t field = is_tcp ? offsetof(rte_tcp_hdr, cksum) : offsetof(rte_udp_hdr, dgram_cksum);
    if (rte_pktmbuf_data_len(&frame) < l4 + field + 2U) { return false; }
    auto* sum = rte_pktmbuf_mtod_offset(&frame, rte_be16_t*, l4 + field);
    *sum = 0;
    const std::uint8_t version = *rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, l3) >> 4U;
    *sum = version == 4 ? rte_ipv4_udptcp_cksum_mbuf(&frame, rte_pktmbuf_mtod_offset(&frame, const rte_ipv4_hdr*, l3), l4)
                        : rte_ipv6_udptcp_cksum_mbuf(&frame, rte_pktmbuf_mtod_offset(&frame, const rte_ipv6_hdr*, l3), l4);
    return true;
}

}  // namespace

DropReason finish_offload(rte_mbuf& frame, const Port& receiver) noexcept {
    if ((frame.ol_flags & kWanted) == 0) { return DropReason::kNone; }
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
        const bool is_v6 = (frame.ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
        const bool taken = is_v6 ? receiver.takes_tso6() : receiver.takes_tso4();
        return taken ? DropReason::kNone : DropReason::kOffloadMissing;
    }
    if (receiver.takes_partial_checksum()) { return DropReason::kNone; }
    if (!write_checksum(frame)) { return DropReason::kOffloadMissing; }
    frame.ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    return DropReason::kNone;
}

}  // namespace sluice::datapath
