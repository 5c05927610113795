// SPDX-License-Identifier: Apache-2.0
// WorkerThread: see thread.h. Time spent is counted in TSC cycles: busy polls moved frames, idle
// ones did not.
#include "datapath/thread.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <sched.h>

#include <ctime>
#include <string>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kAwakeNs = 1000000;  // Without work for so long: sleep.

std::uint64_t now_ns() noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);  // By the vDSO: no system call.
    return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

void pin(int core) noexcept {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<std::size_t>(core), &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}

}  // namespace

WorkerThread::WorkerThread(Dataplane& dataplane, unsigned worker, int core)
    : dataplane_(dataplane), worker_(worker), core_(core), thread_([this] { run(); }) {}

WorkerThread::~WorkerThread() {
    stop_requested_.store(true, std::memory_order_relaxed);
    dataplane_.wake(worker_);
    thread_.join();
}

void WorkerThread::run() noexcept {
    pthread_setname_np(pthread_self(), ("worker-" + std::to_string(worker_)).c_str());
    pin(core_);
    rte_thread_register();  // An lcore id: the mempool's cache needs one.
    dataplane_.set_online(worker_, true);
    Sleeper sleeper(worker_, dataplane_.wake_fd(worker_));
    WorkerCounters& counters = dataplane_.worker(worker_).context().counters;
    PollClock clock(rte_get_tsc_hz());
    std::uint64_t from = rte_rdtsc();
    std::uint64_t last_work_ns = clock.at(from, now_ns);
    while (!stop_requested_.load(std::memory_order_relaxed)) {
        const std::uint64_t now = clock.at(from, now_ns);
        const bool is_busy = dataplane_.poll_once(worker_, now) > 0;
        const std::uint64_t to = rte_rdtsc();
        (is_busy ? counters.busy_cycles : counters.idle_cycles).add(to - from);
        from = to;
        if (is_busy || dataplane_.worker(worker_).has_command()) {
            last_work_ns = now;
        } else if (now - last_work_ns >= kAwakeNs) {
            const bool has_moved = sleep(sleeper, clock);
            from = rte_rdtsc();
            if (has_moved) { last_work_ns = clock.at(from, now_ns); }
        }
    }
    dataplane_.finish(worker_);
    dataplane_.set_online(worker_, false);
    rte_thread_unregister();
}

// Arms the guests' kicks, looks once more, then sleeps off line, so that nobody waits for this
// worker's quiescent state. Returns true if frames were moved. Back on line the first poll takes
// the newest snapshot: the old one, and its ports, may be gone.
bool WorkerThread::sleep(Sleeper& sleeper, PollClock& clock) noexcept {
    bool moved = true;
    WorkerContext& context = dataplane_.worker(worker_).context();
    const auto poll = [&](std::uint64_t now) {
        const std::uint64_t from = rte_rdtsc();
        const bool is_busy = dataplane_.poll_once(worker_, now) > 0;
        (is_busy ? context.counters.busy_cycles : context.counters.idle_cycles)
            .add(rte_rdtsc() - from);
        return is_busy;
    };
    sleeper.arm(dataplane_.published());
    const std::uint64_t before = clock.at(rte_rdtsc(), now_ns);
    if (!poll(before)) {
        dataplane_.set_online(worker_, false);
        sleeper.wait();
        dataplane_.set_online(worker_, true);
        const std::uint64_t after = clock.at(rte_rdtsc(), now_ns);
        context.counters.slept_ns.add(after - before);
        moved = poll(after);
    }
    sleeper.disarm(dataplane_.published());
    return moved;
}

}  // namespace sluice::datapath
