// SPDX-License-Identifier: Apache-2.0
// ParsedFrame: what parse found in one frame, once. Slots that inspect and the connection step read
// it; nobody parses again. Every offset lies inside `data[0 .. data_size)`, which is the frame's
// first segment. Lives on a worker's stack.
#pragma once

#include <cstdint>

#include "sluice/iochain/drop_reason.h"
#include "sluice/iochain/flow_key.h"

namespace sluice {

/// How the worker treats the frame.
enum class FrameClass : std::uint8_t {
    kFlow,     ///< Has a flow: looked up, decided once, cached.
    kInspect,  ///< A conversation with the switch (ARP, ND, DHCP, MLD/IGMP, ICMP error...):
               ///< inspected one by one.
    kBad,      ///< Malformed: dropped with `reason`.
};

/// Which conversation an inspected frame is.
enum class InspectKind : std::uint8_t {
    kNone,
    kArp,
    kNd,
    kDhcp4,
    kDhcp6,
    kMld,
    kIgmp,
    kIcmpError,
    kLinkLocalGroup
};

/// What is known of the transport checksum.
enum class L4Checksum : std::uint8_t {
    kUnknown,  ///< To be verified where the verdict hangs on the contents.
    kGood,     ///< Verified by the sender's device or by us.
    kPartial,  ///< The sender left it to the receiver's device (virtio NEEDS_CSUM).
};

/// TCP flag bits as on the wire (RFC 9293 §3.1).
enum TcpFlag : std::uint8_t {
    kTcpFin = 0x01,
    kTcpSyn = 0x02,
    kTcpRst = 0x04,
    kTcpPsh = 0x08,
    kTcpAck = 0x10,
    kTcpUrg = 0x20,
    kTcpEce = 0x40,
    kTcpCwr = 0x80,
};

/// One parsed frame.
struct ParsedFrame {
    FlowKey key;
    const std::uint8_t* data = nullptr;  ///< First byte of the Ethernet header.
    std::uint16_t data_size = 0;         ///< Bytes that are contiguous at `data`.
    std::uint32_t frame_size = 0;        ///< Bytes of the whole frame, all segments.
    std::uint16_t l3_offset = 0;         ///< Network header; 0 if not ARP or IP.
    std::uint16_t l4_offset = 0;         ///< Transport header; 0 if none (later fragments too).
    std::uint32_t l4_size =
        0;  ///< Transport header and payload in bytes by the IP length (not the Ethernet trailer).
    std::uint16_t fragment_offset = 0;  ///< In bytes.
    bool fragment = false;  ///< Any fragment, the first one too (an atomic IPv6 fragment is none).
    bool more_fragments = false;
    std::uint32_t fragment_id =
        0;  ///< IPv4 identification or IPv6 fragment identification, host order.
    std::uint8_t tcp_flags = 0;        ///< TcpFlag bits.
    std::uint8_t tcp_header_size = 0;  ///< Bytes, options included; all of it lies in `data`.
    L4Checksum l4_checksum = L4Checksum::kUnknown;
    FrameClass frame_class = FrameClass::kBad;
    InspectKind inspect_kind = InspectKind::kNone;
    DropReason reason = DropReason::kNone;  ///< Set with kBad.
};

}  // namespace sluice
