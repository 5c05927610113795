// SPDX-License-Identifier: Apache-2.0
// Esp: sealing and opening of inner packets, ESP in transport mode (RFC 4303 §3.1.1) with AES-GCM
// (RFC 4106) or AES-GMAC (RFC 4543), 64-bit sequence numbers, 16-byte tags. In place:
//   Ethernet | IP, its options, hop-by-hop, routing, fragment | SPI, number | IV | sealed | tag
// sealed = payload, padding 1 2 .., its length, next header. The IV is the whole sequence number.
// A fragment is sealed as it is: its place in the datagram stays outside. Called by tunnel_send.cc
// and tunnel_receive.cc, on the worker that polls the uplink. docs/adr/0044-esp-by-cryptodev.md.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/context.h"

namespace sluice::datapath {

struct SendingAssociation;
struct ReceivingAssociation;

inline constexpr std::uint8_t kProtocolEsp = 50;
inline constexpr std::uint32_t kEspHeaderSize = 16;  ///< With the IV.
inline constexpr std::uint32_t kEspTagSize = 16;
inline constexpr std::uint32_t kEspTrailerMin = 2;

/// Bytes that a packet grows by when it is sealed, of which `payload` lie behind the IP header.
[[nodiscard]] constexpr std::uint32_t esp_growth(std::uint32_t payload) noexcept {
    return kEspHeaderSize + kEspTrailerMin + (~(payload + 1U) & 3U) + kEspTagSize;
}
/// The longest packet that fits into `mtu` bytes when it is sealed.
[[nodiscard]] constexpr std::uint32_t mtu_unsealed(std::uint32_t mtu) noexcept {
    constexpr std::uint32_t kFixed = kEspHeaderSize + kEspTagSize;
    return mtu < kFixed + 4U ? 0 : ((mtu - kFixed) & ~3U) - kEspTrailerMin;
}

// esp_seal.cc
/// Seals untagged IP frames that nobody shares and that owe nothing, at most kBurstMax. Numbers go
/// in order of `frames`.
/// @param reasons  of each: kNone, or why it is not sealed and must be dropped
void seal(SendingAssociation& with, rte_mempool& pool, std::span<rte_mbuf* const> frames,
          std::span<DropReason> reasons) noexcept;
/// The same with what `vtep` has for `policy`.
void seal_frames(WorkerContext& context, std::uint16_t vtep, std::uint8_t policy,
                 std::span<rte_mbuf* const> frames, std::span<DropReason> reasons) noexcept;

// esp_open.cc
/// Opens a frame that was sealed for `with`.
/// @param shared  other workers use it, too
/// @return kNone, or why it must be dropped: kEspReplay, kBadEspTag, kBadEsp
[[nodiscard]] DropReason open(ReceivingAssociation& with, rte_mbuf& frame, bool shared) noexcept;
/// Opens an inner frame that `remote` sent, if it is sealed under a policy that the host knows.
/// @param policy  set: under which it was sealed; 0: it is none of ours, and stays as it is
[[nodiscard]] DropReason open_frame(WorkerContext& context, std::uint16_t remote, rte_mbuf& frame,
                                    std::uint8_t& policy) noexcept;

}  // namespace sluice::datapath
