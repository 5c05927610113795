// SPDX-License-Identifier: Apache-2.0
// What an attack works with: queue pair 0, a well-formed frame behind descriptor 0, random bytes
// from a seed. Also the tables of attacks, one a kind. The front-end's thread, but for races.
#pragma once

#include <cstring>
#include <random>

#include "attack.h"

namespace sluice::frontend {

/// A guest address behind all memory.
inline constexpr std::uint64_t kNowhere = std::uint64_t{1} << 46U;

struct AttackScene {
    FrontEnd& guest;
    TxQueue& tx;
    RxQueue& rx;
    SplitRing& ring;  ///< The transmit ring.
    Descriptor* descriptors;
    std::size_t header_bytes;
    std::span<const std::uint8_t> frame;  ///< Well-formed, from the destination MAC on.
    std::mt19937_64 random;
    bool sent = true;  ///< False: the socket was closed under a message.

    AttackScene(FrontEnd& front_end, std::span<const std::uint8_t> good_frame, std::uint64_t seed);

    [[nodiscard]] std::uint8_t* buffer() const { return tx.buffer(0).host; }
    /// A readable descriptor of header and frame.
    [[nodiscard]] Descriptor good() const {
        return {tx.buffer(0).guest, static_cast<std::uint32_t>(header_bytes + frame.size()), 0, 0};
    }
    [[nodiscard]] Descriptor* table() const {
        return reinterpret_cast<Descriptor*>(tx.table(0).host);
    }
    /// A descriptor of the indirect table.
    [[nodiscard]] Descriptor indirect(std::size_t entries) const {
        return {tx.table(0).guest, static_cast<std::uint32_t>(entries * sizeof(Descriptor)),
                kDescriptorIndirect, 0};
    }
    void header(const NetHeader& value) const { std::memcpy(buffer(), &value, header_bytes); }
    void fill_random(void* at, std::size_t bytes) {
        auto* out = static_cast<std::uint8_t*>(at);
        for (std::size_t i = 0; i < bytes; ++i) { out[i] = static_cast<std::uint8_t>(random()); }
    }
    /// Makes descriptor 0 available and kicks.
    void offer();
    /// Publishes what was put and kicks whatever the device wishes.
    void publish();
    /// Hands over a frame behind a descriptor and a buffer of its own; what does not fit the ring
    /// is left out. publish() follows.
    void queue(std::span<const std::uint8_t> bytes, const NetHeader& header = {});
    /// Changes each descriptor of the receive ring and kicks.
    template <typename Change>
    void each_receive(Change change) {
        for (unsigned i = 0; i < rx.ring().size(); ++i) { change(rx.ring().descriptors()[i], i); }
        rx.ring().force_kick();
    }
    void note(const Status& status) { sent = sent && status.ok(); }

private:
    unsigned queued_ = 0;
};

[[nodiscard]] std::span<const Attack> descriptor_attacks();
[[nodiscard]] std::span<const Attack> indirect_attacks();
[[nodiscard]] std::span<const Attack> receive_attacks();
[[nodiscard]] std::span<const Attack> header_attacks();
[[nodiscard]] std::span<const Attack> ring_attacks();
[[nodiscard]] std::span<const Attack> race_attacks();
[[nodiscard]] std::span<const Attack> frame_attacks();
[[nodiscard]] std::span<const Attack> socket_attacks();

}  // namespace sluice::frontend
