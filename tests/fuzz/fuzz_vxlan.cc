// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the tunnel's outer headers: any bytes as one frame that came by an uplink, in one
// segment or two, read as a VTEP of either family would, tagged or not. What is opened lies inside.
#include "datapath/parse.h"
#include "datapath/tunnel_open.h"
#include "tests/fuzz/fuzzed.h"

namespace sluice::fuzz {
namespace {

using namespace datapath;

VtepConfig vtep_of(std::uint8_t what) {
    VtepConfig vtep;
    vtep.ip = (what & 1U) != 0
                  ? IpAddr::v6({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})
                  : IpAddr::v4(0x0a000002);
    vtep.vlan = (what & 2U) != 0 ? 10 : 0;
    return vtep;
}

void check_inner(rte_mbuf& frame, const OpenedVxlan& opened, std::uint8_t ecn) {
    require(opened.end <= frame.pkt_len && opened.inner + kEthernetSize <= opened.end,
            "the inner frame is inside");
    require(opened.inner + kEthernetSize <= frame.data_len, "its Ethernet header is contiguous");
    auto* inner = rte_pktmbuf_mtod_offset(&frame, std::uint8_t*, opened.inner);
    static_cast<void>(has_tag(inner));
    const auto size = static_cast<std::uint16_t>(
        std::min<std::uint32_t>(frame.data_len, opened.end) - opened.inner);
    static_cast<void>(take_over_ecn(inner, size, ecn));
    ParsedFrame parsed;
    parse_frame(inner, size, opened.end - opened.inner, PortIndex{1}, parsed);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    if (size < 2 || size > 9000) { return 0; }
    const std::size_t cut = data[0] % 4U == 0 ? 14U + data[0] : SIZE_MAX;
    fuzz::Frame frame({data + 1, data + size}, cut);
    rte_mbuf& mbuf = frame.mbuf();
    const datapath::VtepConfig vtep = fuzz::vtep_of(data[0] >> 6U);
    const datapath::Head head{rte_pktmbuf_mtod(&mbuf, const std::uint8_t*), mbuf.data_len,
                              mbuf.pkt_len};
    datapath::Outer outer;
    if (!datapath::read_outer(head, vtep, outer)) { return 0; }
    static_cast<void>(datapath::is_to(outer, vtep.ip));
    const datapath::OpenedVxlan opened = datapath::open_vxlan(mbuf, head, outer);
    if (opened.is_good) { fuzz::check_inner(mbuf, opened, outer.ecn); }
    return 0;
}
