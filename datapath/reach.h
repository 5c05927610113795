// SPDX-License-Identifier: Apache-2.0
// Reach: which of the ways out of the host work at the moment: uplinks by their link and probes,
// VTEPs by their uplink, remote VTEPs by BFD. Everything works until somebody says otherwise. One
// a dataplane. Threads: one writer a way (control for uplinks, the worker of a VTEP for what it
// hears of remote ones); all workers read. Every change makes epoch() grow; workers notice at their
// next poll, and look again at programs that hang on it (kProgramTeamed). Beside that, which uplink
// each vNIC is to prefer (policy `load`), and which uplinks hear each other's beacons.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {

/// What the host's own uplinks hear of each other through the fabric (beacon.h). Worker: w,
/// control: r.
class BeaconsHeard {
public:
    /// What tells this process's beacons from others': random, set before any is sent. control
    void set_host(std::uint64_t number) noexcept { host_.store(number, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t host() const noexcept {
        return host_.load(std::memory_order_relaxed);
    }
    /// The uplink `by` received a beacon that `from` sent.
    void note(PortIndex from, PortIndex by, std::uint64_t now_ns) noexcept {
        of_[from.value].store(now_ns, std::memory_order_relaxed);
        by_[by.value].store(now_ns, std::memory_order_relaxed);
    }
    /// When somebody last heard `uplink`, and when it last heard somebody. 0 = never.
    [[nodiscard]] std::uint64_t of(PortIndex uplink) const noexcept {
        return of_[uplink.value].load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t by(PortIndex uplink) const noexcept {
        return by_[uplink.value].load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> host_{0};
    std::array<std::atomic<std::uint64_t>, kPortMax> of_{};
    std::array<std::atomic<std::uint64_t>, kPortMax> by_{};
};

class Reach {
public:
    /// Of an uplink's, or a VTEP's, port.
    [[nodiscard]] bool works(PortIndex port) const noexcept {
        return is_port_down_[port.value].load(std::memory_order_relaxed) == 0;
    }
    /// Of a remote VTEP, from the VTEP `vtep` (index into Snapshot::vteps).
    [[nodiscard]] bool works(std::uint16_t vtep, std::uint16_t remote) const noexcept {
        return (is_remote_down_[remote].load(std::memory_order_relaxed) >> vtep & 1U) == 0;
    }
    /// @return true if that is news
    bool set(PortIndex port, bool works) noexcept {
        const std::uint8_t down = works ? 0 : 1;
        return note(is_port_down_[port.value].exchange(down, std::memory_order_relaxed) != down);
    }
    bool set(std::uint16_t vtep, std::uint16_t remote, bool works) noexcept {
        const auto bit = static_cast<std::uint16_t>(1U << vtep);
        const std::uint16_t before =
            works ? is_remote_down_[remote].fetch_and(static_cast<std::uint16_t>(~bit),
                                                      std::memory_order_relaxed)
                  : is_remote_down_[remote].fetch_or(bit, std::memory_order_relaxed);
        return note(((before & bit) == 0) != works);
    }
    /// The uplink that a vNIC is to use while its team has it and it works; kNoPort: none.
    [[nodiscard]] PortIndex preferred(PortIndex vnic) const noexcept {
        if (vnic.value >= kPortMax) { return kNoPort; }
        const std::uint16_t wanted = preferred_[vnic.value].load(std::memory_order_relaxed);
        return wanted == 0 ? kNoPort : PortIndex{static_cast<std::uint16_t>(wanted - 1U)};
    }
    /// control. @return true if that is news
    bool prefer(PortIndex vnic, PortIndex uplink) noexcept {
        const auto wanted = static_cast<std::uint16_t>(uplink == kNoPort ? 0 : uplink.value + 1U);
        return note(preferred_[vnic.value].exchange(wanted, std::memory_order_relaxed) != wanted);
    }
    [[nodiscard]] BeaconsHeard& beacons() noexcept { return beacons_; }
    [[nodiscard]] const BeaconsHeard& beacons() const noexcept { return beacons_; }
    [[nodiscard]] std::uint32_t epoch() const noexcept {
        return epoch_.load(std::memory_order_acquire);
    }

private:
    bool note(bool is_news) noexcept {
        if (is_news) { epoch_.fetch_add(1, std::memory_order_release); }
        return is_news;
    }
    static_assert(kVtepMax <= 16);
    std::array<std::atomic<std::uint8_t>, kPortMax> is_port_down_{};
    std::array<std::atomic<std::uint16_t>, kRemoteVtepMax + 1> is_remote_down_{};
    std::array<std::atomic<std::uint16_t>, kPortMax> preferred_{};  // Index + 1; 0 = none.
    BeaconsHeard beacons_;
    std::atomic<std::uint32_t> epoch_{0};
};

}  // namespace sluice::datapath
