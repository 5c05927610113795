// SPDX-License-Identifier: Apache-2.0
// Metrics: see metrics.h. Counters are read with relaxed loads while workers write them.
#include "src/sluiced/metrics.h"

#include <rte_mempool.h>

#include <boost/asio/post.hpp>
#include <chrono>

#include "sluice/iochain/expectation_table.h"
#include "sluice/net/address_text.h"
#include "src/host/compile_chains.h"
#include "src/sluiced/books.h"
#include "src/sluiced/service_rows.h"
#include "src/sluiced/version.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kPortsAPiece = 32;    // About a millisecond of the control loop.
constexpr std::size_t kRulesAPiece = 2000;  // The same.

// Lets the control loop serve others.
asio::awaitable<void> give_way() {
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::post(executor, asio::use_awaitable);
}

double unix_time_s() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

const char* text_of(std::size_t direction) { return direction == 0 ? "from-vm" : "to-vm"; }

}  // namespace

Metrics::Metrics(datapath::Dataplane& dataplane, const ConfigService& config,
                 const Uplinks& uplinks, const TeamWatch& teams, const Options& options)
    : dataplane_(dataplane),
      config_(config),
      uplinks_(uplinks),
      teams_(teams),
      options_(options),
      start_time_s_(unix_time_s()) {}

template <typename Figure>
std::uint64_t Metrics::sum_port(PortIndex index, Figure&& figure) const {
    std::uint64_t total = 0;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        const Counter& counter =
            figure(std::as_const(dataplane_).worker(w).context().ports[index.value]);
        total += counter.get();
    }
    return total;
}

std::uint64_t Metrics::sum_rule(std::uint32_t slot, Counter RuleCounters::*figure) const {
    std::uint64_t total = 0;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        const RuleCounters& counters = std::as_const(dataplane_).worker(w).context().rules[slot];
        total += (counters.*figure).get();
    }
    return total;
}

std::vector<Metrics::PortRow> Metrics::port_rows() const {
    std::vector<PortRow> rows;
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
        const datapath::PortConfig* port = snapshot.port(PortIndex{i});
        if (port == nullptr) { continue; }
        rows.push_back({PortIndex{i}, metric_labels({{"port", port->name}}),
                        metric_labels({{"port", port->name},
                                       {"port_group", port->port_group},
                                       {"mac", to_string(port->mac)},
                                       {"worker", std::to_string(port->worker)}}),
                        port->is_enabled && port->device->is_up(), port->chain});
    }
    return rows;
}

asio::awaitable<std::string> Metrics::text() {
    const auto of_workers = co_await run_on_workers<datapath::FoldCommand>(dataplane_);
    const Books books = sum_books(of_workers);
    const std::vector<PortRow> ports = port_rows();
    std::vector<RuleRow> rules;
    MetricsText out;
    write_host(out);
    write_source(out);
    write_alarms(out);
    write_port_states(out, ports);
    write_port_counters(out, ports);
    co_await write_drops(out, ports);
    write_uplinks(out);
    const VtepLists vteps = co_await list_vteps(dataplane_);
    write_vteps(out, vteps);
    write_services(out);
    write_encryption(out);
    co_await write_slots(out, ports, Metric::kSlotPackets);
    co_await write_slots(out, ports, Metric::kSlotDroppedPackets);
    co_await collect_rules(rules);
    write_rules(out, rules);
    write_workers(out);
    write_tables(out);
    out.single(Metric::kBooksReceived, books.received);
    out.single(Metric::kBooksCreated, books.created);
    out.single(Metric::kBooksSent, books.sent);
    out.single(Metric::kBooksConsumed, books.consumed);
    out.single(Metric::kBooksDropped, books.dropped);
    out.single(Metric::kBooksHeld, books.held);
    out.begin(Metric::kBooksUnaccounted);
    out.sample("", books.unaccounted());
    co_return out.take();
}

