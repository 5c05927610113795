// SPDX-License-Identifier: Apache-2.0
// CaptureRing: copies of frames on their way from one worker to control: bounded, single producer,
// single consumer, full = missed and counted. Records lie one behind the other, none across the
// ring's end. A record can still be amended by its worker until commit(), at the end of the poll,
// because how a frame ends is known later than how it began.
// Threads: reserve, amendable, commit, count_missed: the worker; front, pop: control.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "datapath/flow_table.h"
#include "datapath/program.h"
#include "sluice/base/limits.h"
#include "sluice/telemetry/counters.h"

struct rte_mbuf;

namespace sluice::datapath {

/// One copy: this header, then `captured_size` bytes of the frame.
struct CaptureRecord {
    std::uint32_t record_size = 0;    ///< Header, bytes and padding.
    std::uint32_t frame_size = 0;     ///< Bytes of the whole frame.
    std::uint32_t captured_size = 0;  ///< Of those, how many follow.
    PortIndex port = kNoPort;         ///< Where it was seen.
    Direction direction = Direction::kFromVm;
    std::uint8_t captures = 0;  ///< Bit a capture that wants it; 0 = filler.
    std::uint64_t time_ns = 0;  ///< Monotonic, of the poll.
    std::uint16_t judged = 0;   ///< Bit a slot of `port` that judged it.
    DropReason reason = DropReason::kNone;
    std::uint8_t drop_slot = kNoSlot;  ///< Slot that dropped it,
    PortIndex drop_port = kNoPort;     ///< of this port.
    const rte_mbuf* frame = nullptr;   ///< worker: the frame that it tells of, while that lives.
    [[nodiscard]] const std::uint8_t* bytes() const noexcept {
        return reinterpret_cast<const std::uint8_t*>(this + 1);
    }
    [[nodiscard]] std::uint8_t* bytes() noexcept {
        return reinterpret_cast<std::uint8_t*>(this + 1);
    }
};

class CaptureRing {
public:
    /// @param size  bytes, a power of two
    explicit CaptureRing(std::uint32_t size);

    /// worker: room for a record with `captured_size` bytes behind it; nullptr if there is none.
    /// Fields are as in a new CaptureRecord but for the sizes.
    [[nodiscard]] CaptureRecord* reserve(std::uint32_t captured_size) noexcept;
    /// worker: a number from which amendable() finds the record again.
    [[nodiscard]] std::uint32_t mark_of(const CaptureRecord& record) const noexcept;
    /// worker: the record that `mark` stands for, if it tells of `frame` and is not committed yet;
    /// else nullptr. Any number may be asked for.
    [[nodiscard]] CaptureRecord* amendable(std::uint32_t mark, const rte_mbuf* frame) noexcept;
    /// worker: hands everything reserved to control.
    void commit() noexcept;
    /// worker: a frame that found no room, for each capture of the set.
    void count_missed(std::uint8_t captures) noexcept;

    /// control: the oldest committed record, nullptr if there is none. Fillers are passed over.
    [[nodiscard]] const CaptureRecord* front() noexcept;
    /// control: gives front()'s room back.
    void pop() noexcept;
    [[nodiscard]] std::uint64_t missed(unsigned capture) const noexcept {
        return missed_[capture].get();
    }

private:
    [[nodiscard]] CaptureRecord* at(std::uint64_t position) noexcept;

    LazyMemory memory_;
    const std::uint32_t size_;
    std::uint64_t reserved_ = 0;                      // worker: rw
    std::array<Counter, kCaptureMax> missed_;         // worker: rw, control: ro
    alignas(64) std::atomic<std::uint64_t> head_{0};  // worker: w, control: r
    alignas(64) std::atomic<std::uint64_t> tail_{0};  // control: w, worker: r
};

}  // namespace sluice::datapath
