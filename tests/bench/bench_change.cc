// SPDX-License-Identifier: Apache-2.0
// bench_change: what a published change costs flows under load, in one process without vhost.
//     bench_change [FLOWS [ROUNDS]]
// For each kind of change: publish it between two polls, go on polling, and print the packets of
// the worst 100 ms from then on against those just before, the longest 256 packets, and how many
// flows were decided anew. Each kind twice in turns: as it is (`sifted`), and with the change's
// description taken away, so that all flows of the ports that it touches are decided anew
// (`anew`). Time is CPU time of the thread: what other processes take from the core does not count.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "sluice/net/address_text.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr unsigned kChunk = 256 / kBurstMax;  // Polls that are timed together.
constexpr std::uint64_t kWindowNs = 100'000'000;
constexpr std::size_t kManyRules = 10'000, kManyMembers = 100'000;

std::uint64_t cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

std::string address(std::uint32_t host_order) { return to_string(IpAddr::v4(host_order)); }

/// `count` rules of one address each, that no flow has, for the UDP ports of the flows.
json many_rules(std::size_t count, std::uint32_t first, const char* prefix) {
    json rules = json::array();
    for (std::uint32_t i = 0; i < count; ++i) {
        rules.push_back({{"name", prefix + std::to_string(i)},
                         {"action", i % 2 == 0 ? "allow" : "drop"},
                         {"source", {address(first + i)}},
                         {"services", {"udp/" + std::to_string(1024 + i % 16384)}}});
    }
    return rules;
}

json many_members(std::uint32_t first) {
    json members = json::array();
    for (std::uint32_t i = 0; i < kManyMembers; ++i) { members.push_back(address(first + i * 3)); }
    return members;
}

/// Two vNICs with slots 0 to 2, a few rules that the change is about, and one that lets flows pass.
json base_document() {
    json document = bench_document(100, true);
    document["address_sets"] = {{{"name", "set"}, {"members", {"10.64.0.1"}}},
                                {{"name", "other"}, {"members", {"10.65.0.1"}}}};
    json& sections = document["dfw"]["sections"];
    sections.insert(sections.begin(), json{{"name", "changing"},
                                           {"rules",
                                            {{{"name", "narrow"},
                                              {"action", "allow"},
                                              {"source", {"vm1"}},
                                              {"destination", {"vm2"}},
                                              {"services", {"udp/1030"}}},
                                             {{"name", "set"},
                                              {"action", "allow"},
                                              {"source", {"vm1"}},
                                              {"destination", {"set"}},
                                              {"services", {"udp"}}}}}});
    return document;
}

struct Change {
    const char* name;
    std::function<void(json&)> prepare;
    std::function<void(json&)> make;
};

std::vector<Change> changes() {
    const auto nothing = [](json&) {};
    const auto first_rule = [](json& d) -> json& { return d["dfw"]["sections"][0]["rules"][0]; };
    return {
        {"nothing that flows see (a label)", nothing,
         [](json& d) {
             d["ports"][0]["tags"] = {{"owner", "someone"}};
         }},
        {"one rule: drops instead of allows", nothing,
         [=](json& d) { first_rule(d)["action"] = "drop"; }},
        {"one rule inserted in front", nothing,
         [](json& d) {
             json& rules = d["dfw"]["sections"][0]["rules"];
             rules.insert(rules.begin(), json{{"name", "new"},
                                              {"action", "drop"},
                                              {"destination", {"vm2"}},
                                              {"services", {"udp/1031"}}});
         }},
        {"one rule: a source of the flows' own network", nothing,
         [=](json& d) { first_rule(d)["source"] = {"10.0.0.77"}; }},
        {"a rule of the ACL added", nothing,
         [](json& d) {
             d["acls"][0]["rules"].push_back(
                 {{"name", "no-smtp"}, {"action", "deny"}, {"services", {"tcp/25"}}});
         }},
        {"a port added, named by a rule's port group", nothing,
         [](json& d) {
             d["dfw"]["sections"][0]["rules"][0]["source"] = {"lan"};
             d["ports"].push_back(port_of("vm3", "lan", kVm3));
         }},
        {"10 000 rules replaced",
         [](json& d) {
             d["dfw"]["sections"].insert(
                 d["dfw"]["sections"].begin(),
                 json{{"name", "many"}, {"rules", many_rules(kManyRules, 0xac400000, "a")}});
         },
         [](json& d) {
             d["dfw"]["sections"][0]["rules"] = many_rules(kManyRules, 0xac600000, "b");
         }},
        {"100 000 members of a set replaced",
         [](json& d) { d["address_sets"][0]["members"] = many_members(0x0a800000); },
         [](json& d) { d["address_sets"][0]["members"] = many_members(0x0ac00000); }},
        {"one member added to a set of 100 000",
         [](json& d) { d["address_sets"][0]["members"] = many_members(0x0a800000); },
         [](json& d) { d["address_sets"][0]["members"].push_back("10.192.0.1"); }},
    };
}

