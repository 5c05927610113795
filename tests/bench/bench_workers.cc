// SPDX-License-Identifier: Apache-2.0
// bench_workers: two workers against one, without vhost: real threads on cores 0 and 1, ports that
// make frames and throw them away, slots 0 to 2 on every vNIC, UDP flows with both directions.
//     one      one worker polls all four vNICs
//     apart    two switches of one worker each that share nothing: what two cores give at best here
//     within   two workers, both vNICs of a connection polled by the same one
//     across   two workers, the vNICs of a connection polled by different ones: every frame is
//              handed over by a ring, every connection is tracked by both (byte locks)
// They take turns. Rates are of each thread's CPU time: what other processes take from a core
// does not count.
//     bench_workers [ROUNDS [SECONDS [FLOWS...]]]      FLOWS: powers of two, a direction and pair
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_eal.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

enum class Layout : std::size_t { kOne, kApart, kWithin, kAcross, kCount };
constexpr std::size_t kLayouts = static_cast<std::size_t>(Layout::kCount);
constexpr const char* kLayoutNames[] = {"one worker", "two, apart", "two, within", "two, across"};
constexpr std::size_t kPorts = 4;

// A new port goes to the worker with the fewest: vm1 and vm3 to the first, vm2 and vm4 to the
// second.
constexpr std::size_t peer_of(Layout layout, std::size_t port) {
    return layout == Layout::kAcross ? port ^ 1U : port ^ 2U;
}

Vnic vnic(std::size_t port) {
    const std::string number = std::to_string(port + 1);
    return {mac("02:00:00:00:00:0" + number), ip("10.0.0." + number), ip("2001:db8::" + number)};
}

