// SPDX-License-Identifier: Apache-2.0
// SecurityAssociations: see security_associations.h. Control thread. A slot of either table is
// changed by one store, what was in it is retired; the table of receiving ones is made anew when it
// fills, so that lookups end soon.
#include "datapath/security_associations.h"

#include <string>
#include <utility>

#include "datapath/association.h"
#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kTableMin = 256;

// Stands where one was taken away: nobody's SPI.
ReceivingAssociation* tomb() {
    static ReceivingAssociation nobody;
    return &nobody;
}

Status fill(Association& out, const SaParameters& parameters, bool seals) {
    Result<CryptoSession> session =
        CryptoSession::make(parameters.algorithm, parameters.key.data(), seals);
    if (!session.ok()) { return session.error(); }
    out.spi = parameters.spi;
    out.salt = parameters.salt;
    out.is_gmac = parameters.algorithm == model::KeyAlgorithm::kAes128Gmac;
    out.session = std::move(session).value();
    return Ok{};
}

void put(ReceivingTable& table, ReceivingAssociation* what) {
    std::uint32_t at = table.home(what->remote, what->spi);
    while (table.slots[at].load(std::memory_order_relaxed) != nullptr) {
        at = (at + 1) & table.mask;
    }
    table.slots[at].store(what, std::memory_order_release);
    ++table.used;
}

template <typename Visit>
void for_each(const ReceivingTable& table, const Visit& visit) {
    for (std::uint32_t i = 0; i <= table.mask; ++i) {
        ReceivingAssociation* one = table.slots[i].load(std::memory_order_relaxed);
        if (one != nullptr && one != tomb()) { visit(*one); }
    }
}

// Half empty at least, so that a lookup finds an end.
void make_room(SecurityAssociations::State& state) {
    ReceivingTable* old = state.receiving.load(std::memory_order_relaxed);
    if ((old->used + 1) * 2 <= old->mask + 1) { return; }
    std::uint32_t capacity = kTableMin;
    while (capacity < (state.receiving_count + 1) * 4) { capacity *= 2; }
    auto next = std::make_unique<ReceivingTable>(capacity);
    for_each(*old, [&](ReceivingAssociation& one) { put(*next, &one); });
    state.receiving.store(next.release(), std::memory_order_release);
    state.retired_tables.emplace_back(old);
}

SaFigures figures_of(const Association& one) {
    SaFigures out;
    out.spi = one.spi;
    return out;
}

}  // namespace

SecurityAssociations::State::State(unsigned workers) : worker_count(workers) {
    receiving.store(std::make_unique<ReceivingTable>(kTableMin).release());
    for (unsigned i = 0; i < workers; ++i) { voices.push_back(std::make_unique<SaVoice>()); }
}

SecurityAssociations::State::~State() {
    for (PolicySlots& slots : sending) {
        for (auto& slot : slots) { const std::unique_ptr<SendingAssociation> gone(slot.load()); }
    }
    const std::unique_ptr<ReceivingTable> table(receiving.load());
    for_each(*table, [](ReceivingAssociation& one) {
        const std::unique_ptr<ReceivingAssociation> gone(&one);
    });
}

SecurityAssociations::SecurityAssociations(unsigned worker_count)
    : state_(std::make_unique<State>(worker_count)) {}

SecurityAssociations::~SecurityAssociations() = default;

Status SecurityAssociations::send_with(std::uint16_t vtep, const SaParameters& parameters) {
    SLUICE_ASSERT(vtep < kVtepMax && Spi::is_ours(parameters.spi));
    auto next = std::make_unique<SendingAssociation>();
    next->vtep = vtep;
    if (Status filled = fill(*next, parameters, true); !filled.ok()) { return filled; }
    auto& slot = state_->sending[vtep][Spi::of(parameters.spi).policy];
    state_->retired_sending.emplace_back(slot.exchange(next.release(), std::memory_order_acq_rel));
    return Ok{};
}

void SecurityAssociations::stop_sending(std::uint16_t vtep, std::uint8_t policy) {
    SLUICE_ASSERT(vtep < kVtepMax && policy <= kKeyPolicyMax);
    state_->retired_sending.emplace_back(
        state_->sending[vtep][policy].exchange(nullptr, std::memory_order_acq_rel));
}

Status SecurityAssociations::receive_with(std::uint16_t remote, const SaParameters& parameters) {
    SLUICE_ASSERT(Spi::is_ours(parameters.spi));
    State& state = *state_;
    if (state.receiving.load()->find(remote, parameters.spi) != nullptr) { return Ok{}; }
    if (state.receiving_count >= kReceivingSaMax) {
        return Error{Errc::kLimit,
                     "encryption: the host holds " + std::to_string(kReceivingSaMax) +
                         " keys of other hosts, there is no room for one more",
                     {}};
    }
    auto next = std::make_unique<ReceivingAssociation>();
    next->remote = remote;
    if (Status filled = fill(*next, parameters, false); !filled.ok()) { return filled; }
    make_room(state);
    put(*state.receiving.load(), next.release());
    ++state.receiving_count;
    return Ok{};
}

void SecurityAssociations::stop_receiving(std::uint16_t remote, std::uint32_t spi) {
    State& state = *state_;
    ReceivingTable& table = *state.receiving.load();
    for (std::uint32_t at = table.home(remote, spi);; at = (at + 1) & table.mask) {
        ReceivingAssociation* one = table.slots[at].load(std::memory_order_relaxed);
        if (one == nullptr) { return; }
        if (one == tomb() || one->spi != spi || one->remote != remote) { continue; }
        table.slots[at].store(tomb(), std::memory_order_release);
        state.retired_receiving.emplace_back(one);
        --state.receiving_count;
        return;
    }
}

bool SecurityAssociations::poll(SaEvent& event) noexcept {
    for (const auto& voice : state_->voices) {
        if (voice->ring.pop(event)) { return true; }
    }
    return false;
}

std::vector<SaFigures> SecurityAssociations::figures() const {
    std::vector<SaFigures> out;
    for (const State::PolicySlots& slots : state_->sending) {
        for (const auto& slot : slots) {
            const SendingAssociation* one = slot.load();
            if (one == nullptr) { continue; }
            SaFigures& row = out.emplace_back(figures_of(*one));
            row.is_sending = true;
            row.vtep = one->vtep;
            row.packets = one->packets.get();
            row.bytes = one->bytes.get();
            row.sequence = one->sequence.load(std::memory_order_relaxed);
        }
    }
    for_each(*state_->receiving.load(), [&](ReceivingAssociation& one) {
        SaFigures& row = out.emplace_back(figures_of(one));
        row.remote = one.remote;
        row.packets = one.packets.get();
        row.bytes = one.bytes.get();
        row.replayed = one.replayed.get();
        row.bad_tags = one.bad_tags.get();
        row.sequence = one.highest.load(std::memory_order_relaxed);
    });
    return out;
}

void SecurityAssociations::reclaim(bool is_settled) {
    if (!is_settled) { return; }
    state_->retired_sending.clear();
    state_->retired_receiving.clear();
    state_->retired_tables.clear();
}

}  // namespace sluice::datapath
