// SPDX-License-Identifier: Apache-2.0
// ControlWatch: see control_watch.h.
#include "src/sluiced/control_watch.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "src/sluiced/alarms.h"
#include "src/sluiced/worker_clock.h"

namespace sluice::daemon {
namespace {

constexpr std::chrono::milliseconds kLook{100};
// A thread that was not run itself can't say that another one was not.
constexpr std::uint64_t kLookNsMax = 200'000'000;

}  // namespace

ControlWatch::~ControlWatch() { stop(); }

void ControlWatch::start() {
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "watch");
        run();
    });
}

void ControlWatch::stop() {
    if (!thread_.joinable()) { return; }
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    stopped_.notify_all();
    thread_.join();
}

void ControlWatch::run() {
    std::unique_lock lock(mutex_);
    looked_ns_ = worker_now_ns();
    while (!stopped_.wait_for(lock, kLook, [this] { return is_stopping_; })) { look(); }
}

void ControlWatch::look() {
    const std::uint64_t now_ns = worker_now_ns();
    const std::uint64_t passed_ns = std::min(now_ns - looked_ns_, kLookNsMax);
    looked_ns_ = now_ns;
    const std::uint64_t beats = beats_.load(std::memory_order_relaxed);
    if (beats != seen_beats_) {
        seen_beats_ = beats;
        silent_ns_ = 0;
        is_told_ = false;
        return;
    }
    silent_ns_ += passed_ns;
    if (silent_ns_ < kControlStalledNs) { return; }
    stalled_ns_.store(silent_ns_, std::memory_order_relaxed);
    if (is_told_) { return; }
    is_told_ = true;
    spdlog::critical("alarm {}: the control thread has not turned for {} ms",
                     rule_of(AlarmKind::kControlStalled).name, silent_ns_ / 1'000'000U);
}

}  // namespace sluice::daemon
