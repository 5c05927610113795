// SPDX-License-Identifier: Apache-2.0
// LagPort: several uplinks that are one link to the fabric (IEEE Std 802.1AX): one port to the
// switch. Frames are spread over the members that may carry them by their flow's hash; a flow moves
// only if its member goes. LACPDUs and markers are taken out here, below the books, and handed to
// control, whose answers leave by the member that they are for. Threads: receive/send by the worker
// that polls the port, the rest by control; members are polled by nobody else.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/ethdev_port.h"
#include "datapath/events.h"

struct rte_mempool;

namespace sluice::datapath {

/// A frame of the slow protocols (IEEE 802.3 Annex 57A) of one member.
struct SlowFrame {
    static constexpr std::size_t kBytes = 124;  ///< What LACP and markers have.
    std::uint16_t member = 0;
    std::array<std::uint8_t, kBytes> bytes;
};

/// What a member carried. worker: rw, control: ro
struct LagFigures {
    std::atomic<std::uint64_t> rx_packets{0}, rx_bytes{0}, tx_packets{0}, tx_bytes{0};
};

class LagPort final : public Port {
public:
    static constexpr std::size_t kMemberMax = 16;
    using Members = std::vector<std::shared_ptr<EthdevPort>>;

    /// @param members  kMemberMax at most
    /// @param pool  buffers of what control sends
    LagPort(Members members, rte_mempool* pool);

    /// Which members, by index, carry frames from now on; none: the port is down. control.
    void set_carriers(const std::vector<std::size_t>& members) noexcept;
    /// Sends a slow frame at the worker's next poll. control.
    void post(const SlowFrame& frame) noexcept { to_send_.push(frame); }
    /// The oldest slow frame that came in. control.
    [[nodiscard]] bool take(SlowFrame& frame) noexcept { return received_.pop(frame); }
    [[nodiscard]] const LagFigures& figures(std::size_t member) const noexcept {
        return figures_[member];
    }

    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] bool is_up() const noexcept override {
        return has_carriers_.load(std::memory_order_relaxed);
    }

private:
    static constexpr std::size_t kBuckets = 256;  // A power of two.

    void send_posted() noexcept;
    ReceiveResult receive_from(std::size_t member, std::span<rte_mbuf*> frames) noexcept;
    [[nodiscard]] bool take_slow(std::size_t member, rte_mbuf& frame) noexcept;

    const Members members_;
    rte_mempool* const pool_;
    std::array<LagFigures, kMemberMax> figures_;
    std::array<std::atomic<std::uint8_t>, kBuckets> carriers_{};  // control: w, worker: r
    std::atomic<bool> has_carriers_{false};                       // control: w, any: r
    EventRing<SlowFrame> received_;                               // worker: w, control: r
    EventRing<SlowFrame> to_send_;                                // control: w, worker: r
    std::size_t next_ = 0;  // worker: the member that is asked first.
};

}  // namespace sluice::datapath
