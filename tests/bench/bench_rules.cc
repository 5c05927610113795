// SPDX-License-Identifier: Apache-2.0
// bench_rules: does the cost of a first packet follow the number of rules?
//     bench_rules [SHAPE [ROUNDS]]
// For each shape of rule set, a host with 100 rules, all of them for the vNIC, and one with 100 000
// of which 4 000 are for it, kept side by side and measured in turns: cycles of slot 2's decision
// (20 000 keys, each judged once: alone, and in bursts of 32 as the worker does), and of a whole
// first packet through the worker (bursts of 32, each frame a new flow that opens a connection).
// Half of the keys are drawn from the vNIC's rules, half from the rules' world. Medians and 99th
// percentiles; memory of the compiled policy. Single thread.
#include <malloc.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
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

constexpr std::size_t kKeys = 20'000;
constexpr std::size_t kBursts = 2'000;

/// What the rules of a shape name.
enum class Naming : std::uint8_t { kGroups, kFewGroups, kHosts, kPrefixes, kPorts, kHosts6, kSets };

struct Shape {
    const char* name;
    Naming naming;
};
constexpr Shape kShapes[] = {
    {"groups of 20, ten rules each", Naming::kGroups},
    {"groups of 20, few", Naming::kFewGroups},
    {"a literal of its own each", Naming::kHosts},
    {"nested prefixes /8 to /32", Naming::kPrefixes},
    {"same /8, the port decides", Naming::kPorts},
    {"IPv6 /64 and /128", Naming::kHosts6},
    {"100 sets, 10 k members each", Naming::kSets},
};

/// Source, destination and port of a flow that a rule was made for.
struct Flow {
    IpAddr source, destination;
    std::uint16_t port;
};

/// Makes rules of a shape, and flows that match one of them.
class World {
public:
    World(Naming naming, std::size_t rule_count) : naming_(naming), rule_count_(rule_count) {
        std::size_t count = 0, size = 20;
        if (naming == Naming::kGroups) { count = rule_count / 10; }
        if (naming == Naming::kFewGroups) { count = std::min<std::size_t>(rule_count / 10, 200); }
        if (naming == Naming::kSets) {
            count = std::min<std::size_t>(rule_count / 10, 100);
            size = rule_count >= 100'000 ? 10'000 : 20;
        }
        for (std::size_t i = 0; i < count; ++i) {
            auto& set = sets_.emplace_back();
            for (std::size_t j = 0; j < size; ++j) { set.push_back(host()); }
        }
    }

    [[nodiscard]] json sets() const {
        json out = json::array();
        for (std::size_t i = 0; i < sets_.size(); ++i) {
            json members = json::array();
            for (const IpAddr& ip : sets_[i]) { members.push_back(to_string(ip)); }
            out.push_back({{"name", "set" + std::to_string(i)}, {"members", std::move(members)}});
        }
        return out;
    }

    json rule(std::size_t number, Flow& flow) {
        flow.port = static_cast<std::uint16_t>(naming_ == Naming::kPorts ? 1 + number % 60'000
                                                                         : 1000 + below(20));
        json out{{"name", "r" + std::to_string(number)},
                 {"source", {side(flow.source)}},
                 {"destination", {side(flow.destination)}},
                 {"services", {"udp/" + std::to_string(flow.port)}}};
        return out;
    }

    Flow stranger() {
        Flow out{host(), host(), static_cast<std::uint16_t>(1000 + below(20))};
        if (!sets_.empty()) {
            out.source = member(sets_[below(sets_.size())]);
            out.destination = member(sets_[below(sets_.size())]);
        }
        return out;
    }

private:
    std::size_t below(std::size_t bound) { return random_() % bound; }
    const IpAddr& member(const std::vector<IpAddr>& set) { return set[below(set.size())]; }

    IpAddr host() {
        if (naming_ != Naming::kHosts6) {
            return IpAddr::v4(10U << 24U | static_cast<std::uint32_t>(below(1U << 20U)));
        }
        std::array<std::uint8_t, 16> wire{0x20, 0x01, 0x0d, 0xb8};
        const auto net = static_cast<std::uint32_t>(below(1U << 14U));
        wire[6] = static_cast<std::uint8_t>(net >> 8U);
        wire[7] = static_cast<std::uint8_t>(net);
        wire[15] = static_cast<std::uint8_t>(1 + below(8));
        return IpAddr::v6(wire);
    }

    /// Text of a rule's list, and an address that it holds.
    std::string side(IpAddr& inside) {
        inside = host();
        if (!sets_.empty()) {
            const std::size_t i = below(sets_.size());
            inside = member(sets_[i]);
            return "set" + std::to_string(i);
        }
        if (naming_ == Naming::kPorts) { return "10.0.0.0/8"; }
        if (naming_ == Naming::kPrefixes) {
            const auto open = static_cast<unsigned>(below(25));
            const std::uint32_t net = inside.v4_host() >> open << open;
            return to_string(IpAddr::v4(net)) + "/" + std::to_string(32 - open);
        }
        if (naming_ == Naming::kHosts6 && below(2) == 0) {
            IpAddr net = inside;
            net.bytes[15] = 0;
            return to_string(net) + "/64";
        }
        return to_string(inside);
    }

