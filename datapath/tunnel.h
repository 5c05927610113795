// SPDX-License-Identifier: Apache-2.0
// Tunnel: VXLAN between this host's VTEPs and remote ones (RFC 7348), both ways. Received frames
// lose their outer headers before they are parsed, and enter by the VTEP's port; frames that leave
// by it are finished, get outer headers and go to its uplink. Both on the worker that polls the
// uplink. docs/adr/0028-vxlan-at-the-edge.md.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/context.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {

/// What becomes of a frame that an uplink with VTEPs received.
enum class Received : std::uint8_t {
    kPlain,      ///< Not for a VTEP: it is the VLAN domains'.
    kTunnelled,  ///< Now the inner frame, whose way in is told.
    kEnded,      ///< Dropped, or the VTEP's own.
};

/// Low bits of FlowKey::tunnel. What a VTEP gets on behalf of others (as a proxy, by multicast) is
/// for all vNICs of the host; what it gets for itself, for those that are pinned to it.
inline constexpr std::uint32_t kTunnelled = 1;
inline constexpr std::uint32_t kTunnelledForAll = 2;
/// Bits 2 to 7: the key policy under which the frame came sealed; 0 = in the clear.
inline constexpr unsigned kTunnelledPolicyShift = 2;
[[nodiscard]] constexpr std::uint8_t sealed_with(std::uint32_t tunnel) noexcept {
    return static_cast<std::uint8_t>(tunnel >> kTunnelledPolicyShift & 0x3fU);
}

/// FlowKey::tunnel of a frame that a VTEP got for itself.
[[nodiscard]] constexpr std::uint32_t tunnel_word(std::uint32_t vni,
                                                  std::uint8_t key_policy) noexcept {
    return vni << 8U | std::uint32_t{key_policy} << kTunnelledPolicyShift | kTunnelled;
}
/// The mark of a frame that waits, or of one that goes back: from `key`, which came by a tunnel.
[[nodiscard]] inline TunnelMark mark_of(const FlowKey& key) noexcept {
    return {key.tunnel >> 8U, key.vlan, sealed_with(key.tunnel)};
}

/// How a decapsulated frame enters: what its flow key says of it.
struct TunnelEntry {
    PortIndex port = kNoPort;  ///< The VTEP's.
    std::uint16_t remote = 0;  ///< FlowKey::vlan.
    std::uint32_t tunnel = 0;  ///< FlowKey::tunnel.
};

/// Beside TunnelMark::vni: the remote VTEP shall copy the frame to the others of its subnet.
inline constexpr std::uint32_t kAskReplication = 1U << 31U;

// tunnel_receive.cc
/// Takes outer headers off. `frame` is charged to the uplink, kTunnelled and kEnded to the VTEP.
[[nodiscard]] Received receive_tunnelled(WorkerContext& context, PortIndex uplink, rte_mbuf* frame,
                                         TunnelEntry& entry) noexcept;

// tunnel_send.cc
/// Sends frames that wait for the port of a VTEP, `egress`, each where its mark says. Owns them.
void send_tunnelled(WorkerContext& context, PortIndex egress,
                    std::span<rte_mbuf* const> frames) noexcept;
/// Sends one frame where `mark` says. Owns it.
void send_marked(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                 const TunnelMark& mark) noexcept;
/// Sends one frame to one remote VTEP, sealed if its mark says so. Owns it.
void send_to_remote(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                    const TunnelMark& mark) noexcept;
/// Sends one frame to the underlay's multicast group of its VNI. Owns it.
void send_to_group(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame, std::uint32_t vni,
                   const IpAddr& group) noexcept;

// tunnel_flood.cc
/// Sends a frame to all remote VTEPs of a VNI, by its replication mode. Owns it.
void flood_tunnels(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                   std::uint32_t vni) noexcept;
/// Sends copies of an inner frame that `remote` sent to the other VTEPs of the own subnet, if that
/// one is in another subnet: he asked for it. The frame stays the caller's.
/// @param mark  where it came from, and under which key policy: copies are sealed under it again
void flood_own_subnet(WorkerContext& context, std::uint16_t vtep, const rte_mbuf& frame,
                      const TunnelMark& mark) noexcept;

// tunnel_membership.cc
/// The VTEP's port by which the host takes what the underlay multicasts to a VNI: the first that
/// works. kNoPort: none does.
[[nodiscard]] PortIndex group_vtep(const WorkerContext& context, std::uint16_t domain) noexcept;

// tunnel_too_big.cc
/// Drops a frame that is too long for the underlay, and tells the vNIC that sent it.
/// @param mtu  bytes of layer 3 that would pass
void refuse_too_big(WorkerContext& context, rte_mbuf* frame, PortIndex egress,
                    std::uint32_t mtu) noexcept;

}  // namespace sluice::datapath
