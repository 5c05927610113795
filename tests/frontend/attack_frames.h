// SPDX-License-Identifier: Apache-2.0
// Frames that an attack sends: addresses are those of the well-formed frame of the scene, so that
// they pass the first checks. Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "attack_scene.h"

namespace sluice::frontend {

using Bytes = std::vector<std::uint8_t>;

/// Ethernet header: both MACs of the scene's frame, and `ethertype`.
[[nodiscard]] Bytes ethernet(const AttackScene& scene, std::uint16_t ethertype);
/// The same up to an IPv4 header with a right checksum; `fragment` is the field of flags and
/// offset.
[[nodiscard]] Bytes ipv4(const AttackScene& scene, std::uint8_t protocol, std::size_t payload_bytes,
                         std::uint16_t fragment = 0, std::uint16_t id = 1);
/// The same up to an IPv6 header.
[[nodiscard]] Bytes ipv6(const AttackScene& scene, std::uint8_t next_header,
                         std::size_t payload_bytes);
/// A TCP segment of IPv4, port 9 to 80, SYN set, no options; its checksum is wrong.
[[nodiscard]] Bytes tcp_frame(const AttackScene& scene, std::size_t payload_bytes);
void append16(Bytes& bytes, unsigned value);
void append(Bytes& bytes, std::size_t count, std::uint8_t value);

}  // namespace sluice::frontend