    Naming naming_;
    std::size_t rule_count_;
    std::mt19937 random_{7};
    std::vector<std::vector<IpAddr>> sets_;
};

/// Sends what it is told, from a vNIC.
class FlowPort final : public datapath::Port {
public:
    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        const std::size_t count = std::min(frames.size(), waiting_.size());
        if (count == 0 || rte_pktmbuf_alloc_bulk(&bench_pool(), frames.data(),
                                                 static_cast<unsigned>(count)) != 0) {
            return {};
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::memcpy(rte_pktmbuf_mtod(frames[i], void*), waiting_[i].data(), waiting_[i].size());
            frames[i]->data_len = static_cast<std::uint16_t>(waiting_[i].size());
            frames[i]->pkt_len = frames[i]->data_len;
        }
        waiting_ = waiting_.subspan(count);
        return {static_cast<std::uint16_t>(count), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

    void offer(std::span<const Bytes> frames) { waiting_ = frames; }

private:
    std::span<const Bytes> waiting_;
};

struct Figures {
    std::vector<double> cycles;
    [[nodiscard]] double at(double share) {
        std::sort(cycles.begin(), cycles.end());
        return cycles.empty() ? 0
                              : cycles[static_cast<std::size_t>(
                                    share * static_cast<double>(cycles.size() - 1))];
    }
};

/// A host with `rule_count` rules, every `stride`th of them for vm1 and vm2.
class RuleHost {
public:
    RuleHost(Naming naming, std::size_t rule_count, std::size_t stride)
        : world_(naming, rule_count), dataplane_(options()) {
        json document = two_vms();
        document["ports"].push_back(port_of("vm3", "lan", kVm3));
        document["address_sets"] = world_.sets();
        json rules = json::array();
        for (std::size_t i = 0; i < rule_count; ++i) {
            Flow flow;
            rules.push_back(world_.rule(i, flow));
            const bool is_ours = i % stride == 0;
            rules.back()["applied_to"] = is_ours ? json{"vm1", "vm2"} : json{"vm3"};
            if (is_ours) { made_for_.push_back(flow); }
        }
        document["dfw"] = {{"limits", {{"connections_per_port", 0}, {"connections", 0}}},
                           {"sections", {{{"name", "s"}, {"rules", std::move(rules)}}}}};
        dataplane_.set_online(0, true);
        publish(document);
        make_flows();
    }

    void judge(Figures& out) {
        ChainProgram chain;
        const auto& all = *dataplane_.snapshot().port(registries_.ports.find("vm1"))->chain;
        chain.slots[kSlotDfw] = all.slots[kSlotDfw];
        for (const FlowKey& key : keys_) {
            const std::uint64_t begin = rte_rdtsc_precise();
            const Decision decision = decide(chain, {key, Direction::kFromVm});
            const std::uint64_t end = rte_rdtsc_precise();
            out.cycles.push_back(static_cast<double>(end - begin));
            checksum_ += decision.rule.value;
        }
    }

    /// As the worker does: a burst is looked ahead for, then decided.
    void judge_bursts(Figures& out) {
        ChainProgram chain;
        const auto& all = *dataplane_.snapshot().port(registries_.ports.find("vm1"))->chain;
        chain.slots[kSlotDfw] = all.slots[kSlotDfw];
        for (std::size_t first = 0; first + kBurstMax <= keys_.size(); first += kBurstMax) {
            std::array<const FlowKey*, kBurstMax> keys;
            std::array<Judgement, kBurstMax> judgements;
            const std::uint64_t begin = rte_rdtsc_precise();
            for (std::size_t i = 0; i < kBurstMax; ++i) { keys[i] = &keys_[first + i]; }
            foresee(chain, keys, judgements);
            for (std::size_t i = 0; i < kBurstMax; ++i) {
                const Decision decision =
                    decide(chain, {*keys[i], Direction::kFromVm, nullptr, {}, &judgements[i]});
                checksum_ += decision.rule.value;
            }
            const std::uint64_t end = rte_rdtsc_precise();
            out.cycles.push_back(static_cast<double>(end - begin) / kBurstMax);
        }
    }

    void first_packets(Figures& out) {
        for (std::size_t i = 0; i < kBursts; ++i) {
            make_fresh();
            port_->offer(fresh_);
            now_ns_ += 1000;
            const std::uint64_t begin = rte_rdtsc_precise();
            dataplane_.poll_once(0, now_ns_);
            const std::uint64_t end = rte_rdtsc_precise();
            out.cycles.push_back(static_cast<double>(end - begin) / kBurstMax);
        }
    }

