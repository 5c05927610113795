// SPDX-License-Identifier: Apache-2.0
// Association: what SecurityAssociations (security_associations.h) keeps of each key, and how
// workers find it. Written by control, which frees nothing that a worker may still hold; the
// sequence numbers, windows and figures are the workers'. Private to security_associations.cc,
// esp_seal.cc, esp_open.cc and their tests.
#pragma once

#include <rte_spinlock.h>

#include <atomic>
#include <memory>
#include <vector>

#include "datapath/crypto_session.h"
#include "datapath/events.h"
#include "datapath/replay_window.h"
#include "datapath/security_associations.h"
#include "sluice/telemetry/counters.h"

namespace sluice::datapath {

/// What both ends have.
struct Association {
    std::uint32_t spi = 0;
    std::array<std::uint8_t, 4> salt{};
    bool is_gmac = false;
    CryptoSession session;
};

/// A key that this host seals with.
struct SendingAssociation : Association {
    std::uint16_t vtep = 0;
    std::atomic<bool> is_filling{false};                 // worker: rw
    alignas(64) std::atomic<std::uint64_t> sequence{0};  // worker: rw, control: ro; last one
    Counter packets, bytes;                              // worker: rw, control: ro
};

/// A key that another host seals with.
struct ReceivingAssociation : Association {
    std::uint16_t remote = 0;
    std::atomic<bool> is_used{false};                            // worker: rw
    std::atomic<std::uint64_t> highest{0};                       // worker: w, control: ro
    alignas(64) rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;  // Of all that follows.
    ReplayWindow window;
    Counter packets, bytes, replayed, bad_tags;  // worker: rw, control: ro
};

/// (remote, SPI) -> association: open addressing, linear. Slots change by one store each.
struct ReceivingTable {
    explicit ReceivingTable(std::uint32_t capacity)
        : mask(capacity - 1),
          slots(std::make_unique<std::atomic<ReceivingAssociation*>[]>(capacity)) {}

    std::uint32_t mask;
    std::uint32_t used = 0;  // control: rw; tombs included
    std::unique_ptr<std::atomic<ReceivingAssociation*>[]> slots;

    [[nodiscard]] std::uint32_t home(std::uint16_t remote, std::uint32_t spi) const noexcept {
        const std::uint64_t key = std::uint64_t{remote} << 32U | spi;
        return static_cast<std::uint32_t>(key * 0x9e3779b97f4a7c15U >> 32U) & mask;
    }
    /// Worker: the association, nullptr if there is none.
    [[nodiscard]] ReceivingAssociation* find(std::uint16_t remote,
                                             std::uint32_t spi) const noexcept {
        for (std::uint32_t at = home(remote, spi);; at = (at + 1) & mask) {
            ReceivingAssociation* found = slots[at].load(std::memory_order_acquire);
            if (found == nullptr) { return nullptr; }
            if (found->spi == spi && found->remote == remote) { return found; }
        }
    }
};

/// What a worker tells control, and what it told lately.
struct SaVoice {
    SaVoice() : ring(kSaEventMax) {}
    EventRing<SaEvent> ring;
    struct Told {
        std::uint32_t spi = 0;
        std::uint16_t remote = 0;
        std::uint64_t until_ns = 0;
    };
    std::array<Told, 64> wanted{};  // worker: rw
};

struct SecurityAssociations::State {
    explicit State(unsigned workers);
    ~State();

    using PolicySlots = std::array<std::atomic<SendingAssociation*>, kKeyPolicyMax + 1U>;
    unsigned worker_count;
    std::array<PolicySlots, kVtepMax> sending{};      // control: rw, worker: ro; owned
    std::atomic<ReceivingTable*> receiving{nullptr};  // control: rw, worker: ro; owned
    std::uint32_t receiving_count = 0;                // control
    std::vector<std::unique_ptr<SaVoice>> voices;     // by worker
    std::vector<std::unique_ptr<SendingAssociation>> retired_sending;      // control
    std::vector<std::unique_ptr<ReceivingAssociation>> retired_receiving;  // control
    std::vector<std::unique_ptr<ReceivingTable>> retired_tables;           // control

    /// Worker: what `vtep` seals with under `policy`, nullptr if there is nothing.
    [[nodiscard]] SendingAssociation* sender(std::uint16_t vtep,
                                             std::uint8_t policy) const noexcept {
        return sending[vtep][policy].load(std::memory_order_acquire);
    }
};

}  // namespace sluice::datapath
