// SPDX-License-Identifier: Apache-2.0
// bench_router: what one routed hop costs, in one process without vhost.
//     bench_router [FLOWS [ROUNDS]]
// The same flows from vm1 to vm2, once in one network and once in two that a router joins, in
// turns; slots 0 to 2 work on both vNICs. Cached: every packet has its program. First: none has
// (--no-flow-cache), so that chains, switching or routing and connection are walked for each. Then
// routes: how long a table of 100 000 takes to make, and to look up in. Nanoseconds of the thread's
// CPU time, medians.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "controller-agent/document_json.h"
#include "datapath/route_table.h"
#include "sluice/base/assert.h"
#include "sluice/net/address_text.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using datapath::RouteTable;
using nlohmann::json;

constexpr std::uint64_t kRoundNs = 200'000'000;
const MacAddr kRouter = mac("02:00:5e:53:4c:01");

std::uint64_t cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

/// Prefixes of 16 to 28 bits anywhere but where the vNICs are.
json many_routes(std::size_t count) {
    std::mt19937 random(1);
    std::vector<std::string> seen;
    while (seen.size() < count) {
        for (std::size_t i = seen.size(); i < count; ++i) {
            const unsigned length = 16 + static_cast<unsigned>(random()) % 13U;
            const std::uint32_t address =
                (0x14000000U + (static_cast<std::uint32_t>(random()) & 0x7fffffffU)) &
                ~(~0U >> length);
            seen.push_back(to_string(IpAddr::v4(address)) + "/" + std::to_string(length));
        }
        std::sort(seen.begin(), seen.end());
        seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    }
    json routes = json::array();
    for (const std::string& prefix : seen) {
        routes.push_back({{"prefix", prefix}, {"next_hops", {"10.1.0.2"}}});
    }
    return routes;
}

json document_of(bool is_routed, std::size_t route_count) {
    json document = bench_document(100, true);
    if (!is_routed) { return document; }
    json blue = document["port_groups"][0];
    blue["name"] = "blue";
    blue["vlan"] = {{"mode", "access"}, {"id", 20}};
    document["port_groups"].push_back(blue);
    document["ports"][1]["port_group"] = "blue";
    document["ports"][1]["ips"] = {"10.1.0.2"};
    document["routers"] = json_of(R"([{"name": "r", "interfaces": [
        {"name": "a", "port_group": "lan", "addresses": ["10.0.0.254/24"]},
        {"name": "b", "port_group": "blue", "addresses": ["10.1.0.254/24"]}]}])");
    document["routers"][0]["routes"] = many_routes(route_count);
    return document;
}

/// One worker with vm1, which sends, and vm2.
class Rig {
public:
    Rig(std::uint32_t flow_count, bool flow_cache, bool is_routed, std::size_t route_count)
        : dataplane_(options(flow_count, flow_cache)) {
        Path path = v4(kVm1, kVm2);
        if (is_routed) {
            path.destination_mac = kRouter;
            path.destination = ip("10.1.0.2");
        }
        dataplane_.set_online(0, true);
        publish(document_of(is_routed, route_count), flow_count, path);
        for (std::uint32_t i = 0; i < 2 * flow_count / kBurstMax + 2; ++i) { poll(); }
        dataplane_.reclaim();
        SLUICE_ASSERT(counters().dropped.get() == 0 && counters().sent.get() > 0);
    }

    /// Nanoseconds a packet over one round.
    double run() {
        const std::uint64_t packets = counters().received.get();
        const std::uint64_t from = cpu_ns();
        std::uint64_t now = from;
        while (now - from < kRoundNs) {
            for (unsigned i = 0; i < 64; ++i) { poll(); }
            now = cpu_ns();
        }
        return static_cast<double>(now - from) /
               static_cast<double>(counters().received.get() - packets);
    }

private:
    static datapath::DataplaneOptions options(std::uint32_t flow_count, bool flow_cache) {
        datapath::DataplaneOptions options;
        options.pool = &bench_pool();
        options.flow_capacity = 2U * std::max(flow_count, 1024U);
        options.connection_capacity = 2U * std::max(flow_count, 1024U);
        options.flow_cache = flow_cache;
        options.seed = 7;
        return options;
    }
    const WorkerCounters& counters() { return dataplane_.worker(0).context().counters; }
    void poll() {
        now_ns_ += 1000;
        dataplane_.poll_once(0, now_ns_);
    }
    void publish(const json& document, std::uint32_t flow_count, const Path& path) {
        const auto parsed = agent::parse_document(document.dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        auto compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_,
                          [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                              const std::uint32_t flows = port.name == "vm1" ? flow_count : 0;
                              return std::shared_ptr<datapath::Port>(
                                  std::make_shared<BenchPort>(bench_pool(), flows, path, false));
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

void compare(const char* what, bool flow_cache, std::uint32_t flow_count, std::size_t route_count,
             int rounds) {
    Rig switched(flow_count, flow_cache, false, 0);
    Rig routed(flow_count, flow_cache, true, route_count);
    std::vector<double> one, other, ratio;
    for (int round = 0; round < rounds; ++round) {
        one.push_back(switched.run());
        other.push_back(routed.run());
        ratio.push_back(other.back() / one.back());
    }
    std::printf("%-8s %8u flows %7zu routes: switched %7.1f ns, routed %7.1f ns, ratio %.3f\n",
                what, flow_count, route_count, median(one), median(other), median(ratio));
    std::fflush(stdout);
}

void look_up() {
    std::vector<RouteTable::Row> rows;
    for (const json& route : many_routes(kRouteMax)) {
        const auto prefix = parse_prefix(route["prefix"].get<std::string>());
        rows.push_back({*prefix, RouteTable::Kind::kNextHops, 0, {{ip("10.1.0.2"), 0}}});
    }
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.prefix < b.prefix; });
    const std::uint64_t from = cpu_ns();
    const auto table = RouteTable::build(std::move(rows));
    const std::uint64_t built = cpu_ns();
    std::mt19937 random(2);
    constexpr unsigned kLookups = 1'000'000;
    unsigned found = 0;
    const std::uint64_t begun = cpu_ns();
    for (unsigned i = 0; i < kLookups; ++i) {
        const std::uint32_t address =
            0x14000000U + (static_cast<std::uint32_t>(random()) & 0x7fffffffU);
        found += table->find(IpAddr::v4(address)) ? 1U : 0U;
    }
    const std::uint64_t end = cpu_ns();
    std::printf("%zu routes made in %.1f ms; a look-up of a random address %.0f ns (%u%% found)\n",
                table->rows().size(), static_cast<double>(built - from) / 1e6,
                static_cast<double>(end - begun) / kLookups, found / (kLookups / 100));
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    using namespace sluice::test;
    const Eal eal;
    const auto flows = static_cast<std::uint32_t>(argc > 1 ? std::atoll(argv[1]) : 0);
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
    if ((flows & (flows - 1)) != 0 || flows > 1U << 20U || rounds < 1) {
        std::fprintf(stderr, "bench_router: FLOWS is a power of two up to 1048576\n");
        return 2;
    }
    look_up();
    for (const std::uint32_t count : {1024U, 65536U}) {
        if (flows != 0 && count != flows) { continue; }
        compare("cached", true, count, 0, rounds);
        compare("first", false, count, 0, rounds);
        compare("first", false, count, sluice::kRouteMax, rounds);
    }
    return 0;
}
