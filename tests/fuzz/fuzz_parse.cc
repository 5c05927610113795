// SPDX-License-Identifier: Apache-2.0
// Fuzz target of parse: any bytes as one frame, in one segment or two. What parse promises of its
// result holds, and its straight-line way agrees with the general one.
#include "datapath/parse.h"

#include "datapath/checksum.h"
#include "tests/fuzz/fuzzed.h"

namespace sluice::fuzz {
namespace {

using namespace datapath;

void check(const ParsedFrame& frame) {
    const bool bad = frame.frame_class == FrameClass::kBad;
    require(bad == (frame.reason != DropReason::kNone), "reason and class agree");
    require(
        (frame.frame_class == FrameClass::kInspect) == (frame.inspect_kind != InspectKind::kNone),
        "kind and class agree");
    if (bad) { return; }
    require(frame.l3_offset <= frame.data_size, "l3_offset is inside");
    require(frame.l4_offset == 0 || frame.l4_offset < frame.data_size, "l4_offset is inside");
    require(frame.l4_offset == 0 || frame.l4_offset + frame.l4_size <= frame.frame_size,
            "l4_size is inside");
    require(frame.l4_offset + frame.tcp_header_size <= frame.data_size, "TCP header is inside");
    require(frame.fragment == frame.key.has(kKeyFragment), "fragment and its key flag agree");
    if (!frame.fragment) { return; }
    const FragmentExtent extent = fragment_extent(frame);
    require(extent.begin < extent.end, "a fragment has bytes");
    require(extent.at + extent.end - extent.begin <= frame.frame_size, "they are inside");
}

bool same(const ParsedFrame& a, const ParsedFrame& b) {
    return a.key == b.key && a.l3_offset == b.l3_offset && a.l4_offset == b.l4_offset &&
           a.l4_size == b.l4_size && a.tcp_flags == b.tcp_flags &&
           a.tcp_header_size == b.tcp_header_size && a.frame_class == b.frame_class &&
           a.inspect_kind == b.inspect_kind && a.reason == b.reason && a.fragment == b.fragment;
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    if (size < 2 || size > 9000) { return 0; }
    // The first byte says where the frame is cut, and whether its device has looked at the
    // checksum.
    const std::size_t cut = data[0] % 4U == 0 ? 14U + data[0] : SIZE_MAX;
    fuzz::Frame frame({data + 1, data + size}, cut);
    rte_mbuf& mbuf = frame.mbuf();
    const auto* bytes = rte_pktmbuf_mtod(&mbuf, const std::uint8_t*);
    ParsedFrame quick, general;
    datapath::parse_frame(bytes, mbuf.data_len, mbuf.pkt_len, PortIndex{1}, quick);
    datapath::parse_frame_general(bytes, mbuf.data_len, mbuf.pkt_len, PortIndex{1}, general);
    fuzz::check(quick);
    fuzz::require(fuzz::same(quick, general), "straight-line and general parse agree");
    if ((data[0] & 2U) != 0) {
        mbuf.ol_flags =
            RTE_MBUF_F_TX_TCP_CKSUM | ((data[0] & 16U) != 0 ? RTE_MBUF_F_TX_TCP_SEG : 0);
        mbuf.tso_segsz = static_cast<std::uint16_t>(data[0] * 8U);
    }
    datapath::parse_mbuf(mbuf, PortIndex{1}, quick);
    datapath::convert_offload(mbuf, quick);
    fuzz::check(quick);
    if (quick.frame_class == FrameClass::kFlow) {
        static_cast<void>(datapath::l4_checksum_ok(mbuf, quick));
    }
    return 0;
}
