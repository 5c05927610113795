// SPDX-License-Identifier: Apache-2.0
// The property that lets programs be cached: with and without the flow cache, the same traffic
// under the same changes of policy gives the same frames in the same order on every port, and the
// same drops by reason. Two pipelines side by side; repeat a run with SLUICE_SEED, its length with
// SLUICE_FRAMES.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>
#include <sstream>

#include "datapath/parse.h"
#include "tests/packet/random_traffic.h"
#include "tests/packet/redirect_rig.h"

namespace sluice::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kFrames = 100'000;
#else
constexpr std::uint64_t kFrames = 1'000'000;
#endif

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::uint64_t seed_of_clock() {
    return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) &
           0xffffffffffU;
}

std::string describe(const Bytes& bytes) {
    ParsedFrame frame;
    datapath::parse_frame(bytes.data(), static_cast<std::uint16_t>(bytes.size()),
                          static_cast<std::uint32_t>(bytes.size()), PortIndex{0}, frame);
    std::ostringstream out;
    const FlowKey& key = frame.key;
    out << bytes.size() << " bytes, class " << static_cast<int>(frame.frame_class) << ", mac .."
        << static_cast<int>(key.source_mac.bytes[4]) << ":"
        << static_cast<int>(key.source_mac.bytes[5]) << " to .."
        << static_cast<int>(key.destination_mac.bytes[4]) << ":"
        << static_cast<int>(key.destination_mac.bytes[5]) << ", type " << std::hex
        << key.ethertype.host() << std::dec << ", vlan " << key.vlan << ", ."
        << static_cast<int>(key.source_ip[15]) << " -> ."
        << static_cast<int>(key.destination_ip[15]) << ", proto " << static_cast<int>(key.protocol)
        << ", ports " << key.source_port.host() << " -> " << key.destination_port.host()
        << ", tcp flags " << static_cast<int>(frame.tcp_flags)
        << (frame.fragment ? ", fragment" : "");
    return out.str();
}

std::string describe(const Connection& c) {
    std::ostringstream out;
    out << "." << static_cast<int>(c.tuple.ip_a[15]) << ":" << c.tuple.port_a.host() << " <> ."
        << static_cast<int>(c.tuple.ip_b[15]) << ":" << c.tuple.port_b.host() << ", proto "
        << static_cast<int>(c.tuple.protocol) << ", family " << static_cast<int>(c.tuple.family)
        << ", domain " << c.tuple.domain.value << ", opened p" << c.opener_port.value << " to p"
        << c.responder_port.value << ", state " << static_cast<int>(c.state) << ", flags "
        << static_cast<int>(c.flags) << ", expires " << c.expires_ns;
    return out.str();
}

/// Connections of `x` that `y` has not, or not so.
std::string missing(Pipeline& x, Pipeline& y) {
    std::string out;
    std::vector<std::string> others;
    for (const Connection& connection : y.connections()) { others.push_back(describe(connection)); }
    for (const Connection& connection : x.connections()) {
        const std::string text = describe(connection);
        if (std::find(others.begin(), others.end(), text) == others.end()) {
            out += "    " + text + "\n";
        }
    }
    return out;
}

/// What is learned, without times.
std::set<std::string> learned(Pipeline& p) {
    std::set<std::string> rows;
    const LearnedTable& table = p.dataplane().learned();
    table.for_each(0, table.used_count(), p.now_ns(), [&](const LearnedRow& row) {
        const LearnedKey& key = row.key;
        std::ostringstream out;
        out << "kind " << static_cast<int>(key.kind) << ", domain " << key.domain.value << ", ";
        for (const std::uint8_t byte : key.address) { out << std::hex << int{byte} << std::dec; }
        out << " at p" << row.owner().value;
        rows.insert(out.str());
    });
    return rows;
}

PipelineOptions options_of(bool flow_cache, unsigned worker_count) {
    PipelineOptions options;
    options.flow_cache = flow_cache;
    options.worker_count = worker_count;
    options.seed = flow_cache ? 1 : 2;
    return options;
}

/// Of policy: few and large ones, or many of one rule, set or port each.
enum class Changes { kLarge, kSmall };

/// Whether rules hand connections to services, which pass everything.
enum class Services { kNone, kTwo };

