// SPDX-License-Identifier: Apache-2.0
// Ethdev: a DPDK network device, plugged in by its device string, with one queue each way, running
// and promiscuous; unplugged again by its destructor. Slow (system calls, drivers' own waits): a
// helper thread of control, one call at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sluice/base/result.h"
#include "sluice/net/address.h"

struct rte_device;
struct rte_mempool;

namespace sluice::datapath {

/// What a device counted by itself.
struct EthdevFigures {
    std::uint64_t missed = 0;     ///< Received with no room left.
    std::uint64_t rx_errors = 0;  ///< Received broken, or without a buffer.
    std::uint64_t tx_errors = 0;  ///< Taken from us, not sent.
};

class Ethdev {
public:
    /// @param device  NAME[,KEY=VALUE]...; NAME is a PCI address or begins with a driver's name
    /// @param mtu  bytes of layer 3 that frames may have
    /// @param pool  buffers of what it receives; a driver that wants its own gets them
    /// @return one sentence that begins with the device
    [[nodiscard]] static Result<std::unique_ptr<Ethdev>> open(const std::string& device,
                                                              std::uint16_t mtu, rte_mempool* pool);
    ~Ethdev();
    Ethdev(const Ethdev&) = delete;
    Ethdev& operator=(const Ethdev&) = delete;

    /// Another MTU, where the driver and the interface can.
    [[nodiscard]] Status set_mtu(std::uint16_t mtu);

    /// Frees what the device has received so far, unseen. While no worker polls it.
    void discard_received() noexcept;

    [[nodiscard]] std::uint16_t port_id() const noexcept { return port_id_; }
    [[nodiscard]] const MacAddr& mac() const noexcept { return mac_; }
    [[nodiscard]] std::uint16_t mtu() const noexcept { return mtu_; }
    /// Frames of several buffers must be made one for this driver.
    [[nodiscard]] bool wants_one_buffer() const noexcept { return wants_one_buffer_; }
    /// True if its frames go through an interface of the kernel.
    [[nodiscard]] bool is_over_kernel() const noexcept { return !interface_.empty(); }
    /// Number of the kernel's interface that it drives; 0 if none. It changes with the interface.
    [[nodiscard]] unsigned interface_index() const noexcept { return interface_index_; }
    /// Link by the driver's own word; for devices without a kernel's interface. Any thread.
    [[nodiscard]] bool has_link() const noexcept;
    /// Any thread.
    [[nodiscard]] EthdevFigures figures() const noexcept;

private:
    explicit Ethdev(std::string device);
    [[nodiscard]] Status check_driver() const;
    [[nodiscard]] Status plug(rte_mempool* pool);
    [[nodiscard]] Status set_up(rte_mempool* pool);
    [[nodiscard]] Status prepare_interface();
    [[nodiscard]] Error failure(const std::string& what, int error) const;
    [[nodiscard]] rte_mempool* pool_for(rte_mempool* shared);

    const std::string device_;
    std::string interface_;     // Of the kernel, by iface=.
    std::string plugged_name_;  // Unique in this process.
    rte_device* plugged_ = nullptr;
    std::uint16_t port_id_ = 0xffff;
    bool is_started_ = false;
    MacAddr mac_;
    std::uint16_t mtu_ = 0;
    bool wants_one_buffer_ = false;
    unsigned interface_index_ = 0;
    rte_mempool* own_pool_ = nullptr;
};

/// Drivers that are linked into this program, as a text for people.
[[nodiscard]] std::string built_in_drivers();

}  // namespace sluice::datapath
