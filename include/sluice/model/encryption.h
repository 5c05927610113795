// SPDX-License-Identifier: Apache-2.0
// model::Encryption: the noun `encryption`, which traffic between hosts is sealed in slot 15, and
// by which keys. A rule speaks of conversations: it matches the packets of both directions. First
// match wins; no match is clear. Plain values, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/model/service.h"

namespace sluice::model {

/// RFC 4106 with 16-byte tags; kAes128Gmac: RFC 4543, authenticated and readable.
enum class KeyAlgorithm : std::uint8_t { kAes128Gcm, kAes256Gcm, kAes128Gmac };

/// Bytes of a group key of the algorithm.
[[nodiscard]] constexpr std::size_t key_size(KeyAlgorithm algorithm) noexcept {
    return algorithm == KeyAlgorithm::kAes256Gcm ? 32 : 16;
}

/// A group key, sealed to each host that is to have it. In force from `epoch` on until a later one.
struct SealedKey {
    std::uint64_t epoch = 0;                   ///< Unix time / rotate_s.
    std::map<std::string, std::string> hosts;  ///< Public key of a host, and the group key sealed
                                               ///< to it; both base64.

    bool operator==(const SealedKey&) const = default;
};

struct KeyPolicy {
    std::string name;
    KeyAlgorithm algorithm = KeyAlgorithm::kAes128Gcm;
    std::uint32_t rotate_s = 86400;  ///< Length of an epoch: each has keys of its own.
    std::string key_file;            ///< Absolute path; or `keys`. A group key of this host.
    std::uint8_t id = 0;  ///< 1..kKeyPolicyMax, what SPIs name; 0 = by the name (default_id()).
    std::vector<SealedKey> keys;  ///< Ascending by epoch.

    bool operator==(const KeyPolicy&) const = default;
};

enum class EncryptionAction : std::uint8_t { kEncrypt, kIntegrity, kClear };

struct EncryptionRule {
    std::string name;
    EncryptionAction action = EncryptionAction::kEncrypt;
    bool required = true;    ///< Plaintext neither leaves nor enters the host. Not of kClear.
    std::string key_policy;  ///< Needed but for kClear. kIntegrity needs one with GMAC.
    std::vector<std::string> source;
    std::vector<std::string> destination;
    std::vector<Service> services;
    std::vector<std::string> applied_to;

    bool operator==(const EncryptionRule&) const = default;
};

struct Encryption {
    std::vector<KeyPolicy> key_policies;
    std::vector<EncryptionRule> rules;

    bool operator==(const Encryption&) const = default;
};

/// The number of a key policy that the document gives none: 1..63, a pure function of the name, so
/// that all hosts agree.
[[nodiscard]] constexpr std::uint8_t default_key_policy_id(std::string_view name) noexcept {
    std::uint32_t hash = 0x811c9dc5U;  // FNV-1a, 32 bits, folded.
    for (const char c : name) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193U; }
    return static_cast<std::uint8_t>((hash ^ hash >> 16U) % 63U + 1U);
}

/// The number that SPIs name.
[[nodiscard]] inline std::uint8_t id_of(const KeyPolicy& policy) noexcept {
    return policy.id != 0 ? policy.id : default_key_policy_id(policy.name);
}

}  // namespace sluice::model
