// SPDX-License-Identifier: Apache-2.0
// Counters: every figure that users see begins here. Each worker has its own set and is its only
// writer; the control thread reads and sums them at any time (relaxed). Figures that cached
// programs carry are folded in lazily.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "sluice/iochain/drop_reason.h"
#include "sluice/iochain/slots.h"

namespace sluice {

/// A count with one writer. worker: rw, control: ro.
class Counter {
public:
    void add(std::uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }
    void reset() noexcept { value_.store(0, std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// What one slot of one vNIC did in one direction.
struct SlotCounters {
    Counter packets;  ///< Let through or dropped.
    Counter drops;
};

/// One port's figures on one worker. rx is from the VM, tx to it.
struct alignas(64) PortCounters {
    Counter rx_packets, rx_bytes, tx_packets, tx_bytes;
    Counter cycles;  ///< TSC cycles that its bursts took, from parse to output queues.
    std::array<Counter, kDropReasonCount> drops;  ///< Charged where the frame entered.
    std::array<std::array<SlotCounters, 2>, kSlotCount> slots;  ///< [slot][Direction]
    Counter answered;  ///< ARP and ND questions of the VM that the switch answered.
};

/// One rule's figures on one worker.
struct RuleCounters {
    Counter hits;  ///< Connections; packets where no connection is made.
    Counter packets, bytes;
};

/// One worker's books and time. received + created + taken_over = sent + consumed + dropped +
/// handed_over + held.
struct alignas(64) WorkerCounters {
    Counter received, created, sent, consumed, dropped;
    Counter handed_over, taken_over;  ///< Frames to and from other workers' ports.
    Counter busy_cycles, idle_cycles, slept_ns, awake_ns;
    Counter flow_misses, flow_hits;
    Counter unsealed_local;  ///< Packets that a rule would have sealed, and that stayed here.
};

/// Books of the whole host as `show drops --audit` prints them.
struct Books {
    std::uint64_t received = 0, created = 0, sent = 0, consumed = 0, dropped = 0, held = 0;
    [[nodiscard]] std::int64_t unaccounted() const noexcept {
        return static_cast<std::int64_t>(received + created) -
               static_cast<std::int64_t>(sent + consumed + dropped + held);
    }
};

}  // namespace sluice