void Metrics::write_host(MetricsText& out) const {
    out.begin(Metric::kBuildInfo);
    out.sample(metric_labels({{"version", kVersion}}), std::uint64_t{1});
    out.begin(Metric::kStartTime);
    out.sample("", start_time_s_);
    out.single(Metric::kConfigGeneration, config_.generation());
}

// Of the local store there is nothing to say.
void Metrics::write_source(MetricsText& out) const {
    const nlohmann::json source = source_ ? source_() : nlohmann::json::object();
    out.begin(Metric::kSourceState);
    if (source_) {
        out.sample(metric_labels(
                       {{"kind", source.value("kind", "")}, {"state", source.value("state", "")}}),
                   std::uint64_t{1});
    }
    constexpr std::pair<Metric, const char*> kFigures[] = {
        {Metric::kSourceStateSeconds, "since_s"},
        {Metric::kSourceGeneration, "generation"},
        {Metric::kSourceProblems, "problems"},
        {Metric::kSourceBindings, "bindings"},
        {Metric::kSourceLag, "lag_ms"}};
    for (const auto& [metric, key] : kFigures) {
        out.begin(metric);
        if (!source.contains(key)) { continue; }
        const double scale = metric == Metric::kSourceLag ? 1e-3 : 1;
        out.sample("", source.value(key, 0.0) * scale);
    }
    out.begin(Metric::kSourceAlarms);
    if (source.contains("alarms")) {
        out.sample("", static_cast<std::uint64_t>(source["alarms"].size()));
    }
}

void Metrics::write_alarms(MetricsText& out) const {
    out.begin(Metric::kAlarm);
    for (std::size_t i = 0; alarms_ && i < kAlarmKindCount; ++i) {
        const auto kind = static_cast<AlarmKind>(i);
        out.sample(metric_labels({{"name", rule_of(kind).name}}), std::uint64_t{alarms_(kind)});
    }
}

void Metrics::write_port_states(MetricsText& out, const std::vector<PortRow>& ports) const {
    out.begin(Metric::kPortUp);
    for (const PortRow& row : ports) { out.sample(row.labels, std::uint64_t{row.is_up}); }
    out.begin(Metric::kPortInfo);
    for (const PortRow& row : ports) { out.sample(row.info, std::uint64_t{1}); }
}

void Metrics::write_port_counters(MetricsText& out, const std::vector<PortRow>& ports) const {
    constexpr std::pair<Metric, Counter PortCounters::*> kFigures[] = {
        {Metric::kPortReceivePackets, &PortCounters::rx_packets},
        {Metric::kPortReceiveBytes, &PortCounters::rx_bytes},
        {Metric::kPortTransmitPackets, &PortCounters::tx_packets},
        {Metric::kPortTransmitBytes, &PortCounters::tx_bytes},
        {Metric::kPortAnswered, &PortCounters::answered},
        {Metric::kPortCycles, &PortCounters::cycles}};
    for (const auto& [metric, figure] : kFigures) {
        out.begin(metric);
        for (const PortRow& row : ports) {
            out.sample(
                row.labels,
                sum_port(row.index, [member = figure](const PortCounters& c) -> const Counter& {
                    return c.*member;
                }));
        }
    }
    out.begin(Metric::kPortHeldRounds);
    for (const PortRow& row : ports) {
        std::uint64_t rounds = 0;
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            rounds +=
                std::as_const(dataplane_).worker(w).context().held_rounds[row.index.value].get();
        }
        out.sample(row.labels, rounds);
    }
}

asio::awaitable<void> Metrics::write_drops(MetricsText& out, const std::vector<PortRow>& ports) {
    out.begin(Metric::kPortDroppedPackets);
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const PortRow& row = ports[i];
        if (i % kPortsAPiece == kPortsAPiece - 1) { co_await give_way(); }
        for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
            const std::uint64_t count = sum_port(
                row.index,
                [reason](const PortCounters& c) -> const Counter& { return c.drops[reason]; });
            if (count == 0) { continue; }
            out.sample(row.labels + ',' + metric_labels({{"reason", kDropReasons[reason].text}}),
                       count);
        }
    }
}

