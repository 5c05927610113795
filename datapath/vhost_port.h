// SPDX-License-Identifier: Apache-2.0
// VhostPort: a vNIC over librte_vhost, split rings. The library listens on a private socket path;
// src/relay connects to it for each guest that attaches. Threads: receive/send/kicks by the worker
// that polls the port; attach and detach by the library's thread, which waits in detach until every
// worker has let go (device ids are reused).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "datapath/port.h"
#include "sluice/base/limits.h"
#include "sluice/base/result.h"

struct rte_mempool;

namespace sluice::datapath {

class VhostPort;

/// What the surroundings give a port, and are told. Called on librte_vhost's thread.
struct VhostHooks {
    std::function<void()> synchronize;  ///< Waits until no worker uses what it used before.
    std::function<void(VhostPort&, int vid)>
        on_attached;                              ///< Rings are ready; before workers see them.
    std::function<void(VhostPort&)> on_detached;  ///< After workers let go.
};

class VhostPort final : public Port {
public:
    /// Registers `path` (shorter than sun_path) with the library and starts listening. control.
    [[nodiscard]] static Result<std::shared_ptr<VhostPort>> open(const std::string& path,
                                                                 rte_mempool* pool,
                                                                 VhostHooks hooks);
    /// Unregisters; the peer is cut off. control, when no snapshot holds the port.
    ~VhostPort() override;

    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] bool is_up() const noexcept override {
        return pair_count_.load(std::memory_order_relaxed) > 0;
    }
    [[nodiscard]] bool takes_partial_checksum() const noexcept override { return has_feature(1); }
    [[nodiscard]] bool takes_tso4() const noexcept override { return has_feature(7); }
    [[nodiscard]] bool takes_tso6() const noexcept override { return has_feature(8); }
    [[nodiscard]] std::uint32_t kick_epoch() const noexcept override {
        return epoch_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::size_t kick_fds(std::span<int> room) noexcept override;
    void want_kicks(bool wanted) noexcept override;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] unsigned queue_pairs() const noexcept {
        return pair_count_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t features() const noexcept {
        return features_.load(std::memory_order_relaxed);
    }
    /// A guest broke a ring: a chain that can't be walked, an available index further ahead than
    /// the ring has entries, or a call descriptor that blocks. The ring is left alone until the
    /// guest sets its rings up again. Any thread.
    [[nodiscard]] bool is_broken() const noexcept {
        return broken_.load(std::memory_order_relaxed) != 0;
    }

    // librte_vhost's thread, by way of vhost_callbacks.cc.
    void attached(int vid);
    void detached();
    void ring_changed(std::uint16_t ring, bool is_enabled);

private:
    VhostPort(std::string path, rte_mempool* pool, VhostHooks hooks);
    [[nodiscard]] bool has_feature(unsigned bit) const noexcept {
        return (features() >> bit & 1U) != 0;
    }
    [[nodiscard]] std::uint16_t receive_queue(int vid, unsigned pair, std::span<rte_mbuf*> frames,
                                              ReceiveResult& result) noexcept;
    void count_broken(int vid, unsigned pair, std::uint16_t received,
                      ReceiveResult& result) noexcept;
    void check_ahead(int vid, unsigned pair, ReceiveResult& result) noexcept;
    [[nodiscard]] std::uint16_t retry_stuck(int vid, unsigned pair, std::span<rte_mbuf*> frames,
                                            ReceiveResult& result) noexcept;
    void enter_epoch(int vid) noexcept;
    void break_ring(std::uint16_t ring) noexcept;
    [[nodiscard]] bool is_broken(std::uint16_t ring) const noexcept {
        return (broken_.load(std::memory_order_relaxed) >> ring & 1U) != 0;
    }
    [[nodiscard]] std::uint16_t send_ring(int vid, unsigned pair,
                                          std::span<rte_mbuf*> frames) noexcept;
    [[nodiscard]] std::uint16_t send_spread(int vid, unsigned pairs,
                                            std::span<rte_mbuf*> frames) noexcept;

    /// What the worker remembers of one pair of rings.
    struct RingState {
        std::uint16_t next_avail = 0;  // Index of the next descriptor that the library will take.
        std::uint16_t empty_polls = 0;
        std::uint16_t tx_size = 0;  // Entries of the guest's transmit ring.
        std::uint16_t rx_size = 0;
        std::uint16_t sends = 0;  // To the guest's receive ring.
    };

    const std::string path_;
    rte_mempool* const pool_;
    const VhostHooks hooks_;
    std::atomic<int> vid_{-1};                           // library: w, worker: r
    std::atomic<unsigned> pair_count_{0};                // library: w, any: r
    std::atomic<std::uint64_t> features_{0};             // library: w, any: r
    std::atomic<std::uint32_t> epoch_{0};                // library: w, worker: r
    std::atomic<std::uint32_t> broken_{0};               // worker: rw, control: ro; bit a ring
    std::uint32_t enabled_rings_ = 0;                    // library
    std::uint32_t seen_epoch_ = 0;                       // worker
    unsigned next_pair_ = 0;                             // worker
    std::array<RingState, kVhostQueuePairMax> rings_{};  // worker
};

}  // namespace sluice::datapath