/// Takes the description of the newest change away, as if nothing were known of it.
void take_description(datapath::Snapshot& snapshot) {
    for (const auto& difference : snapshot.differences) {
        for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
            if (snapshot.ports[i] && difference->policy &&
                difference->policy->concerns(PortIndex{i})) {
                snapshot.ports[i]->policy_epoch = snapshot.generation;
            }
        }
        for (datapath::Domain& domain : snapshot.domains) {
            for (const auto& each : difference->domains) {
                if (each.domain == domain.id) { domain.epoch = snapshot.generation; }
            }
        }
    }
    snapshot.differences.clear();
}

struct Figures {
    double before = 0;      // Nanoseconds a packet just before.
    double worst = 0;       // The same over the worst 100 ms.
    double longest_us = 0;  // 256 packets.
    double usual_us = 0;    // The longest 256 packets before the change.
    double compile_ms = 0;
    std::uint64_t decided = 0;
};

class Bench {
public:
    explicit Bench(std::uint32_t flow_count) : flow_count_(flow_count), dataplane_(options()) {
        dataplane_.set_online(0, true);
    }

    Figures run(const Change& change, bool described) {
        json document = base_document();
        change.prepare(document);
        publish(compile(document));
        pass(2);
        change.make(document);
        timespec from{}, to{};
        clock_gettime(CLOCK_MONOTONIC, &from);
        auto next = compile(document);
        clock_gettime(CLOCK_MONOTONIC, &to);
        if (!described) { take_description(*next); }
        pass(1);
        Figures out;
        out.compile_ms = static_cast<double>(to.tv_sec - from.tv_sec) * 1e3 +
                         static_cast<double>(to.tv_nsec - from.tv_nsec) / 1e6;
        const Times before = poll_for(2 * kWindowNs);
        const std::uint64_t misses = counters().flow_misses.get();
        publish(std::move(next));
        const Times after = poll_for(4 * kWindowNs);
        out.decided = counters().flow_misses.get() - misses;
        out.before = mean(before);
        out.worst = std::max(worst(after), out.before);
        out.usual_us = longest(before);
        out.longest_us = longest(after);
        return out;
    }

private:
    using Times = std::vector<std::uint32_t>;  // Nanoseconds of a chunk.

    datapath::DataplaneOptions options() const {
        datapath::DataplaneOptions options;
        options.pool = &bench_pool();
        options.flow_capacity = 2U * std::max(flow_count_, 1024U);
        options.connection_capacity = 2U * std::max(flow_count_, 1024U);
        options.seed = 7;
        return options;
    }
    const WorkerCounters& counters() { return dataplane_.worker(0).context().counters; }

