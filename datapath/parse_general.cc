// SPDX-License-Identifier: Apache-2.0
// The general parser: Ethernet, one VLAN tag and what stands behind. Takes every frame that the
// straight-line way of parse.cc leaves: fragments, options, ICMP, TCP that opens or closes, other
// protocols, and all that is malformed.
#include "datapath/parse.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

/// 01:80:c2:00:00:00..0f: never forwarded by a bridge (IEEE 802.1Q-2018 §8.6.3).
[[nodiscard]] bool is_link_local_group(const MacAddr& mac) noexcept {
    const auto& b = mac.bytes;
    return b[0] == 0x01 && b[1] == 0x80 && b[2] == 0xc2 && b[3] == 0 && b[4] == 0 && b[5] < 0x10;
}

/// Fills MACs, ethertype and VLAN of the key. Sets `l3` to the offset behind them.
[[nodiscard]] DropReason parse_ethernet(ParsedFrame& frame, std::uint32_t& l3) noexcept {
    const std::uint8_t* data = frame.data;
    FlowKey& key = frame.key;
    if (frame.data_size < kEthernetSize) { return DropReason::kTruncatedFrame; }
    std::memcpy(key.destination_mac.bytes.data(), data, 6);
    std::memcpy(key.source_mac.bytes.data(), data + 6, 6);
    std::uint32_t type_at = 12;
    if (load_be16(data + type_at) == kEtherVlan) {
        if (frame.data_size < kEthernetSize + kTagSize) { return DropReason::kTruncatedFrame; }
        key.vlan = load_be16(data + kEthernetSize) & 0x0fffU;
        key.flags |= kKeyTagged;
        type_at += kTagSize;
    }
    key.ethertype.raw = load<std::uint16_t>(data + type_at);
    l3 = type_at + 2;
    const bool bad_source = key.source_mac.is_group() || key.source_mac.is_zero();
    return bad_source ? DropReason::kBadSourceMac : DropReason::kNone;
}

[[nodiscard]] bool is_link_local_protocol(std::uint16_t ethertype) noexcept {
    return ethertype <= kEtherLengthMax || ethertype == kEtherLldp || ethertype == kEtherPause ||
           ethertype == kEtherLoopback;
}

[[nodiscard]] DropReason parse_layers(ParsedFrame& frame) noexcept {
    std::uint32_t l3 = 0;
    const DropReason reason = parse_ethernet(frame, l3);
    if (reason != DropReason::kNone) { return reason; }
    const std::uint16_t ethertype = frame.key.ethertype.host();
    if (is_link_local_group(frame.key.destination_mac) || is_link_local_protocol(ethertype)) {
        set_inspect(frame, InspectKind::kLinkLocalGroup);
        return DropReason::kNone;
    }
    switch (ethertype) {
        case kEtherIpv4: frame.l3_offset = static_cast<std::uint16_t>(l3); return parse_ipv4(frame);
        case kEtherIpv6: frame.l3_offset = static_cast<std::uint16_t>(l3); return parse_ipv6(frame);
        case kEtherArp:
        case kEtherRarp:
            frame.l3_offset = static_cast<std::uint16_t>(l3);
            set_inspect(frame, InspectKind::kArp);
            return DropReason::kNone;
        default: return DropReason::kNone;
    }
}

}  // namespace

void parse_frame_general(const std::uint8_t* data, std::uint16_t data_size,
                         std::uint32_t frame_size, PortIndex port, ParsedFrame& out) noexcept {
    out = ParsedFrame{};
    out.data = data;
    out.data_size = data_size;
    out.frame_size = frame_size;
    out.key.port = port;
    out.frame_class = FrameClass::kFlow;
    out.reason = parse_layers(out);
    if (out.reason != DropReason::kNone) {
        out.frame_class = FrameClass::kBad;
        out.inspect_kind = InspectKind::kNone;
    }
}

}  // namespace sluice::datapath
