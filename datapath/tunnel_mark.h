// SPDX-License-Identifier: Apache-2.0
// TunnelMark: where a frame goes that is on its way to a VTEP's port, kept in fields of its mbuf
// that drivers leave alone. The worker that decided it writes it (steps.cc), the one that polls the
// VTEP's uplink reads it (tunnel_send.cc), past the ring between them. Valid only for frames that
// are output to a VTEP's port. hash.rss stays the flow's: the outer source port comes from it.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace sluice::datapath {

struct TunnelMark {
    std::uint32_t vni = 0;        ///< Host order.
    std::uint16_t remote = 0;     ///< Index into Snapshot::remotes, or kEveryRemote.
    std::uint8_t key_policy = 0;  ///< To be sealed under it; 0: clear. At most 63.
};

inline constexpr std::uint32_t kVniMask = 0xffffff;

inline void set_tunnel_mark(rte_mbuf& frame, const TunnelMark& mark) noexcept {
    const std::uint32_t word = mark.vni | std::uint32_t{mark.key_policy} << 24U;
    frame.vlan_tci = static_cast<std::uint16_t>(word);
    frame.vlan_tci_outer = static_cast<std::uint16_t>(word >> 16U);
    frame.hash.fdir.hi = std::uint32_t{mark.remote} << 16U;
}

[[nodiscard]] inline TunnelMark tunnel_mark(const rte_mbuf& frame) noexcept {
    const std::uint32_t word = std::uint32_t{frame.vlan_tci_outer} << 16U | frame.vlan_tci;
    return {word & (kVniMask | 1U << 31U), static_cast<std::uint16_t>(frame.hash.fdir.hi >> 16U),
            static_cast<std::uint8_t>(word >> 24U & 0x3fU)};
}

/// The egress port beside the mark, while a frame changes workers.
inline void set_egress(rte_mbuf& frame, std::uint16_t egress) noexcept {
    frame.hash.fdir.hi = (frame.hash.fdir.hi & 0xffff0000U) | egress;
}
[[nodiscard]] inline std::uint16_t egress_of(const rte_mbuf& frame) noexcept {
    return static_cast<std::uint16_t>(frame.hash.fdir.hi);
}

}  // namespace sluice::datapath