void Metrics::write_uplinks(MetricsText& out) const {
    const auto each = [&](Metric metric, auto&& write) {
        out.begin(metric);
        for (const model::Uplink& uplink : config_.document().uplinks) {
            write(uplink, uplinks_.state(uplink.name));
        }
    };
    each(Metric::kUplinkUp, [&](const model::Uplink& uplink, const UplinkState& state) {
        out.sample(metric_labels({{"uplink", uplink.name}, {"device", uplink.device}}),
                   std::uint64_t{state.why.empty()});
    });
    each(Metric::kUplinkWorks, [&](const model::Uplink& uplink, const UplinkState& state) {
        const TeamPart part = teams_.part(uplink.name);
        const bool works = state.lag ? state.lag->is_used() : part.is_used;
        out.sample(metric_labels({{"uplink", uplink.name}, {"role", part.role}}),
                   std::uint64_t{works});
    });
    each(Metric::kUplinkSpeed, [&](const model::Uplink& uplink, const UplinkState& state) {
        out.sample(metric_labels({{"uplink", uplink.name}}),
                   std::uint64_t{state.speed_mbps} * 1'000'000U);
    });
    each(Metric::kUplinkDeviceDrops, [&](const model::Uplink& uplink, const UplinkState& state) {
        const auto sample = [&](const char* kind, std::uint64_t count) {
            out.sample(metric_labels({{"uplink", uplink.name}, {"kind", kind}}), count);
        };
        sample("rx_missed", state.figures.missed);
        sample("rx_errors", state.figures.rx_errors);
        sample("tx_errors", state.figures.tx_errors);
    });
}

void Metrics::write_vteps(MetricsText& out, const VtepLists& lists) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    out.begin(Metric::kVtepUp);
    const auto vtep_count = static_cast<std::uint16_t>(snapshot.vteps.size());
    for (std::uint16_t vtep = 0; vtep < vtep_count; ++vtep) {
        for (const auto& list : lists) {
            const datapath::LocalVtep& local = list->locals[vtep];
            if (!local.is_served) { continue; }
            out.sample(metric_labels({{"vtep", vtep_name(snapshot, vtep)}}),
                       std::uint64_t{local.is_up});
        }
    }
    const auto each = [&](Metric metric, auto&& write) {
        out.begin(metric);
        for (const auto& list : lists) {
            for (const datapath::ListVteps::Peer& peer : list->peers) {
                if (peer.vtep >= snapshot.vteps.size()) { continue; }
                const std::string labels = metric_labels(
                    {{"vtep", vtep_name(snapshot, peer.vtep)}, {"peer", to_string(peer.state.ip)}});
                write(labels, peer.state);
            }
        }
    };
    using Peer = const datapath::VtepPeer&;
    each(Metric::kVtepPeerUp, [&](const std::string& labels, Peer peer) {
        out.sample(labels, std::uint64_t{!peer.is_failed});
    });
    each(Metric::kVtepPeerRoundTrip, [&](const std::string& labels, Peer peer) {
        if (peer.echo.average_rtt_us == 0) { return; }
        out.sample(labels, static_cast<double>(peer.echo.average_rtt_us) / 1e6);
    });
    each(Metric::kVtepPeerLoss, [&](const std::string& labels, Peer peer) {
        out.sample(labels, static_cast<double>(peer.echo.loss_percent()) / 100);
    });
}

