// SPDX-License-Identifier: Apache-2.0
// SecurityAssociations: the keys of slot 15 as workers use them, one object a dataplane. Control
// (the key service) makes associations and takes them away; workers seal and open with them
// (esp_seal.cc, esp_open.cc), and tell control what they lack. An association is made of rte_ipsec
// and a cryptodev session, which control allocates; workers allocate nothing. What workers may
// still hold is freed behind a grace period. docs/adr/0040-esp-inside-vxlan.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/base/result.h"
#include "sluice/iochain/spi.h"
#include "sluice/model/encryption.h"

namespace sluice::datapath {

/// All that an association is made of. Who fills it wipes it (OPENSSL_cleanse).
struct SaParameters {
    std::uint32_t spi = 0;  ///< Spi::value().
    model::KeyAlgorithm algorithm = model::KeyAlgorithm::kAes128Gcm;
    std::array<std::uint8_t, 32> key{};  ///< model::key_size() bytes of it.
    std::array<std::uint8_t, 4> salt{};  ///< RFC 4106 §4.
};

/// What a worker tells control.
struct SaEvent {
    enum class Kind : std::uint8_t {
        kWanted,  ///< A packet of `remote` came sealed with `spi`, which nobody has made.
        kUsed,    ///< The first packet that `spi` of `remote` opened.
        kFilling  ///< The sending one of `spi` has sealed all but a margin of what it may.
    };
    Kind kind = Kind::kWanted;
    std::uint16_t remote = 0;  ///< Index into Snapshot::remotes.
    std::uint32_t spi = 0;
};

/// Figures of one association, for `show encryption`.
struct SaFigures {
    bool is_sending = false;
    std::uint16_t vtep = 0;    ///< Sending: index into Snapshot::vteps.
    std::uint16_t remote = 0;  ///< Receiving: index into Snapshot::remotes.
    std::uint32_t spi = 0;
    std::uint64_t packets = 0, bytes = 0;  ///< Sealed or opened.
    std::uint64_t sequence = 0;            ///< Last sent, or highest received.
    std::uint64_t replayed = 0, bad_tags = 0;
};

class SecurityAssociations {
public:
    explicit SecurityAssociations(unsigned worker_count);
    ~SecurityAssociations();
    SecurityAssociations(const SecurityAssociations&) = delete;
    SecurityAssociations& operator=(const SecurityAssociations&) = delete;

    // control
    /// Makes `parameters` what the worker that polls the uplink of `vtep` seals with under the
    /// policy in its SPI, in place of the one before, which goes. Counts from 1.
    [[nodiscard]] Status send_with(std::uint16_t vtep, const SaParameters& parameters);
    /// Nothing is sealed under `policy` by `vtep` any more: what needs it is dropped.
    void stop_sending(std::uint16_t vtep, std::uint8_t policy);
    /// From now on what `remote` seals with the SPI is opened. An SPI that is there: no effect.
    [[nodiscard]] Status receive_with(std::uint16_t remote, const SaParameters& parameters);
    void stop_receiving(std::uint16_t remote, std::uint32_t spi);
    /// The next thing that a worker said, if there is one.
    [[nodiscard]] bool poll(SaEvent& event) noexcept;
    [[nodiscard]] std::vector<SaFigures> figures() const;
    /// Frees what was taken away, once workers have passed on.
    /// @param is_settled  a grace period that began after the last change has ended
    void reclaim(bool is_settled);

    struct State;
    /// For workers: esp_seal.cc, esp_open.cc.
    [[nodiscard]] State& state() noexcept { return *state_; }

private:
    std::unique_ptr<State> state_;
};

}  // namespace sluice::datapath