nlohmann::json document() {
    nlohmann::json all = json_of(R"({
        "switches": [{"name": "dvs0"}],
        "port_groups": [{"name": "lan", "switch": "dvs0", "spoofguard": "manual"}],
        "acls": [{"name": "hardening", "applied_to": ["lan"],
                  "rules": [{"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}]}],
        "dfw": {"default": "drop", "limits": {"connections_per_port": 0}, "sections": [
            {"name": "s", "rules": [{"name": "udp", "action": "allow", "services": ["udp"]}]}]}})");
    for (std::size_t port = 0; port < kPorts; ++port) {
        all["ports"].push_back(port_of("vm" + std::to_string(port + 1), "lan", vnic(port)));
    }
    return all;
}

rte_mempool& pool() {
    static rte_mempool* const made = rte_pktmbuf_pool_create(
        "bench_workers", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    SLUICE_ASSERT(made != nullptr);
    return *made;
}

/// One switch of one or two workers, with the vNICs of `ports` (bits).
class Switch {
public:
    Switch(Layout layout, unsigned ports, unsigned workers, std::uint32_t flow_count)
        : dataplane_(options(workers, flow_count)) {
        nlohmann::json all = document();
        for (std::size_t port = kPorts; port-- > 0;) {
            if ((ports >> port & 1U) == 0) { all["ports"].erase(port); }
        }
        const Result<model::Document> parsed = agent::parse_document(all.dump());
        SLUICE_ASSERT(parsed.ok());
        const auto device =
            [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
            const auto at = static_cast<std::size_t>(port.name[2] - '1');
            const std::size_t peer = peer_of(layout, at);
            return std::shared_ptr<datapath::Port>(std::make_shared<BenchPort>(
                pool(), flow_count, v4(vnic(at), vnic(peer)), at > peer));
        };
        auto compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), workers, registries_, device);
        SLUICE_ASSERT(compiled.ok());
        (void)dataplane_.publish(std::move(compiled.value().snapshot));
    }
    [[nodiscard]] datapath::Dataplane& dataplane() noexcept { return dataplane_; }

private:
    static datapath::DataplaneOptions options(unsigned workers, std::uint32_t flow_count) {
        datapath::DataplaneOptions options;
        options.worker_count = workers;
        options.pool = &pool();
        options.flow_capacity = std::min(8U * std::max(flow_count, 1024U), kFlowTableMax);
        options.connection_capacity = 4U * std::max(flow_count, 1024U);
        options.seed = 7;
        return options;
    }
    datapath::Dataplane dataplane_;
    host::Registries registries_;
};

/// A worker of a switch, and its thread.
struct Hand {
    datapath::Dataplane* dataplane;
    unsigned worker;
    unsigned core;
    std::thread thread;
    [[nodiscard]] const WorkerCounters& counters() const {
        return dataplane->worker(worker).context().counters;
    }
    [[nodiscard]] double cpu_time_s() {
        clockid_t clock{};
        timespec time{};
        SLUICE_ASSERT(pthread_getcpuclockid(thread.native_handle(), &clock) == 0 &&
                      clock_gettime(clock, &time) == 0);
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    }
};

/// One layout with its threads, which work only while run() lasts.
class Bench {
public:
    Bench(Layout layout, std::uint32_t flow_count) {
        if (layout == Layout::kApart) {
            add_switch(layout, 0b0101, 1, flow_count);
            add_switch(layout, 0b1010, 1, flow_count);
        } else {
            add_switch(layout, 0b1111, layout == Layout::kOne ? 1 : 2, flow_count);
        }
        for (Hand& hand : hands_) {
            hand.thread = std::thread([this, &hand] { work(hand); });
        }
        while (resting_ < hands_.size()) { std::this_thread::yield(); }
        while (sum(&WorkerCounters::flow_misses) < std::uint64_t{kPorts} * flow_count) {
            (void)run(0.05);
        }
        (void)run(0.1);
    }
    ~Bench() {
        is_over_ = true;
        for (Hand& hand : hands_) { hand.thread.join(); }
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    /// Million frames a second of CPU time that left, all workers together.
    double run(double seconds) {
        const std::uint64_t dropped = sum(&WorkerCounters::dropped);
        const std::uint64_t received = sum(&WorkerCounters::received);
        std::vector<double> time;
        std::vector<std::uint64_t> sent;
        for (Hand& hand : hands_) {
            time.push_back(hand.cpu_time_s());
            sent.push_back(hand.counters().sent.get());
        }
        is_running_ = true;
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
        is_running_ = false;
        while (resting_ < hands_.size()) { std::this_thread::yield(); }
        double rate = 0;
        for (std::size_t i = 0; i < hands_.size(); ++i) {
            const auto frames = static_cast<double>(hands_[i].counters().sent.get() - sent[i]);
            rate += frames / (hands_[i].cpu_time_s() - time[i]);
        }
        last_loss_ = static_cast<double>(sum(&WorkerCounters::dropped) - dropped) /
                     std::max(1.0, static_cast<double>(sum(&WorkerCounters::received) - received));
        return rate / 1e6;
    }
    /// Share of the frames of the last run() that were dropped.
    [[nodiscard]] double last_loss() const { return last_loss_; }

private:
    void add_switch(Layout layout, unsigned ports, unsigned workers, std::uint32_t flow_count) {
        switches_.push_back(std::make_unique<Switch>(layout, ports, workers, flow_count));
        for (unsigned worker = 0; worker < workers; ++worker) {
            const auto core = layout == Layout::kOne ? 1U : static_cast<unsigned>(hands_.size());
            hands_.push_back({&switches_.back()->dataplane(), worker, core, {}});
        }
    }
    [[nodiscard]] std::uint64_t sum(Counter WorkerCounters::*counter) const {
        std::uint64_t total = 0;
        for (const Hand& hand : hands_) { total += (hand.counters().*counter).get(); }
        return total;
    }

    void work(Hand& hand) {
        bench::pin_to_core(hand.core);
        rte_thread_register();
        hand.dataplane->set_online(hand.worker, true);
        ++resting_;
        while (!is_over_) {
            if (!is_running_) {
                std::this_thread::sleep_for(std::chrono::microseconds(200));
                continue;
            }
            --resting_;
            while (is_running_.load(std::memory_order_relaxed)) {
                hand.dataplane->poll_once(hand.worker, bench::now_ns());
            }
            ++resting_;
        }
        hand.dataplane->set_online(hand.worker, false);
        rte_thread_unregister();
    }

    std::vector<std::unique_ptr<Switch>> switches_;
    std::vector<Hand> hands_;
    std::atomic<bool> is_running_{false};
    std::atomic<bool> is_over_{false};
    std::atomic<std::size_t> resting_{0};
    double last_loss_ = 0;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void compare(std::uint32_t flows, int rounds, double seconds) {
    std::vector<std::unique_ptr<Bench>> benches;
    for (std::size_t i = 0; i < kLayouts; ++i) {
        benches.push_back(std::make_unique<Bench>(static_cast<Layout>(i), flows));
    }
    std::vector<double> rates[kLayouts];
    std::vector<double> ratios[kLayouts];
    std::vector<double> losses[kLayouts];
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < kLayouts; ++i) {
            rates[i].push_back(benches[i]->run(seconds));
            losses[i].push_back(benches[i]->last_loss());
            ratios[i].push_back(rates[i].back() / rates[0].back());
        }
    }
    for (std::size_t i = 0; i < kLayouts; ++i) {
        const double rate = median(rates[i]);
        const double workers = i == 0 ? 1 : 2;
        std::printf(
            "%8u flows a pair and direction  %-12s %6.2f M/s  %5.0f cycles a packet and core  "
            "%4.2f x one worker (%.2f-%.2f)  %.1f %% lost\n",
            flows, kLayoutNames[i], rate,
            static_cast<double>(rte_get_tsc_hz()) / rate / 1e6 * workers, median(ratios[i]),
            *std::min_element(ratios[i].begin(), ratios[i].end()),
            *std::max_element(ratios[i].begin(), ratios[i].end()), 100 * median(losses[i]));
    }
    std::fflush(stdout);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) { sluice::bench::fail("two cores are needed"); }
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
    std::vector<std::uint32_t> flow_counts;
    for (int i = 3; i < argc; ++i) {
        flow_counts.push_back(static_cast<std::uint32_t>(std::atol(argv[i])));
        if (!std::has_single_bit(flow_counts.back())) {
            sluice::bench::fail(std::string("flows ") + argv[i] + " is no power of two");
        }
    }
    if (flow_counts.empty()) { flow_counts = {1, 1U << 10U, 1U << 17U, 1U << 20U}; }
    const sluice::test::Eal eal;
    for (const std::uint32_t flows : flow_counts) { sluice::test::compare(flows, rounds, seconds); }
    return 0;
}
