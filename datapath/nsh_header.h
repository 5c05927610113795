// SPDX-License-Identifier: Apache-2.0
// NshHeader: the Network Service Header on the wire, MD type 1 (RFC 8300 §2), with the Ethernet
// header before it: 38 bytes, then a whole Ethernet frame.
//   Ethernet: destination, source, 0x894f
//   base:     version 0 | O | U | TTL | length 6 | 0 | MD type 1 | next protocol 3 (Ethernet)
//   path:     service path identifier (24) | service index (8)
//   context:  ingress port (16) | service VID (16)
//             slot (8) | origin (16) | 0 (5) | bypass, side, direction
//             connection's index | its generation
// Of an O packet (§2.2) the frame is a heartbeat. `origin` is the host's of the service: which
// remote VTEP gets the frame back, 0 = the host itself. Called by nsh.cc and service_health.cc;
// pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "datapath/nsh.h"

namespace sluice::datapath {

inline constexpr std::uint16_t kEtherNsh = 0x894f;
inline constexpr std::uint32_t kNshEnvelope = 38;  ///< Bytes before the frame.
inline constexpr std::uint8_t kNshTtl = 63;        ///< RFC 8300 §2.2.

/// What an envelope says.
struct NshHeader {
    NshContext what;
    std::uint8_t ttl = kNshTtl;   ///< 0 to 63.
    bool is_oam = false;          ///< O: a heartbeat.
    std::uint16_t origin = 0;     ///< Index into Snapshot::remotes.
    MacAddr destination, source;  ///< Of the envelope.
};

/// Writes it. `out` has room for kNshEnvelope bytes.
void write_nsh(std::uint8_t* out, const NshHeader& header) noexcept;

/// Reads an envelope at the beginning of a frame.
/// @param bytes  of the first segment
/// @return nothing: it is none, or another version, MD type, length or protocol than above, or
///         its TTL, service index or path is 0, or less than an Ethernet header is in it
[[nodiscard]] std::optional<NshHeader> read_nsh(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace sluice::datapath
