// SPDX-License-Identifier: Apache-2.0
// Group keys of a key policy, as this host holds them: from a file of the host or, sealed to it,
// from the document. What is wrong is refused with a sentence that names policy and file. Reads
// files: on a helper thread.
//
// A file holds either one key (its bytes, or hex digits, or base64, of exactly as many bytes as the
// algorithm wants), in force always; or the JSON list that is `keys` in a document.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controller-agent/keys/secret.h"
#include "sluice/base/result.h"
#include "sluice/model/encryption.h"

namespace sluice::keys {

class HostKey;

/// One key: 16 or 32 bytes.
class GroupKey {
public:
    /// `bytes`: at most 32.
    explicit GroupKey(std::span<const std::uint8_t> bytes);
    /// Fresh and random, of the algorithm's size.
    [[nodiscard]] static GroupKey random(model::KeyAlgorithm algorithm);

    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
        return bytes_.bytes().first(size_);
    }
    /// Eight hex digits that tell two keys apart and say nothing of them.
    [[nodiscard]] std::string fingerprint() const;

private:
    Secret<32> bytes_;
    std::size_t size_ = 0;
};

/// In force from `epoch` on, until a later one.
struct EpochKey {
    std::uint64_t epoch = 0;
    GroupKey key;
};

/// All that this host can open of a policy, ascending by epoch.
class GroupKeys {
public:
    void add(std::uint64_t epoch, GroupKey key);
    /// The one in force; nullptr: none.
    [[nodiscard]] const GroupKey* at(std::uint64_t epoch) const noexcept;
    [[nodiscard]] const std::vector<EpochKey>& all() const noexcept { return keys_; }

private:
    std::vector<EpochKey> keys_;
};

/// One key of a text (bytes, hex, base64); nullopt if it is none of `size` bytes.
[[nodiscard]] std::optional<GroupKey> parse_group_key(std::string_view text, std::size_t size);

/// `keys` of a document or a file, checked: epochs ascend, public keys are public keys.
/// @param whom  what a sentence begins with: "key_policy kp1"
[[nodiscard]] Result<std::vector<model::SealedKey>> parse_sealed_keys(std::string_view text,
                                                                      const std::string& whom);
/// The text of such a file.
[[nodiscard]] std::string sealed_keys_text(const std::vector<model::SealedKey>& keys);

/// Content of a key file: one key, or a list.
struct KeyFile {
    std::optional<GroupKey> key;
    std::vector<model::SealedKey> sealed;
};
/// @return kNotFound, kIo, kDenied (others may read it), kInvalid, naming policy and file
[[nodiscard]] Result<KeyFile> read_key_file(const model::KeyPolicy& policy);

/// What this host has of a policy.
struct LoadedKeys {
    GroupKeys keys;
    std::string why;  ///< Why there are none, a sentence: nothing is sealed to this host (yet).
};

/// `host`: nullptr if it has no key pair. A host to which nothing is sealed runs without keys; what
/// is there and is wrong is an error.
[[nodiscard]] Result<LoadedKeys> load_group_keys(const model::KeyPolicy& policy,
                                                 const HostKey* host);

}  // namespace sluice::keys
