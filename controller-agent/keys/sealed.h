// SPDX-License-Identifier: Apache-2.0
// HostKey: a host's X25519 key pair (RFC 7748), and group keys sealed to it. The private key stays
// in the state folder of its host; the public one is what others seal to. Calls of HostKey that
// take a path read or write files: the command line, or a helper thread of the daemon.
//
//   sealed = 01 | ephemeral public key 32 | AES-256-GCM of the group key | tag 16, in base64
//   its key and nonce (44 bytes) = HKDF(salt "sluice group key 1", X25519(ephemeral, host),
//   info = ephemeral public key | the host's); what is authenticated beside: "POLICY EPOCH"
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controller-agent/keys/group_key.h"
#include "controller-agent/keys/secret.h"
#include "sluice/base/result.h"

namespace sluice::keys {

using PublicKey = std::array<std::uint8_t, 32>;

/// 44 characters of base64; nullopt if `text` is nothing that can be sealed to.
[[nodiscard]] std::optional<PublicKey> parse_public_key(std::string_view text);
[[nodiscard]] std::string to_string(const PublicKey& key);

class HostKey {
public:
    [[nodiscard]] static HostKey random();
    /// The one of a state folder: base64 of 32 bytes in `host-key`.
    /// @return kNotFound if there is none, kDenied if others may read it, kInvalid, kIo
    [[nodiscard]] static Result<HostKey> load(const std::string& state_dir);
    /// Writes it, durably, mode 0600. kExists if there is one: it is never replaced.
    [[nodiscard]] Status save(const std::string& state_dir) const;

    [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }
    [[nodiscard]] const Secret<32>& secret() const noexcept { return private_; }
    /// Opens what seal() made for this host.
    /// @return kInvalid if it is damaged, for another host, policy or epoch
    [[nodiscard]] Result<GroupKey> open(const std::string& sealed, const std::string& policy,
                                        std::uint64_t epoch) const;

private:
    explicit HostKey(Secret<32> secret);
    Secret<32> private_;
    PublicKey public_{};
};

/// Seals `key` to a host, for one policy and epoch. Base64.
[[nodiscard]] std::string seal(const GroupKey& key, const PublicKey& host,
                               const std::string& policy, std::uint64_t epoch);

}  // namespace sluice::keys
