// SPDX-License-Identifier: Apache-2.0
// CryptoSession: one key as the ipsec_mb driver wants it, and one call of it. The driver works on
// the calling thread (CPU crypto): no queues, nothing to wait for. Sessions are made and freed by
// control; workers call seal(), open(), authenticate() and verify() at the same time.
// docs/adr/0044-esp-by-cryptodev.md.
#pragma once

#include <rte_crypto_sym.h>

#include <cstdint>
#include <memory>
#include <span>

#include "sluice/base/result.h"
#include "sluice/model/encryption.h"

namespace sluice::datapath {

inline constexpr std::size_t kNonceSize = 12;   ///< Salt and IV (RFC 4106 §4).
inline constexpr std::size_t kEspAadSize = 12;  ///< SPI and 64-bit sequence number (§5).
inline constexpr std::size_t kTagSizeEsp = 16;

class CryptoSession {
public:
    /// @param key   model::key_size() bytes
    /// @param seals true: makes tags; false: checks them
    [[nodiscard]] static Result<CryptoSession> make(model::KeyAlgorithm algorithm,
                                                    const std::uint8_t* key, bool seals);
    CryptoSession() = default;
    CryptoSession(CryptoSession&& other) noexcept;
    CryptoSession& operator=(CryptoSession&& other) noexcept;
    CryptoSession(const CryptoSession&) = delete;
    CryptoSession& operator=(const CryptoSession&) = delete;
    ~CryptoSession();  ///< Wipes the key.

    /// AES-GCM over `jobs`, or GMAC over the data of each. Any thread.
    void run(rte_crypto_sym_vec& jobs) const noexcept;

private:
    void release() noexcept;

    void* session_ = nullptr;
    std::uint8_t device_ = 0;
};

}  // namespace sluice::datapath
