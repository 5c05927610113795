// SPDX-License-Identifier: Apache-2.0
// EthdevPort: an uplink: a DPDK network device as a port. Control plugs a device in (set_device)
// and takes it away again; the port, its index and its counters stay. Frames come with unknown
// checksums and leave without offloads. Threads: receive/send by the worker that polls the port,
// the rest by control, who closes a device only after every worker has passed a quiescent state.
#pragma once

#include <atomic>
#include <cstdint>

#include "datapath/port.h"

namespace sluice::datapath {

class EthdevPort final : public Port {
public:
    static constexpr std::uint16_t kNoDevice = 0xffff;

    /// Makes ethdev `port_id` (started; kNoDevice for none) what workers use. control.
    void set_device(std::uint16_t port_id, bool wants_one_buffer, bool wants_padding) noexcept {
        wants_one_buffer_.store(wants_one_buffer, std::memory_order_relaxed);
        wants_padding_.store(wants_padding, std::memory_order_relaxed);
        port_id_.store(port_id, std::memory_order_release);
    }
    /// Whether its link is there; without it nothing is sent. control.
    void set_carrier(bool has_carrier) noexcept {
        has_carrier_.store(has_carrier, std::memory_order_relaxed);
    }

    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] bool is_up() const noexcept override {
        return has_carrier_.load(std::memory_order_relaxed) &&
               port_id_.load(std::memory_order_relaxed) != kNoDevice;
    }

private:
    std::atomic<std::uint16_t> port_id_{kNoDevice};  // control: w, worker: r
    std::atomic<bool> wants_one_buffer_{false};      // control: w, worker: r
    std::atomic<bool> wants_padding_{false};         // control: w, worker: r
    std::atomic<bool> has_carrier_{false};           // control: w, any: r
};

}  // namespace sluice::datapath
