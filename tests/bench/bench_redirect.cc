// SPDX-License-Identifier: Apache-2.0
// bench_redirect: what a service on a flow's way costs, in one process without vhost.
//     bench_redirect [FLOWS [ROUNDS]]
// The same established UDP flows from vm1 to vm2, in turns: without any service rule, with a chain
// whose rule bypasses them, and handed to a service with two legs, which copies each frame from one
// leg to the other and does nothing else. Slots 0 to 2 work on both vNICs. Nanoseconds of the
// thread's CPU time a packet of vm1, medians: a redirected one passes the worker twice.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr std::uint64_t kRoundNs = 200'000'000;

std::uint64_t cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

/// One leg of a service: what is sent to it is received from its other leg, copied as a ring would.
class Leg final : public datapath::Port {
public:
    ~Leg() override {
        rte_pktmbuf_free_bulk(waiting_.data(), static_cast<unsigned>(waiting_.size()));
    }
    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        const std::size_t count = std::min(frames.size(), waiting_.size());
        std::copy_n(waiting_.begin(), count, frames.begin());
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
        return {static_cast<std::uint16_t>(count), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        for (const rte_mbuf* frame : frames) {
            rte_mbuf* copy = rte_pktmbuf_alloc(&bench_pool());
            SLUICE_ASSERT(copy != nullptr);
            std::memcpy(rte_pktmbuf_append(copy, frame->data_len),
                        rte_pktmbuf_mtod(frame, const void*), frame->data_len);
            other->waiting_.push_back(copy);
        }
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

    Leg* other = nullptr;

private:
    std::vector<rte_mbuf*> waiting_;
};

enum class Mode { kDirect, kBypassed, kRedirected };

json document_of(Mode mode) {
    json document = bench_document(100, true);
    if (mode == Mode::kDirect) { return document; }
    document["ports"].push_back({{"name", "ids-in"}, {"kind", "service"}});
    document["ports"].push_back({{"name", "ids-out"}, {"kind", "service"}});
    document["service_chains"] = json_of(R"([{"name": "c", "rules": [
        {"name": "bypass", "action": "bypass", "services": ["tcp"]},
        {"name": "inspect", "instances": [{"name": "ids", "in": "ids-in", "out": "ids-out"}]}]}])");
    if (mode == Mode::kBypassed) {
        document["service_chains"][0]["rules"][0]["services"] = {"udp"};
    }
    return document;
}

/// One worker with vm1, which sends, vm2 and a service.
class Rig {
public:
    Rig(std::uint32_t flow_count, Mode mode) : dataplane_(options(flow_count)) {
        dataplane_.set_online(0, true);
        publish(document_of(mode), flow_count);
        for (std::uint32_t i = 0; i < 2 * flow_count / kBurstMax + 2; ++i) { poll(); }
        dataplane_.reclaim();
        SLUICE_ASSERT(counters().dropped.get() == 0 && counters().sent.get() > 0);
    }
    ~Rig() { dataplane_.set_online(0, false); }

    /// Nanoseconds a packet of vm1 over one round.
    double run() {
        const std::uint64_t packets = of_vm1();
        const std::uint64_t from = cpu_ns();
        std::uint64_t now = from;
        while (now - from < kRoundNs) {
            for (unsigned i = 0; i < 64; ++i) { poll(); }
            now = cpu_ns();
        }
        return static_cast<double>(now - from) / static_cast<double>(of_vm1() - packets);
    }
    [[nodiscard]] std::uint64_t dropped() { return counters().dropped.get(); }

private:
    static datapath::DataplaneOptions options(std::uint32_t flow_count) {
        datapath::DataplaneOptions options;
        options.pool = &bench_pool();
        options.flow_capacity = 4U * std::max(flow_count, 1024U);
        options.connection_capacity = 2U * std::max(flow_count, 1024U);
        options.seed = 7;
        return options;
    }
    const WorkerCounters& counters() { return dataplane_.worker(0).context().counters; }
    [[nodiscard]] std::uint64_t of_vm1() {
        const PortIndex vm1 = registries_.ports.find("vm1");
        return dataplane_.worker(0).context().ports[vm1.value].rx_packets.get();
    }
    void poll() {
        now_ns_ += 1000;
        dataplane_.poll_once(0, now_ns_);
    }
    void publish(const json& document, std::uint32_t flow_count) {
        const auto parsed = agent::parse_document(document.dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        const auto in = std::make_shared<Leg>();
        const auto out = std::make_shared<Leg>();
        in->other = out.get();
        out->other = in.get();
        auto compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_,
                          [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                              if (port.name == "ids-in") {
                                  return std::shared_ptr<datapath::Port>(in);
                              }
                              if (port.name == "ids-out") {
                                  return std::shared_ptr<datapath::Port>(out);
                              }
                              return std::shared_ptr<datapath::Port>(std::make_shared<BenchPort>(
                                  bench_pool(), port.name == "vm1" ? flow_count : 0));
                          });
        SLUICE_ASSERT(compiled.ok());
        (void)dataplane_.publish(std::move(compiled.value().snapshot));
    }

    datapath::Dataplane dataplane_;
    host::Registries registries_;
    std::uint64_t now_ns_ = 1'000'000'000;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void compare(std::uint32_t flow_count, int rounds) {
    Rig direct(flow_count, Mode::kDirect);
    Rig bypassed(flow_count, Mode::kBypassed);
    Rig redirected(flow_count, Mode::kRedirected);
    std::vector<double> a, b, c;
    for (int round = 0; round < rounds; ++round) {
        a.push_back(direct.run());
        b.push_back(bypassed.run());
        c.push_back(redirected.run());
    }
    const double base = median(a);
    std::printf(
        "%9u flows  direct %6.1f ns  bypassed %6.1f ns (%.2fx)  redirected %6.1f ns (%.2fx)\n",
        flow_count, base, median(b), median(b) / base, median(c), median(c) / base);
    SLUICE_ASSERT(direct.dropped() + bypassed.dropped() + redirected.dropped() == 0);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    using namespace sluice::test;
    const Eal eal;
    const auto flows = static_cast<std::uint32_t>(argc > 1 ? std::atoll(argv[1]) : 0);
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
    if ((flows & (flows - 1)) != 0 || flows > 1U << 20U || rounds < 1) {
        std::fprintf(stderr, "bench_redirect: FLOWS is a power of two up to 1048576\n");
        return 2;
    }
    for (const std::uint32_t count : {1024U, 65536U}) {
        if (flows == 0 || count == flows) { compare(count, rounds); }
    }
    return 0;
}
