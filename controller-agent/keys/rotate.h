// SPDX-License-Identifier: Apache-2.0
// A fresh group key for a key policy, sealed to every host that is to have it, in force from an
// epoch that nobody seals in yet. The command line calls it. Pure but for randomness, any thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/keys/sealed.h"
#include "sluice/base/result.h"
#include "sluice/model/encryption.h"

namespace sluice::keys {

struct Rotation {
    std::string policy;
    model::KeyAlgorithm algorithm = model::KeyAlgorithm::kAes128Gcm;
    std::uint64_t epoch = 0;      ///< That runs.
    std::set<std::string> hosts;  ///< Public keys, base64, besides those that have the last key.
    const HostKey* opener = nullptr;  ///< Opens present keys, so that new hosts get those too.
};

/// Adds a key to `keys`, from the epoch after the next on (the first one: from the beginning), and
/// takes out those that nobody needs any more.
/// @return from which epoch it is in force; kInvalid if a public key is none, or there is no host;
///         kLimit if kSealedKeyMax keys wait
[[nodiscard]] Result<std::uint64_t> rotate(std::vector<model::SealedKey>& keys,
                                           const Rotation& rotation);

/// The key of a file that held it in the clear, sealed to `hosts`: in force from the beginning.
[[nodiscard]] Result<model::SealedKey> sealed_from(const GroupKey& key, const std::string& policy,
                                                   std::uint64_t epoch,
                                                   const std::set<std::string>& hosts);

}  // namespace sluice::keys
