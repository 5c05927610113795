// SPDX-License-Identifier: Apache-2.0
// vhost_bench: cycles a packet from one vhost-user guest to another, on one worker core, with the
// load on another core:
//   floor    frames are taken from one port and given to the other, nothing else is done
//   empty    the whole datapath, no policy beyond the port's own MAC
//   slots    slots 0, 1 and 2 active on both vNICs: an ACL, SpoofGuard manual, a stateful policy
// The three take turns, round after round, so that a noisy machine disturbs them alike; medians are
// printed, and what each costs over the floor. The worker is the bottleneck: it must be busy, and a
// run in which it is not is left out.
//     vhost_bench [--tso] [ROUNDS [SECONDS [FLOWS...]]]
// With --tso the frames are TCP segments of 60 kB that the receiver's stack takes whole; what
// counts is Gb/s that arrived per second of the worker's busy time.
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "controller-agent/document_json.h"
#include "datapath/dataplane.h"
#include "datapath/vhost_callbacks.h"
#include "datapath/vhost_port.h"
#include "src/frontend/flood.h"
#include "src/host/compile.h"
#include "tests/bench/bench_eal.h"
#include "tests/bench/vhost_frames.h"

namespace sluice::bench {
namespace {

using datapath::Dataplane;
using datapath::VhostPort;

enum class Mode : int { kFloor, kEmpty, kSlots, kCount };
constexpr const char* kModeNames[] = {"floor", "empty chain", "slots 0-2"};
constexpr std::size_t kModes = static_cast<std::size_t>(Mode::kCount);

constexpr const char* kPlain = R"({
  "switches": [{"name": "s"}], "port_groups": [{"name": "g", "switch": "s"}],
  "ports": [{"name": "a", "port_group": "g", "socket": "/bench/a", "mac": "02:00:00:00:00:01", "ips": ["10.0.0.1"]},
            {"name": "b", "port_group": "g", "socket": "/bench/b", "mac": "02:00:00:00:00:02", "ips": ["10.0.0.2"]}],
  "dfw": {"exclude": ["g"]}})";

