// SPDX-License-Identifier: Apache-2.0
// TapPort: an interface of the kernel's stack as a port, over a TAP's descriptor with virtio
// headers. Control hands in a descriptor (set_fd) whenever the interface was made, and takes it
// away again when its namespace has gone; the port, its index and its counters stay. Only
// non-blocking readv and writev touch the descriptor. Threads: receive/send/kicks by the worker
// that polls the port, the rest by control, who closes a descriptor that was taken away only after
// every worker has passed a quiescent state.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "datapath/port.h"
#include "datapath/virtio_header.h"
#include "sluice/base/limits.h"

struct rte_mempool;

namespace sluice::datapath {

class TapPort final : public Port {
public:
    explicit TapPort(rte_mempool* pool) noexcept : pool_(pool) {}
    ~TapPort() override;

    /// Makes `fd` (non-blocking; -1 for none) what workers use. Not owned: the caller closes the
    /// one before after a grace period. control.
    void set_fd(int fd) noexcept;
    /// Workers found that the interface was deleted. Any thread.
    [[nodiscard]] bool is_gone() const noexcept {
        return state_.load(std::memory_order_relaxed) == State::kGone;
    }
    /// Workers found the interface set down. Any thread.
    [[nodiscard]] bool is_set_down() const noexcept {
        return state_.load(std::memory_order_relaxed) == State::kDown;
    }
    /// Lets workers try an interface again that was set down. control, now and then.
    void try_again() noexcept;

    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] bool is_up() const noexcept override {
        return state_.load(std::memory_order_relaxed) == State::kUp;
    }
    [[nodiscard]] bool takes_partial_checksum() const noexcept override { return true; }
    [[nodiscard]] bool takes_tso4() const noexcept override { return true; }
    [[nodiscard]] bool takes_tso6() const noexcept override { return true; }
    [[nodiscard]] std::uint32_t kick_epoch() const noexcept override {
        return epoch_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::size_t kick_fds(std::span<int> room) noexcept override;
    void want_kicks(bool wanted) noexcept override {
        if (wanted) { next_look_cycles_ = 0; }  // The look before the sleep is a real one.
    }

private:
    enum class State : std::uint8_t { kNone, kUp, kDown, kGone };

    [[nodiscard]] bool fill_reserve() noexcept;
    [[nodiscard]] rte_mbuf* take_frame(std::uint32_t bytes) noexcept;
    [[nodiscard]] ssize_t read_frame(int fd) noexcept;
    [[nodiscard]] bool send_frame(int fd, const rte_mbuf& frame) noexcept;
    void note_error(int error) noexcept;

    rte_mempool* const pool_;
    std::atomic<int> fd_{-1};                          // control: w, worker: r
    std::atomic<std::uint32_t> epoch_{0};              // control: w, worker: r
    std::atomic<State> state_{State::kNone};           // control and worker: rw
    std::array<rte_mbuf*, kTapSegmentMax> reserve_{};  // worker: buffers that the next frame fills
    std::uint16_t missing_ = kTapSegmentMax;           // worker: of them, at the front
    VirtioHeader header_;                              // worker: of the next frame
    std::array<iovec, kTapSegmentMax + 1U> parts_{};   // worker: header_ and reserve_
    std::uint64_t next_look_cycles_ = 0;               // worker
};

}  // namespace sluice::datapath
