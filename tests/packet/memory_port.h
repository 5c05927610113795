// SPDX-License-Identifier: Apache-2.0
// MemoryPort: a datapath port whose peer is the test. Frames queued here are received by the worker
// burst by burst; what the worker sends is kept, byte for byte, with the offloads it carries. The
// test's thread steps the workers too: no locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "datapath/port.h"
#include "tests/packet/frames.h"

struct rte_mempool;

namespace sluice::test {

/// What a guest asks its device to do with a frame, in mbuf terms, as librte_vhost leaves it.
struct OffloadRequest {
    std::uint64_t ol_flags = 0;
    std::uint16_t segment_size = 0;  ///< Of TSO.
    bool operator==(const OffloadRequest&) const = default;
};

/// A frame on its way in. `cuts` are the sizes of all segments but the last.
struct QueuedFrame {
    Bytes bytes;
    std::vector<std::uint16_t> cuts;
    OffloadRequest offload;
};

/// A frame that came out.
struct SentFrame {
    Bytes bytes;
    OffloadRequest offload;
    bool operator==(const SentFrame&) const = default;
};

/// A cycle counter that only the ports of a test move on: what frames cost is given, and shares are
/// the same on each machine.
struct TestCycles {
    static inline std::uint64_t now = 0;
    static std::uint64_t read() noexcept { return now; }
};

class MemoryPort final : public datapath::Port {
public:
    explicit MemoryPort(rte_mempool& pool) : pool_(pool) {}

    void queue(QueuedFrame frame) { queued_.push_back(std::move(frame)); }
    void queue_broken(std::uint16_t count) {
        broken_count_ = count;
    }  ///< Descriptors that carry no frame.
    [[nodiscard]] bool has_queued() const noexcept { return !queued_.empty() || broken_count_ > 0; }
    [[nodiscard]] std::size_t queued_count() const noexcept { return queued_.size(); }
    [[nodiscard]] std::vector<SentFrame> take_sent() { return std::exchange(sent_, {}); }
    [[nodiscard]] const std::vector<SentFrame>& sent() const noexcept { return sent_; }
    void clear_sent() noexcept { sent_.clear(); }

    // What the peer is like.
    bool up = true;
    bool partial_checksum = false, tso4 = false, tso6 = false;
    std::size_t room = SIZE_MAX;       ///< Frames that the peer still takes.
    std::size_t burst_max = 32;        ///< Frames that it hands over at once.
    std::uint64_t receive_cycles = 0;  ///< A frame, on TestCycles, when it is taken from here,
    std::uint64_t send_cycles = 0;     ///< and when it is brought here.

    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] bool is_up() const noexcept override { return up; }
    [[nodiscard]] bool takes_partial_checksum() const noexcept override { return partial_checksum; }
    [[nodiscard]] bool takes_tso4() const noexcept override { return tso4; }
    [[nodiscard]] bool takes_tso6() const noexcept override { return tso6; }

private:
    rte_mempool& pool_;
    std::deque<QueuedFrame> queued_;
    std::uint16_t broken_count_ = 0;
    std::vector<SentFrame> sent_;
};

}  // namespace sluice::test
