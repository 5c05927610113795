// SPDX-License-Identifier: Apache-2.0
// How keys come from keys: HKDF-SHA-256 (RFC 5869), and by it the key that one sender seals with.
// Any receiver that holds the group key derives the same. The key service and tests call it. Pure,
// any thread.
//
//   key | salt = HKDF(salt "sluice esp 1", group key, info), key_size(algorithm) + 4 bytes
//   info = policy 1 | algorithm 1 | rotate_s 4 | epoch 8 | generation 2 | worker 1 | family 1 (4
//          or 6) | address 4 or 16, all big endian; algorithm 0 AES-128-GCM, 1 AES-256-GCM, 2
//          AES-128-GMAC
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "controller-agent/keys/group_key.h"
#include "controller-agent/keys/secret.h"
#include "sluice/model/encryption.h"
#include "sluice/net/address.h"

namespace sluice::keys {

/// HKDF-SHA-256, extract and expand. `out` gets as many bytes as it has, at most 255 * 32.
void hkdf_sha256(std::span<const std::uint8_t> salt, std::span<const std::uint8_t> secret,
                 std::span<const std::uint8_t> info, std::span<std::uint8_t> out);

/// Who counts packets, and when: of no two of them are the keys equal.
struct SenderName {
    std::uint8_t policy = 0;  ///< model::id_of().
    model::KeyAlgorithm algorithm = model::KeyAlgorithm::kAes128Gcm;
    std::uint32_t rotate_s = 0;
    std::uint64_t epoch = 0;       ///< Unix time / rotate_s.
    std::uint16_t generation = 0;  ///< 0..4095.
    std::uint8_t worker = 0;
    IpAddr vtep;  ///< Outer source address of what it sends.
};

/// Key and salt (RFC 4106 §8.1), side by side: model::key_size() bytes, then 4.
[[nodiscard]] Secret<36> sender_key(const GroupKey& group, const SenderName& sender);

}  // namespace sluice::keys
