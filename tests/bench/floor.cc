// SPDX-License-Identifier: Apache-2.0
// bench_floor FOLDER: the least that a switch between two vhost-user guests can cost. The daemon's
// own vhost ports FOLDER/a and FOLDER/b (it listens), and one worker that moves every frame from
// the one to the other and looks at none. scripts/bench gives every figure over this one, too. Each
// line on stdin is answered by one JSON object with the worker's cycles; the end of stdin ends it.
// Main thread: this conversation. Worker: ports, buffers, its own counters.
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <iostream>
#include <string>
#include <thread>

#include "datapath/vhost_callbacks.h"
#include "datapath/vhost_port.h"
#include "sluice/base/limits.h"
#include "tests/bench/bench_eal.h"

namespace sluice::bench {
namespace {

using datapath::VhostPort;

class Floor {
public:
    Floor(const std::string& folder, std::size_t core) : eal_(folder), core_(core) {
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            datapath::VhostHooks hooks;
            hooks.synchronize = [this] { synchronize(); };
            auto port =
                VhostPort::open(folder + (i == 0 ? "/a" : "/b"), eal_.pool(), std::move(hooks));
            if (!port) { fail(port.error().message); }
            ports_[i] = std::move(port).value();
        }
        datapath::wake_vhost(folder + "/wake");
        worker_ = std::thread([this] { work(); });
    }
    ~Floor() {
        stop_ = true;
        worker_.join();
    }

    /// One line: what the worker did since it began.
    [[nodiscard]] std::string counters() const {
        return "{\"busy_cycles\": " + std::to_string(busy_cycles_) +
               ", \"idle_cycles\": " + std::to_string(idle_cycles_) +
               ", \"packets\": " + std::to_string(packets_) +
               ", \"tsc_hz\": " + std::to_string(rte_get_tsc_hz()) + "}";
    }

private:
    // Two rounds begun after the call: the worker no longer uses what it read before.
    void synchronize() const {
        const std::uint64_t from = rounds_;
        while (rounds_ < from + 2 && !stop_) { std::this_thread::yield(); }
    }

    static std::size_t move(VhostPort& from, VhostPort& to) {
        std::array<rte_mbuf*, kBurstMax> frames;
        const auto got = from.receive(frames);
        if (got.frame_count == 0) { return 0; }
        (void)to.send({frames.data(), got.frame_count});
        rte_pktmbuf_free_bulk(frames.data(), got.frame_count);
        return got.frame_count;
    }

    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t value) {
        counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
    }

    void work() {
        pthread_setname_np(pthread_self(), "worker-0");
        pin_to_core(core_);
        rte_thread_register();
        VhostPort& a = *ports_[0];
        VhostPort& b = *ports_[1];
        std::uint64_t from = rte_rdtsc();
        while (!stop_.load(std::memory_order_relaxed)) {
            const std::size_t moved = move(a, b) + move(b, a);
            const std::uint64_t to = rte_rdtsc();
            add(moved > 0 ? busy_cycles_ : idle_cycles_, to - from);
            add(packets_, moved);
            add(rounds_, 1);
            from = to;
        }
        rte_thread_unregister();
    }

    BenchEal eal_;
    std::size_t core_;
    std::array<std::shared_ptr<VhostPort>, 2> ports_;
    std::thread worker_;
    std::atomic<bool> stop_{false};
    std::atomic<std::uint64_t> rounds_{0};  // worker: rw, detach: ro
    std::atomic<std::uint64_t> busy_cycles_{0}, idle_cycles_{0},
        packets_{0};  // worker: rw, main: ro
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: bench_floor FOLDER [CORE]\n";
        return 2;
    }
    const sluice::bench::Floor floor(argv[1], argc > 2 ? std::stoul(argv[2]) : 1);
    std::cout << "ready" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        std::cout << floor.counters() << std::endl;
    }
    return 0;
}