/// Both pipelines, treated alike.
class Twins {
public:
    Twins(std::uint64_t seed, unsigned worker_count, Changes changes, Services services)
        : changes_(changes),
          random_(seed),
          policy_(seed + 1),
          traffic_(seed + 2),
          services_(services == Services::kTwo ? std::vector<TestService>{{"s0"}, {"s1", false}}
                                               : std::vector<TestService>{}),
          rules_(service_rules()),
          cached_(document(), options_of(true, worker_count)),
          walked_(document(), options_of(false, worker_count)) {}

    /// Sends a batch of frames to both, then changes something, perhaps. False at the first
    /// disagreement.
    bool run_batch() {
        batch_.clear();
        for (unsigned count = 1 + below(48); count > 0; --count) {
            Sending sending = traffic_.next();
            if (policy_.has_port(sending.port)) { batch_.push_back(std::move(sending)); }
        }
        frame_count_ += batch_.size();
        for (const Sending& sending : batch_) {
            cached_.send(port_name(sending.port), sending.frame);
            walked_.send(port_name(sending.port), sending.frame);
        }
        both([this](Pipeline& p) { test::run(p, services_); });
        if (!agree()) { return false; }
        pass_time();
        meddle();
        return true;
    }

    [[nodiscard]] std::uint64_t frame_count() const noexcept { return frame_count_; }
    [[nodiscard]] std::uint64_t change_count() const noexcept { return change_count_; }
    [[nodiscard]] const std::string& difference() const noexcept { return difference_; }
    /// What waits for a neighbour is given up, fragments are forgotten.
    void settle() {
        for (std::uint32_t i = 0; i <= kNeighbourProbeCount; ++i) {
            both([](Pipeline& p) { p.advance(kNeighbourProbeMs * kMillisecond).step(); });
        }
        both([](Pipeline& p) { p.forget_fragments(); });
    }
    Pipeline& cached() noexcept { return cached_; }
    Pipeline& walked() noexcept { return walked_; }

private:
    unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

    template <typename Act>
    void both(Act&& act) {
        act(cached_);
        act(walked_);
    }

    nlohmann::json document() {
        return services_.empty() ? policy_.document()
                                 : with_chain(policy_.document(), services_, rules_);
    }

    nlohmann::json service_rules() {
        nlohmann::json rules = nlohmann::json::array();
        for (unsigned count = services_.empty() ? 0 : 1 + below(3); count > 0; --count) {
            const TestService& service = services_[below(2)];
            nlohmann::json rule = service_rule(
                service, {{"name", "r" + std::to_string(count)},
                          {"slot", 4 + below(9)},
                          {"initiator", std::array{"in", "out", "both"}[below(3)]},
                          {"on_failure", std::array{"open", "closed"}[below(2)]},
                          {"applied_to", {std::array{"any", "red", "blue"}[below(3)]}},
                          {"services", {std::array{"any", "tcp", "udp", "icmp"}[below(4)]}}});
            if (below(4) == 0) {
                rule["action"] = "bypass";
                rule.erase("instances");
            }
            rules.push_back(rule);
        }
        return rules;
    }

    /// Heartbeats say otherwise, but none is due between two batches.
    void fail_services() {
        if (services_.empty()) { return; }
        const std::string name = services_[below(2)].name;
        const bool works = below(3) != 0;
        both([&](Pipeline& p) {
            const auto& all = p.dataplane().snapshot().service_instances;
            const bool is_named = std::any_of(all.begin(), all.end(),
                                              [&](const auto& each) { return each.name == name; });
            if (is_named) { set_works(p, name, works); }
        });
    }

    void pass_time() {
        std::uint64_t ns = below(2000) * 1000U;
        if (below(100) < 2) { ns = (1 + below(3000)) * kMillisecond; }
        if (below(1000) < 3) { ns = (5 + below(100)) * kSecond; }
        // Limits count expired connections until the sweep has found them, here or there.
        both([&](Pipeline& p) {
            p.advance(ns);
            ConnectionTable& table = p.dataplane().connections();
            table.sweep(0, table.capacity(), p.now_ns());
        });
    }