constexpr const char* kGuarded = R"({
  "switches": [{"name": "s"}], "port_groups": [{"name": "g", "switch": "s", "spoofguard": "manual"}],
  "ports": [{"name": "a", "port_group": "g", "socket": "/bench/a", "mac": "02:00:00:00:00:01", "ips": ["10.0.0.1"]},
            {"name": "b", "port_group": "g", "socket": "/bench/b", "mac": "02:00:00:00:00:02", "ips": ["10.0.0.2"]}],
  "acls": [{"name": "hard", "rules": [{"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}]}],
  "dfw": {"default": "drop", "limits": {"connections_per_port": 0},
          "sections": [{"name": "app", "rules": [{"name": "udp", "action": "allow", "services": ["udp"]}]},
                       {"name": "bulk", "tcp_strict": false, "rules": [{"name": "tcp", "action": "allow", "services": ["tcp"]}]}]}})";

/// Two vhost ports, their guests, and the worker that stands between them.
class Bench {
public:
    explicit Bench(bool is_tso) : is_tso_(is_tso) {
        datapath::DataplaneOptions options;
        options.pool = eal_.pool();
        options.connection_capacity = 4U << 20U;
        dataplane_ = std::make_unique<Dataplane>(options);
        for (const char* name : {"a", "b"}) { open(name); }
        worker_ = std::thread([this] { work(); });
        for (auto& guest : guests_) { start(*guest); }
    }
    ~Bench() {
        guests_.clear();
        stop_ = true;
        worker_.join();
        ports_.clear();
    }

    /// Cycles a packet of one run; 0 if the worker was not busy.
    double run(Mode mode, std::size_t flows, double seconds) {
        publish(mode == Mode::kFloor ? "{}" : (mode == Mode::kSlots ? kGuarded : kPlain));
        flood(mode, flows,
              std::max(seconds / 4,
                       static_cast<double>(flows) / 1e6));  // Warm: every flow once, at least.
        return flood(mode, flows, seconds);
    }

    /// Of the last run(): Gb/s that arrived while the worker was busy.
    [[nodiscard]] double gbps() const { return gbps_; }
    /// Of the last run(): share of the frames that did not arrive.
    [[nodiscard]] double lost() const { return lost_; }

private:
    void open(const std::string& name) {
        datapath::VhostHooks hooks;
        hooks.synchronize = [this] { dataplane_->synchronize(); };
        auto port = VhostPort::open(eal_.folder() + "/" + name, eal_.pool(), std::move(hooks));
        if (!port) { fail(port.error().message); }
        datapath::wake_vhost(eal_.folder() + "/wake");
        ports_.push_back(std::move(port).value());
        frontend::Options options;
        options.socket = ports_.back()->path();
        options.mode = frontend::SocketMode::kClient;
        options.flood_bytes = 192U << 20U;
        guests_.push_back(std::make_unique<frontend::FrontEnd>(options));
    }

    static void start(frontend::FrontEnd& guest) {
        if (const auto opened = guest.open(); !opened) { fail(opened.error().message); }
        if (const auto started = guest.start(std::chrono::seconds(5)); !started) {
            fail(started.error().message);
        }
    }

    void publish(const char* text) {
        const auto document = agent::parse_document(text);
        if (!document) { fail(document.error().message); }
        auto compiled = host::compile(
            document.value(), dataplane_->snapshot(), 1, registries_,
            [this](const model::Port& port) {
                return Result<std::shared_ptr<datapath::Port>>(ports_[port.name == "a" ? 0 : 1]);
            });
        if (!compiled) { fail(compiled.error().message); }
        const std::uint64_t token = dataplane_->publish(std::move(compiled.value().snapshot));
        while (!dataplane_->is_settled(token)) { std::this_thread::yield(); }
        dataplane_->reclaim();
    }

    double flood(Mode mode, std::size_t flows, double seconds) {
        if (frames_.size() != flows) {
            frames_ = is_tso_ ? large_frames(flows) : small_frames(flows);
        }
        mode_ = mode;
        const std::uint64_t busy = busy_cycles_, idle = idle_cycles_, packets = packets_;
        std::atomic<bool> never{false};
        frontend::FloodOptions options;
        options.seconds = seconds;
        options.read_lengths = is_tso_;
        options.burst = is_tso_ ? 4 : options.burst;
        const frontend::FloodPort ports[] = {{guests_[0].get(), frames_, 0, 0},
                                             {guests_[1].get(), {}, 0, 0}};
        const auto result = frontend::flood(ports, options, never);
        if (!result) { fail(result.error().message); }
        const auto moved = static_cast<double>(packets_ - packets);
        const auto worked = static_cast<double>(busy_cycles_ - busy);
        const auto arrived = static_cast<double>(result.value()[1].received_bytes);
        gbps_ = arrived * 8 / 1e9 / (worked / static_cast<double>(rte_get_tsc_hz()));
        lost_ = 1 - static_cast<double>(result.value()[1].received) / std::max(1.0, moved);
        const double share =
            worked / std::max(1.0, worked + static_cast<double>(idle_cycles_ - idle));
        return moved < 1000 || share < 0.5 ? 0 : worked / moved;
    }

    std::size_t move_plainly() {
        std::array<rte_mbuf*, kBurstMax> frames;
        const auto got = ports_[0]->receive(frames);
        if (got.frame_count == 0) { return 0; }
        [[maybe_unused]] const auto sent = ports_[1]->send({frames.data(), got.frame_count});
        rte_pktmbuf_free_bulk(frames.data(), got.frame_count);
        return got.frame_count;
    }

    void work() {
        bench::pin_to_core(1);
        rte_thread_register();
        dataplane_->set_online(0, true);
        std::uint64_t from = rte_rdtsc();
        while (!stop_) {
            std::size_t moved = 0;
            if (mode_ == Mode::kFloor) {
                moved = move_plainly();
                dataplane_->poll_once(0, bench::now_ns());
            } else {
                moved = dataplane_->poll_once(0, bench::now_ns());
            }
            const std::uint64_t to = rte_rdtsc();
            (moved > 0 ? busy_cycles_ : idle_cycles_) += to - from;
            from = to;
            packets_ += moved;
        }
        dataplane_->set_online(0, false);
        rte_thread_unregister();
    }

    BenchEal eal_;
    std::unique_ptr<Dataplane> dataplane_;
    host::Registries registries_;
    std::vector<std::shared_ptr<VhostPort>> ports_;
    std::vector<std::unique_ptr<frontend::FrontEnd>> guests_;
    std::vector<frontend::FloodFrame> frames_;
    std::thread worker_;
    std::atomic<bool> stop_{false};
    std::atomic<Mode> mode_{Mode::kFloor};
    const bool is_tso_;
    double gbps_ = 0;
    double lost_ = 0;
    std::atomic<std::uint64_t> busy_cycles_{0}, idle_cycles_{0}, packets_{0};
};

double median(std::vector<double> values) {
    std::erase(values, 0.0);
    if (values.empty()) { return 0; }
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void print_row(std::size_t flows, std::vector<double> (&figures)[kModes]) {
    const double floor = median(figures[0]);
    for (std::size_t m = 0; m < kModes; ++m) {
        std::vector<double> sorted = figures[m];
        std::sort(sorted.begin(), sorted.end());
        const double middle = median(figures[m]);
        std::printf(
            "%8zu flows  %-12s %7.0f cycles/packet  (%.0f-%.0f)  %+7.0f over the floor  %5.2f x\n",
            flows, kModeNames[m], middle, sorted.front(), sorted.back(), middle - floor,
            floor > 0 ? middle / floor : 0);
    }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
    using namespace sluice::bench;
    const bool is_tso = argc > 1 && std::string(argv[1]) == "--tso";
    if (is_tso) {
        --argc;
        ++argv;
    }
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    const double seconds = argc > 2 ? std::atof(argv[2]) : 1.0;
    std::vector<std::size_t> flow_counts;
    for (int i = 3; i < argc; ++i) {
        flow_counts.push_back(static_cast<std::size_t>(std::atoll(argv[i])));
    }
    if (flow_counts.empty() && is_tso) { flow_counts = {1, 100}; }
    if (flow_counts.empty()) { flow_counts = {1, 1000, 100000, 1000000}; }
    pin_to_core(0);
    Bench bench(is_tso);
    for (const std::size_t flows : flow_counts) {
        std::vector<double> figures[kModes];
        std::vector<double> rates[kModes];
        std::vector<double> losses[kModes];
        for (int round = 0; round < rounds; ++round) {
            for (std::size_t m = 0; m < kModes; ++m) {
                figures[m].push_back(bench.run(static_cast<Mode>(m), flows, seconds));
                rates[m].push_back(figures[m].back() > 0 ? bench.gbps() : 0);
                losses[m].push_back(bench.lost());
            }
        }
        print_row(flows, figures);
        for (std::size_t m = 0; is_tso && m < kModes; ++m) {
            std::printf("%8zu flows  %-12s %7.1f Gb/s  %4.1f %% lost\n", flows, kModeNames[m],
                        median(rates[m]), 100 * median(losses[m]));
        }
        std::fflush(stdout);
    }
    return 0;
}
