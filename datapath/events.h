// SPDX-License-Identifier: Apache-2.0
// Events: what workers tell control without waiting for it. A bounded ring of plain records, one
// writer (a worker) and one reader (control); what finds it full is counted and forgotten. Records
// hold numbers only: names are found by control. FirewallEvent is what rules with `log` leave
// behind.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "sluice/base/assert.h"
#include "sluice/base/ids.h"
#include "sluice/iochain/chain.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

/// Ring of `Record`s with room for `capacity` (a power of two). No allocation after construction.
template <typename Record>
class EventRing {
    static_assert(std::is_trivially_copyable_v<Record>);

public:
    explicit EventRing(std::uint32_t capacity)
        : mask_(capacity - 1), records_(std::make_unique<Record[]>(capacity)) {
        SLUICE_ASSERT(std::has_single_bit(capacity));
    }

    /// worker: adds a record, or counts it as lost.
    void push(const Record& record) noexcept {
        const std::uint32_t head = head_.load(std::memory_order_relaxed);
        if (head - tail_.load(std::memory_order_acquire) > mask_) {
            lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            return;
        }
        records_[head & mask_] = record;
        head_.store(head + 1, std::memory_order_release);
    }

    /// control: takes the oldest record. False if there is none.
    [[nodiscard]] bool pop(Record& out) noexcept {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_.load(std::memory_order_acquire)) { return false; }
        out = records_[tail & mask_];
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }

    /// Records that found the ring full, ever. Any thread.
    [[nodiscard]] std::uint64_t lost() const noexcept {
        return lost_.load(std::memory_order_relaxed);
    }

private:
    const std::uint32_t mask_;
    std::unique_ptr<Record[]> records_;
    alignas(64) std::atomic<std::uint32_t> head_{0};  // worker: rw, control: ro
    std::atomic<std::uint64_t> lost_{0};              // worker: rw, control: ro
    alignas(64) std::atomic<std::uint32_t> tail_{0};  // control: rw, worker: ro
};

/// What became of the packet that a rule with `log` judged.
enum class FirewallEventKind : std::uint8_t {
    kOpen,    ///< It opened a connection.
    kEnd,     ///< Not a packet: a connection that such a rule let open has ended.
    kPass,    ///< A stateless rule let it through.
    kDrop,    ///< Dropped.
    kReject,  ///< Dropped, and its sender is told.
};

/// One line of the firewall log.
struct FirewallEvent {
    std::uint64_t time_ns = 0;  ///< Monotonic.
    std::uint8_t source_ip[16] = {};
    std::uint8_t destination_ip[16] = {};
    std::uint16_t source_port = 0;  ///< As in FlowKey, host order. ICMP: type << 8 | code.
    std::uint16_t destination_port = 0;
    RuleId rule;
    PortIndex port = kNoPort;                                     ///< vNIC whose rule it was.
    PortIndex source_vnic = kNoPort, destination_vnic = kNoPort;  ///< Where they are, if known.
    FirewallEventKind kind = FirewallEventKind::kOpen;
    Direction direction = Direction::kFromVm;  ///< Seen from that vNIC.
    std::uint8_t protocol = 0;
    IpFamily family = IpFamily::kNone;
    // Of kEnd: `rule`, `port` and `direction` are the opener's, here are the responder's. A rule
    // that does not log is for control to leave out.
    ConnectionEnd why = ConnectionEnd::kClosed;
    RuleId responder_rule;
    std::uint64_t opened_ns = 0;  ///< Monotonic.
    std::uint64_t packets = 0, bytes = 0;
};

}  // namespace sluice::datapath