    void meddle() {
        if (below(changes_ == Changes::kSmall ? 3 : 12) == 0) {
            before_ = policy_.document();
            if (changes_ == Changes::kSmall) {
                policy_.refine();
            } else {
                policy_.change();
            }
            ++change_count_;
            if (below(3) == 0) { rules_ = service_rules(); }
            const nlohmann::json changed = document();
            both([&](Pipeline& p) { p.apply(changed); });
        }
        if (below(20) == 0) { fail_services(); }
        const unsigned what = below(500);
        const std::string name = port_name(below(3));
        if (what == 0) {
            both([](Pipeline& p) { p.flush_connections(); });
        }
        if (what == 1) {
            both([&](Pipeline& p) { p.flush_connections(name); });
        }
        if (what == 2) {
            both([](Pipeline& p) {
                for (unsigned i = 0; i < p.dataplane().worker_count(); ++i) {
                    datapath::FlushFlows command;
                    p.run(i, command);
                }
            });
        }
        if (what == 7) {
            both([](Pipeline& p) {
                LearnedFilter filter;
                filter.kind = LearnedKind::kBinding;
                datapath::FlushLearned command(filter);
                p.run(0, command);
            });
        }
        if (what >= 8 && what < 16) { tell_of_elsewhere(); }
        const bool on = below(5) != 0;
        if (what == 3) {
            both([&](Pipeline& p) { p.port(name).up = on; });
        }
        if (what == 4) {
            both([&](Pipeline& p) { p.port(name).partial_checksum = on; });
        }
        if (what == 5) {
            both([&](Pipeline& p) { p.port(name).tso4 = on; });
        }
        const std::size_t burst = 1 + below(32);
        if (what < 50) {
            both([&](Pipeline& p) { p.port(name).burst_max = burst; });
        }
        const std::size_t room = on ? SIZE_MAX : 100;
        if (what == 6) {
            both([&](Pipeline& p) { p.port(name).room = room; });
        }
    }

    /// A controller says, or takes back, who has an address in some domain.
    void tell_of_elsewhere() {
        const std::size_t domain = below(4);
        MacAddr mac{{0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(1 + below(12))}};
        const IpAddr ip = IpAddr::v4(0x0a000001U + below(100));
        const bool is_gone = below(3) == 0;
        both([&](Pipeline& p) {
            const auto& domains = p.dataplane().snapshot().domains;
            if (domain >= domains.size()) { return; }
            const LearnedKey key = LearnedKey::neighbour(domains[domain].id, ip);
            LearnedValue value;
            value.mac = mac;
            if (is_gone) {
                p.dataplane().fleet().forget(key);
            } else {
                p.dataplane().fleet().learn(key, value, 0, p.now_ns());
            }
            p.dataplane().note_fleet_change();
        });
    }

    bool agree() {
        for (std::size_t i = 0; i < kUniverseSize; ++i) {
            MemoryPort& x = cached_.port(port_name(i));
            MemoryPort& y = walked_.port(port_name(i));
            if (x.sent() != y.sent()) {
                return differ(port_name(i) + " was sent other frames:" + beyond(x, y, "cached") +
                              beyond(y, x, "walked"));
            }
            x.clear_sent();
            y.clear_sent();
        }
        for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
            const auto r = static_cast<DropReason>(reason);
            const std::uint64_t x = cached_.drops(r);
            const std::uint64_t y = walked_.drops(r);
            if (x != y) {
                return differ("drops for " + std::string(to_string(r)) + ": " + std::to_string(x) +
                              " cached, " + std::to_string(y) + " walked");
            }
        }
        const std::set<std::string> x = learned(cached_);
        const std::set<std::string> y = learned(walked_);
        if (x == y) { return true; }
        std::string what = "learned";
        for (const std::string& row : x) { what += y.contains(row) ? "" : "; cached: " + row; }
        for (const std::string& row : y) { what += x.contains(row) ? "" : "; walked: " + row; }
        return differ(what);
    }

    /// The frames of `x` that `y` was not sent.
    static std::string beyond(MemoryPort& x, MemoryPort& y, const char* name) {
        std::string out = "\n  " + std::to_string(x.sent().size()) + " " + name;
        for (const auto& frame : x.sent()) {
            if (std::find(y.sent().begin(), y.sent().end(), frame) != y.sent().end()) { continue; }
            out += ", among them " + describe(frame.bytes);
        }
        return out;
    }

    bool differ(const std::string& what) {
        std::ostringstream out;
        out << "frame " << frame_count_ << ", change " << change_count_ << ": " << what
            << "\nsince:\n";
        for (const Sending& sending : batch_) {
            out << "  from " << port_name(sending.port) << ": " << describe(sending.frame.bytes)
                << "\n";
        }
        for (std::size_t i = 1; i < kDropReasonCount; ++i) {
            const auto reason = static_cast<DropReason>(i);
            if (cached_.drops(reason) == walked_.drops(reason)) { continue; }
            out << "  " << to_string(reason) << ": " << cached_.drops(reason) << " cached, "
                << walked_.drops(reason) << " walked\n";
            for (std::size_t port = 0; port < kUniverseSize; ++port) {
                const std::uint64_t x = cached_.drops(port_name(port), reason);
                const std::uint64_t y = walked_.drops(port_name(port), reason);
                if (x != y) { out << "    " << port_name(port) << ": " << x << ", " << y << "\n"; }
            }
        }
        out << "  connections of the cached one alone:\n"
            << missing(cached_, walked_) << "  of the walked one alone:\n"
            << missing(walked_, cached_);
        out << policy_.document().dump() << "\nthe last change, turned round: "
            << nlohmann::json::diff(policy_.document(), before_).dump();
        difference_ = out.str();
        return false;
    }

    Changes changes_;
    std::mt19937_64 random_;
    RandomPolicy policy_;
    RandomTraffic traffic_;
    std::vector<TestService> services_;
    nlohmann::json rules_;
    Pipeline cached_, walked_;
    std::vector<Sending> batch_;
    std::uint64_t frame_count_ = 0, change_count_ = 0;
    nlohmann::json before_;  // The document.
    std::string difference_;
};