    std::unique_ptr<datapath::Snapshot> compile(const json& document) {
        const auto parsed = agent::parse_document(document.dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        auto compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_,
                          [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                              auto& device = devices_[port.name];
                              if (!device) {
                                  device = std::make_shared<BenchPort>(
                                      bench_pool(), port.name == "vm1" ? flow_count_ : 0);
                              }
                              return std::shared_ptr<datapath::Port>(device);
                          });
        SLUICE_ASSERT(compiled.ok());
        return std::move(compiled.value().snapshot);
    }
    void publish(std::unique_ptr<datapath::Snapshot> next) {
        (void)dataplane_.publish(std::move(next));
    }
    void poll() {
        now_ns_ += 2000;
        dataplane_.poll_once(0, now_ns_);
    }
    /// Every flow that many times.
    void pass(unsigned times) {
        for (std::uint32_t i = 0; i < times * flow_count_ / kBurstMax + 2; ++i) { poll(); }
        dataplane_.reclaim();
    }
    Times poll_for(std::uint64_t ns) {
        Times times;
        times.reserve(ns / 1000);
        std::uint64_t last = cpu_ns();
        for (const std::uint64_t end = last + ns; last < end;) {
            for (unsigned i = 0; i < kChunk; ++i) { poll(); }
            const std::uint64_t now = cpu_ns();
            times.push_back(static_cast<std::uint32_t>(now - last));
            last = now;
        }
        return times;
    }
    static double per_packet(double ns, std::size_t chunks) {
        return ns / static_cast<double>(chunks * kChunk * kBurstMax);
    }
    static double mean(const Times& times) {
        double sum = 0;
        for (const std::uint32_t each : times) { sum += each; }
        return per_packet(sum, times.size());
    }
    static double worst(const Times& times) {
        double out = 0;
        std::uint64_t sum = 0;
        std::size_t first = 0;
        for (std::size_t i = 0; i < times.size(); ++i) {
            sum += times[i];
            while (sum - times[first] >= kWindowNs) { sum -= times[first++]; }
            if (sum >= kWindowNs) {
                out = std::max(out, per_packet(static_cast<double>(sum), i + 1 - first));
            }
        }
        return out;
    }
    static double longest(const Times& times) {
        return static_cast<double>(*std::max_element(times.begin(), times.end())) / 1e3;
    }

    std::uint32_t flow_count_;
    std::map<std::string, std::shared_ptr<BenchPort>> devices_;
    datapath::Dataplane dataplane_;
    host::Registries registries_;
    std::uint64_t now_ns_ = 1'000'000'000;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void print_row(const char* name, const char* how, const std::vector<Figures>& all) {
    const auto of = [&](double Figures::*field) {
        std::vector<double> values;
        for (const Figures& each : all) { values.push_back(each.*field); }
        return median(values);
    };
    std::vector<double> rates;
    for (const Figures& each : all) { rates.push_back(each.before / each.worst); }
    std::printf("%-46s %-7s %6.1f %6.1f %6.2f %9.0f %9.0f %9.1f %10llu\n", name, how,
                of(&Figures::before), of(&Figures::worst), median(rates), of(&Figures::usual_us),
                of(&Figures::longest_us), of(&Figures::compile_ms),
                static_cast<unsigned long long>(all.back().decided));
    std::fflush(stdout);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    using namespace sluice::test;
    const Eal eal;
    const auto flows = static_cast<std::uint32_t>(argc > 1 ? std::atoll(argv[1]) : 1 << 20);
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
    const char* only = argc > 3 ? argv[3] : "";
    if (flows == 0 || (flows & (flows - 1)) != 0 || flows > 1U << 20U || rounds < 1) {
        std::fprintf(stderr, "bench_change: FLOWS is a power of two up to 1048576\n");
        return 2;
    }
    Bench bench(flows);
    std::printf("%u flows, %d rounds, medians\n%-46s %-7s %6s %6s %6s %9s %9s %9s %10s\n", flows,
                rounds, "change", "", "ns", "worst", "rate", "256: us", "then us", "compile",
                "decided");
    for (const Change& change : changes()) {
        if (std::string(change.name).find(only) == std::string::npos) { continue; }
        std::vector<Figures> sifted, anew;
        for (int round = 0; round < rounds; ++round) {
            sifted.push_back(bench.run(change, true));
            anew.push_back(bench.run(change, false));
        }
        print_row(change.name, "sifted", sifted);
        print_row("", "anew", anew);
    }
    return 0;
}
