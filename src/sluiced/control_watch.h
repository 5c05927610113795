// SPDX-License-Identifier: Apache-2.0
// ControlWatch: a thread of its own that sees whether the control thread still turns. Control gives
// a sign of life every look (health_watch.h); without one for longer than kControlStalledNs the
// thread logs `control_stalled`, because control itself can't. What was seen is told to control
// when it runs again. The thread never takes a lock of control's but the log's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace sluice::daemon {

class ControlWatch {
public:
    ControlWatch() = default;
    ~ControlWatch();
    ControlWatch(const ControlWatch&) = delete;
    ControlWatch& operator=(const ControlWatch&) = delete;

    /// The thread begins. Control thread, once.
    void start();
    /// Ends it. Control thread.
    void stop();
    /// A sign of life. Control thread.
    void beat() noexcept { beats_.fetch_add(1, std::memory_order_relaxed); }
    /// Length of the longest stall since the last call, 0 if there was none. Control thread.
    [[nodiscard]] std::uint64_t take_stall_ns() noexcept {
        return stalled_ns_.exchange(0, std::memory_order_relaxed);
    }

private:
    void run();
    void look();

    std::atomic<std::uint64_t> beats_{0};       // control: rw, watch: ro
    std::atomic<std::uint64_t> stalled_ns_{0};  // watch: w, control: takes
    // Of the thread.
    std::uint64_t seen_beats_ = 0;
    std::uint64_t silent_ns_ = 0;
    std::uint64_t looked_ns_ = 0;
    bool is_told_ = false;

    std::mutex mutex_;
    std::condition_variable stopped_;
    bool is_stopping_ = false;  // Under the mutex.
    std::thread thread_;
};

}  // namespace sluice::daemon
