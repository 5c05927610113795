// SPDX-License-Identifier: Apache-2.0
// Parse: see parse.h. Tries the straight-line way (parse_plain.h) and takes the general one
// (parse_general.cc) for what that doesn't accept.
#include "datapath/parse.h"

#include <rte_mbuf.h>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/parse_plain.h"

namespace sluice::datapath {
namespace {

/// Contents that the switch itself acts on, or that end a connection: not to be had with a wrong
/// checksum.
[[nodiscard]] bool wants_checksum(const ParsedFrame& frame) noexcept {
    if (frame.frame_class == FrameClass::kBad || !frame.key.is_ip() || frame.fragment ||
        frame.l4_offset == 0) {
        return false;
    }
    switch (frame.key.protocol) {
        case kProtocolTcp: return (frame.tcp_flags & kTcpOpensOrCloses) != 0;
        case kProtocolIcmp:
        case kProtocolIgmp:
        case kProtocolIcmpv6: return true;
        case kProtocolUdp: return frame.frame_class == FrameClass::kInspect;  // DHCP.
        default: return false;
    }
}

}  // namespace

void judge_checksum(const rte_mbuf& frame, ParsedFrame& out) noexcept {
    out.l4_checksum = checksum_of_flags(frame.ol_flags);
    if (out.l4_checksum != L4Checksum::kUnknown || !wants_checksum(out)) { return; }
    if (l4_checksum_ok(frame, out)) {
        out.l4_checksum = L4Checksum::kGood;
        return;
    }
    out.frame_class = FrameClass::kBad;
    out.inspect_kind = InspectKind::kNone;
    out.reason = DropReason::kBadL4Checksum;
}

void parse_uncommon(const rte_mbuf& frame, PortIndex port, ParsedFrame& out) noexcept {
    parse_frame_general(rte_pktmbuf_mtod(&frame, const std::uint8_t*), frame.data_len,
                        frame.pkt_len, port, out);
    judge_checksum(frame, out);
}

void parse_mbuf(const rte_mbuf& frame, PortIndex port, ParsedFrame& out) noexcept {
    const auto* data = rte_pktmbuf_mtod(&frame, const std::uint8_t*);
    if (!plain::parse_plain(data, frame.data_len, frame.pkt_len, port, out)) {
        return parse_uncommon(frame, port, out);
    }
    judge_checksum(frame, out);
}

void parse_frame(const std::uint8_t* data, std::uint16_t data_size, std::uint32_t frame_size,
                 PortIndex port, ParsedFrame& out) noexcept {
    if (!plain::parse_plain(data, data_size, frame_size, port, out)) {
        parse_frame_general(data, data_size, frame_size, port, out);
        return;
    }
    out.l4_checksum = L4Checksum::kUnknown;
}

L4Checksum checksum_of_flags(std::uint64_t ol_flags) noexcept {
    constexpr std::uint64_t kRequest = RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;
    if ((ol_flags & kRequest) != 0) { return L4Checksum::kPartial; }
    const bool good = (ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    return good ? L4Checksum::kGood : L4Checksum::kUnknown;
}

}  // namespace sluice::datapath