void Metrics::write_services(MetricsText& out) const {
    const auto& instances = dataplane_.snapshot().service_instances;
    std::vector<std::pair<std::string, ServiceRow>> rows;
    for (std::size_t i = 1; i < instances.size(); ++i) {
        if (instances[i].name.empty()) { continue; }
        rows.emplace_back(metric_labels({{"instance", instances[i].name}}),
                          service_row(dataplane_, static_cast<std::uint16_t>(i), true));
    }
    out.begin(Metric::kServiceUp);
    for (const auto& [labels, row] : rows) { out.sample(labels, std::uint64_t{row.works}); }
    out.begin(Metric::kServiceHeartbeat);
    for (const auto& [labels, row] : rows) {
        if (row.heartbeat_us == 0) { continue; }
        out.sample(labels, static_cast<double>(row.heartbeat_us) / 1e6);
    }
    const auto each = [&](Metric metric, std::uint64_t ServiceRow::*figure) {
        out.begin(metric);
        for (const auto& [labels, row] : rows) { out.sample(labels, row.*figure); }
    };
    each(Metric::kServiceConnections, &ServiceRow::connections);
    each(Metric::kServiceSentPackets, &ServiceRow::sent_packets);
    each(Metric::kServiceSentBytes, &ServiceRow::sent_bytes);
    each(Metric::kServiceReturnedPackets, &ServiceRow::returned_packets);
    each(Metric::kServiceSkippedPackets, &ServiceRow::skipped_packets);
    each(Metric::kServiceDroppedPackets, &ServiceRow::dropped_packets);
}

void Metrics::write_encryption(MetricsText& out) const {
    using Totals = KeyService::Totals;
    const std::vector<Totals> policies = keys_ == nullptr ? std::vector<Totals>{} : keys_->totals();
    const auto each = [&](Metric metric, std::uint64_t Totals::*figure) {
        out.begin(metric);
        for (const Totals& policy : policies) {
            out.sample(metric_labels({{"policy", policy.policy}}), policy.*figure);
        }
    };
    each(Metric::kSealedPackets, &Totals::sealed_packets);
    each(Metric::kSealedBytes, &Totals::sealed_bytes);
    each(Metric::kOpenedPackets, &Totals::opened_packets);
    each(Metric::kOpenedBytes, &Totals::opened_bytes);
    each(Metric::kEspReplayed, &Totals::replayed);
    each(Metric::kEspBadTags, &Totals::bad_tags);
    out.begin(Metric::kKeyHeld);
    for (const Totals& policy : policies) {
        out.sample(metric_labels({{"policy", policy.policy}}), std::uint64_t{policy.has_key});
    }
    out.single(Metric::kUnsealedLocal, keys_ == nullptr ? 0 : keys_->unsealed_local());
}

asio::awaitable<void> Metrics::write_slots(MetricsText& out, const std::vector<PortRow>& ports,
                                           Metric metric) {
    const auto figure =
        metric == Metric::kSlotPackets ? &SlotCounters::packets : &SlotCounters::drops;
    out.begin(metric);
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const PortRow& row = ports[i];
        if (i % kPortsAPiece == kPortsAPiece - 1) { co_await give_way(); }
        for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
            if (row.chain == nullptr || row.chain->slots[slot] == nullptr) { continue; }
            for (const std::size_t direction : {0U, 1U}) {
                const std::string labels = row.labels + ',' +
                                           metric_labels({{"slot", std::to_string(slot)},
                                                          {"name", kSlots[slot].name},
                                                          {"direction", text_of(direction)}});
                out.sample(labels,
                           sum_port(row.index, [=](const PortCounters& c) -> const Counter& {
                               return c.slots[slot][direction].*figure;
                           }));
            }
        }
    }
}