// Figures that people see: `show chain` counts alike, whichever way a packet went.
void expect_equal_slots(Twins& twins) {
    for (std::size_t i = 0; i < kUniverseSize; ++i) {
        for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
            for (const Direction direction : {Direction::kFromVm, Direction::kToVm}) {
                const SlotFigures x = twins.cached().slot(port_name(i), slot, direction);
                const SlotFigures y = twins.walked().slot(port_name(i), slot, direction);
                EXPECT_TRUE(x == y)
                    << port_name(i) << " slot " << slot << " direction "
                    << static_cast<int>(direction) << ": " << x.packets << "/" << x.drops
                    << " cached, " << y.packets << "/" << y.drops << " walked";
            }
        }
    }
}

// The same traffic every time, so that a failure is a change's; SLUICE_SEED=0 takes the clock's.
std::uint64_t chosen_seed() {
    constexpr std::uint64_t kSeed = 2;
    const std::uint64_t seed = from_environment("SLUICE_SEED", kSeed);
    return seed != 0 ? seed : seed_of_clock();
}

void run(unsigned worker_count, Changes changes = Changes::kLarge,
         Services services = Services::kNone) {
    const std::uint64_t seed = chosen_seed();
    const std::uint64_t frames = from_environment("SLUICE_FRAMES", kFrames);
    std::cout << "seed " << seed << "; repeat with SLUICE_SEED=" << seed
              << " SLUICE_FRAMES=" << frames << std::endl;
    Twins twins(seed, worker_count, changes, services);
    while (twins.frame_count() < frames) {
        ASSERT_TRUE(twins.run_batch()) << "seed " << seed << ", " << twins.difference();
    }
    const Books books = twins.cached().books();
    std::cout << twins.frame_count() << " frames, " << twins.change_count() << " changes, "
              << books.sent << " sent, " << books.dropped << " dropped, "
              << twins.cached().dataplane().worker(0).context().counters.flow_misses.get()
              << " misses on worker 0" << std::endl;
    for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
        const std::uint64_t count = twins.cached().drops(static_cast<DropReason>(reason));
        if (count > 0) {
            std::cout << "  " << to_string(static_cast<DropReason>(reason)) << " " << count;
        }
    }
    std::cout << std::endl;
    twins.settle();
    EXPECT_TRUE(twins.cached().packets_conserved()) << "seed " << seed;
    EXPECT_TRUE(twins.walked().packets_conserved()) << "seed " << seed;
    EXPECT_GT(books.sent, frames / 10)
        << "seed " << seed << ": traffic that is all dropped shows nothing";
    expect_equal_slots(twins);
}

TEST(AgreementOneWorker, CachedAndWalkedVerdictsAreTheSame) { run(1); }

TEST(AgreementSmallChanges, CachedAndWalkedVerdictsAreTheSame) { run(1, Changes::kSmall); }

TEST(AgreementServices, CachedAndWalkedVerdictsAreTheSame) {
    run(1, Changes::kSmall, Services::kTwo);
}

TEST(AgreementTwoWorkers, CachedAndWalkedVerdictsAreTheSame) { run(2); }

}  // namespace
}  // namespace sluice::test
