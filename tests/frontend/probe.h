// SPDX-License-Identifier: Apache-2.0
// Probe: two front-ends that send one small frame after the other to each other, in turns, and time
// each from its sending to its arrival: what a victim feels while somebody else attacks the switch.
//
// A machine with few cores takes them away from the device and from the probe too. So each late
// frame is charged with what the two threads waited for a core meanwhile (schedstat of both): what
// is left, `stalled`, is the device's own doing. The probe has a thread of its own and owns both
// front-ends until it is gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "front_end.h"

namespace sluice::frontend {

struct ProbeOptions {
    std::vector<std::uint8_t> there;  ///< IPv4 UDP frame of 8 bytes of payload at least.
    std::vector<std::uint8_t> back;
    std::chrono::microseconds pause{200};  ///< Between an arrival and the next frame.
    std::string schedstat;  ///< Path of the device thread's schedstat; empty: nothing is charged.
};

struct ProbeResult {
    std::uint64_t frames = 0;
    std::uint64_t lost = 0;              ///< Not there after five seconds.
    std::vector<std::uint32_t> took_us;  ///< Of each frame that arrived.
    std::uint32_t stalled_us = 0;        ///< The longest, without waits for a core.
};

class Probe {
public:
    Probe(FrontEnd& one, FrontEnd& other, ProbeOptions options);
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;
    ~Probe();

    /// What has been seen since the last call. Any thread.
    [[nodiscard]] ProbeResult read();

private:
    void run();
    void exchange(FrontEnd& from, FrontEnd& to, std::vector<std::uint8_t>& frame);
    [[nodiscard]] bool arrived(FrontEnd& at) const;
    [[nodiscard]] std::uint64_t waited_ns() const;
    void note(std::uint64_t took_ns, std::uint64_t waited_ns, bool lost);

    FrontEnd& one_;
    FrontEnd& other_;
    ProbeOptions options_;
    std::uint64_t number_ = 0;
    Fd device_waits_;
    Fd own_waits_;
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    ProbeResult result_;
    std::thread thread_;
};

}  // namespace sluice::frontend