// Names of the rules that have counted something. Begins anew if the document changes meanwhile;
// the third time without giving way.
asio::awaitable<void> Metrics::collect_rules(std::vector<RuleRow>& rules) {
    for (unsigned tries = 0; tries < 3; ++tries) {
        const std::uint64_t generation = config_.generation();
        const auto& registry = config_.registries().rules;
        bool is_changed = false;
        std::size_t seen = 0;
        rules.clear();
        const auto add = [&](const std::string& section, const std::string& name) {
            const RuleId id = registry.find({section, name});
            if (id.value == 0 || (sum_rule(rule_slot(id), &RuleCounters::packets) == 0 &&
                                  sum_rule(rule_slot(id), &RuleCounters::hits) == 0)) {
                return;
            }
            rules.push_back({rule_slot(id), metric_labels({{"section", section}, {"rule", name}})});
        };
        const auto is_time = [&] { return ++seen % kRulesAPiece == 0 && tries < 2; };
        for (std::size_t s = 0; !is_changed && s < config_.document().dfw.sections.size(); ++s) {
            for (std::size_t r = 0;
                 !is_changed && r < config_.document().dfw.sections[s].rules.size(); ++r) {
                const model::Section& section = config_.document().dfw.sections[s];
                add(section.name, section.rules[r].name);
                if (!is_time()) { continue; }
                co_await give_way();
                is_changed = config_.generation() != generation;
            }
        }
        for (std::size_t a = 0; !is_changed && a < config_.document().acls.size(); ++a) {
            for (const auto& rule : config_.document().acls[a].rules) {
                add("acl " + config_.document().acls[a].name, rule.name);
            }
        }
        add(host::kDefaultRule, host::kDefaultRule);
        if (!is_changed) { co_return; }
    }
}

void Metrics::write_rules(MetricsText& out, const std::vector<RuleRow>& rules) const {
    constexpr std::pair<Metric, Counter RuleCounters::*> kFigures[] = {
        {Metric::kRuleHits, &RuleCounters::hits},
        {Metric::kRulePackets, &RuleCounters::packets},
        {Metric::kRuleBytes, &RuleCounters::bytes}};
    for (const auto& [metric, figure] : kFigures) {
        out.begin(metric);
        for (const RuleRow& row : rules) { out.sample(row.labels, sum_rule(row.slot, figure)); }
    }
}

void Metrics::write_workers(MetricsText& out) const {
    const auto each = [&](Metric metric, auto&& value) {
        out.begin(metric);
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            const datapath::WorkerContext& context = std::as_const(dataplane_).worker(w).context();
            out.sample(metric_labels({{"worker", std::to_string(w)}}), value(context));
        }
    };
    using Context = const datapath::WorkerContext&;
    out.begin(Metric::kWorkerInfo);
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        out.sample(metric_labels({{"worker", std::to_string(w)},
                                  {"core", std::to_string(options_.cores[w])}}),
                   std::uint64_t{1});
    }
    each(Metric::kWorkerPackets, [](Context c) { return c.counters.received.get(); });
    each(Metric::kWorkerBusyCycles, [](Context c) { return c.counters.busy_cycles.get(); });
    each(Metric::kWorkerIdleCycles, [](Context c) { return c.counters.idle_cycles.get(); });
    each(Metric::kWorkerSleep,
         [](Context c) { return static_cast<double>(c.counters.slept_ns.get()) / 1e9; });
    each(Metric::kWorkerFlowHits, [](Context c) { return c.counters.flow_hits.get(); });
    each(Metric::kWorkerFlowMisses, [](Context c) { return c.counters.flow_misses.get(); });
    each(Metric::kWorkerFlowEvictions, [](Context c) { return c.flows.eviction_count(); });
    each(Metric::kWorkerFlows, [](Context c) { return std::uint64_t{c.flows.size()}; });
}

void Metrics::write_tables(MetricsText& out) const {
    const ConnectionTable& connections = dataplane_.connections();
    const std::uint32_t limit = dataplane_.snapshot().limits.total;
    out.single(Metric::kConnections, connections.size());
    out.single(Metric::kConnectionsLimit,
               limit == 0 ? connections.capacity() : std::min(limit, connections.capacity()));
    const ExpectationTable& expectations = connections.expectations();
    out.single(Metric::kConnectionsEarlyDrops, connections.early_drops());
    out.single(Metric::kExpectations, expectations.pending());
    out.single(Metric::kExpectationsTaken, expectations.counts().taken);
    out.single(Metric::kExpectationsRefused, expectations.counts().refused);
    const rte_mempool* pool = std::as_const(dataplane_).worker(0).context().options.pool;
    out.single(Metric::kBuffers, pool->size);
    out.single(Metric::kBuffersInUse, pool->size - rte_mempool_avail_count(pool));
}

}  // namespace sluice::daemon
