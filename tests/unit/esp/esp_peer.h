// SPDX-License-Identifier: Apache-2.0
// EspPeer: ESP as another implementation does it, written from RFC 4303, 4106 and 4543 over
// OpenSSL and plain bytes: nothing of it is shared with datapath/.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datapath/security_associations.h"

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;

/// An untagged frame of an IP packet with right lengths and, for IPv4, a right header checksum.
struct PlainPacket {
    bool is_v6 = false;
    std::uint8_t protocol = 17;
    Bytes options;     ///< IPv4: a multiple of four bytes.
    Bytes extensions;  ///< IPv6: in front of the payload; the first one's number is `protocol`.
    std::uint16_t fragment = 0;  ///< IPv4: flags and offset.
    Bytes payload;
};
[[nodiscard]] Bytes frame_of(const PlainPacket& packet);
/// `size` bytes that differ from each other.
[[nodiscard]] Bytes payload_of(std::size_t size, std::uint32_t seed = 1);

/// Seals: `outside` bytes behind the first IP header stay before ESP.
[[nodiscard]] Bytes seal_by_peer(const Bytes& frame, const datapath::SaParameters& key,
                                 std::uint64_t number, std::size_t outside = 0);
/// Opens; nothing if a tag or a length is not right.
[[nodiscard]] std::optional<Bytes> open_by_peer(const Bytes& frame,
                                                const datapath::SaParameters& key,
                                                std::uint64_t number, std::size_t outside = 0);

/// Key and salt of the algorithm, of a seed.
[[nodiscard]] datapath::SaParameters key_of(model::KeyAlgorithm algorithm,
                                            std::uint32_t spi = Spi{5, 1, 2, 0}.value());

}  // namespace sluice::test