    [[nodiscard]] double compile_ms() const noexcept { return compile_ms_; }
    [[nodiscard]] double policy_bytes() const noexcept { return policy_bytes_; }
    [[nodiscard]] std::uint64_t misses() {
        return dataplane_.worker(0).context().counters.flow_misses.get();
    }

private:
    static datapath::DataplaneOptions options() {
        datapath::DataplaneOptions options;
        options.pool = &bench_pool();
        options.flow_capacity = 1U << 18U;
        options.connection_capacity = 1U << 18U;
        options.seed = 7;
        return options;
    }

    void publish(const json& document) {
        const auto parsed = agent::parse_document(document.dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        const auto used = static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd);
        const std::uint64_t begin = rte_rdtsc();
        auto compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_,
                          [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                              auto device = std::make_shared<FlowPort>();
                              if (port.name == "vm1") { port_ = device; }
                              return std::shared_ptr<datapath::Port>(device);
                          });
        compile_ms_ =
            static_cast<double>(rte_rdtsc() - begin) * 1e3 / static_cast<double>(rte_get_tsc_hz());
        SLUICE_ASSERT(compiled.ok());
        policy_bytes_ = static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd) - used;
        (void)dataplane_.publish(std::move(compiled.value().snapshot));
    }

    Bytes frame_of(const Flow& flow, std::uint16_t source_port) {
        Path path = flow.source.is_v4() ? v4(kVm1, kVm2) : v6(kVm1, kVm2);
        path.source = flow.source;
        path.destination = flow.destination;
        return udp(path, source_port, flow.port, flow.source.is_v4() ? 22U : 2U);
    }

    void make_flows() {
        std::mt19937 random(11);
        for (std::size_t i = 0; i < kKeys; ++i) {
            flows_.push_back(i % 2 == 0 ? made_for_[random() % made_for_.size()]
                                        : world_.stranger());
            FlowKey& key = keys_.emplace_back();
            key.flags = static_cast<std::uint8_t>(
                (flows_.back().source.is_v4() ? kKeyIpv4 : kKeyIpv6) | kKeyPorts);
            key.protocol = 17;
            key.source_port = Be16::from_host(4000);
            key.destination_port = Be16::from_host(flows_.back().port);
            std::memcpy(key.source_ip, flows_.back().source.bytes.data(), 16);
            std::memcpy(key.destination_ip, flows_.back().destination.bytes.data(), 16);
        }
    }

    void make_fresh() {
        fresh_.clear();
        for (std::size_t i = 0; i < kBurstMax; ++i, ++made_) {
            fresh_.push_back(
                frame_of(flows_[made_ % kKeys], static_cast<std::uint16_t>(1024 + made_ / kKeys)));
        }
    }

    World world_;
    datapath::Dataplane dataplane_;
    host::Registries registries_;
    std::shared_ptr<FlowPort> port_;
    std::vector<Flow> made_for_, flows_;
    std::vector<FlowKey> keys_;
    std::vector<Bytes> fresh_;
    std::size_t made_ = 0;
    std::uint64_t now_ns_ = 1'000'000'000;
    double compile_ms_ = 0, policy_bytes_ = 0;
    std::uint64_t checksum_ = 0;
};

void run(const Shape& shape, int rounds) {
    RuleHost few(shape.naming, 100, 1);
    RuleHost many(shape.naming, 100'000, 25);
    Figures few_judged, many_judged, few_bursts, many_bursts, few_first, many_first;
    for (int round = 0; round < rounds; ++round) {
        few.judge(few_judged);
        many.judge(many_judged);
        few.judge_bursts(few_bursts);
        many.judge_bursts(many_bursts);
        few.first_packets(few_first);
        many.first_packets(many_first);
    }
    const auto row = [](const char* what, Figures& a, Figures& b) {
        std::printf("  %-14s %7.0f (%6.0f) %7.0f (%6.0f)   %5.2f %5.2f\n", what, a.at(0.5),
                    a.at(0.99), b.at(0.5), b.at(0.99), b.at(0.5) / a.at(0.5),
                    b.at(0.99) / a.at(0.99));
    };
    std::printf("%s: compiled in %.0f ms, %.1f MB\n", shape.name, many.compile_ms(),
                many.policy_bytes() / 1e6);
    row("one decision", few_judged, many_judged);
    row("in a burst", few_bursts, many_bursts);
    row("first packet", few_first, many_first);
    std::fflush(stdout);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    using namespace sluice::test;
    const Eal eal;
    std::printf(
        "cycles, median (99th percentile): 100 rules | 100 000, 4 000 for the vNIC | ratio\n");
    for (const Shape& shape : kShapes) {
        const bool is_asked =
            argc < 2 || std::string(shape.name).find(argv[1]) != std::string::npos;
        if (is_asked) { run(shape, argc > 2 ? std::atoi(argv[2]) : 3); }
    }
    return 0;
}
