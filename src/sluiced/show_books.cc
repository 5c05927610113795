// SPDX-License-Identifier: Apache-2.0
// show drops (and the audit), show workers, status, health.
#include "src/sluiced/show_service.h"

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <unistd.h>

#include "src/sluiced/books.h"
#include "src/sluiced/version.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

}  // namespace

AnswerLater ShowService::drops(std::string port, bool audit) {
    if (audit) {
        const Books books = sum_books(co_await run_on_workers<datapath::FoldCommand>(dataplane_));
        co_return json{
            {"received", books.received},        {"created", books.created}, {"sent", books.sent},
            {"consumed", books.consumed},        {"dropped", books.dropped}, {"held", books.held},
            {"unaccounted", books.unaccounted()}};
    }
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        co_return drops_of(index.value());
    }
    json total = json::object();
    for (std::uint16_t i = 0; i < kPortMax; ++i) {
        const json drops = drops_of(PortIndex{i});
        for (const auto& [reason, count] : drops.items()) {
            total[reason] = total.value(reason, std::uint64_t{0}) + count.get<std::uint64_t>();
        }
    }
    co_return total;
}

Answer ShowService::workers() const {
    json rows = json::array();
    const double uptime_ns = static_cast<double>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - started_).count());
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        const datapath::WorkerContext& context = std::as_const(dataplane_).worker(w).context();
        const std::uint64_t packets = context.counters.received.get();
        const std::uint64_t busy = context.counters.busy_cycles.get();
        const auto slept = static_cast<double>(context.counters.slept_ns.get());
        rows.push_back(
            {{"worker", w},
             {"core", options_.cores[w]},
             {"busy_cycles", busy},
             {"idle_cycles", context.counters.idle_cycles.get()},
             {"packets", packets},
             {"cycles_per_packet", packets == 0 ? 0 : busy / packets},
             {"tsc_hz", rte_get_tsc_hz()},
             {"flows", context.flows.size()},
             {"flow_misses", context.counters.flow_misses.get()},
             {"ports", dataplane_.snapshot().worker_ports[w].size()},
             {"sleep_percent", static_cast<int>(100.0 * slept / std::max(uptime_ns, 1.0))}});
    }
    return rows;
}

Answer ShowService::status() const {
    const rte_mempool* pool = std::as_const(dataplane_).worker(0).context().options.pool;
    std::uint64_t flows = 0;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        flows += std::as_const(dataplane_).worker(w).context().flows.size();
    }
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(
        std::chrono::steady_clock::now() - started_);
    return json{{"version", kVersion},
                {"host", config_.document().host.name},
                {"pid", getpid()},
                {"uptime_s", uptime.count()},
                {"generation", config_.generation()},
                {"source", source_ ? source_() : json{{"kind", "local"}, {"state", "live"}}},
                {"workers", dataplane_.worker_count()},
                {"ports", config_.document().ports.size()},
                {"flows", flows},
                {"connections", dataplane_.connections().size()},
                {"buffers", {{"total", pool->size}, {"free", rte_mempool_avail_count(pool)}}},
                {"arena", arena_ ? arena_() : json::object()},
                {"flow_cache", options_.flow_cache}};
}

Answer ShowService::health() const {
    json down = json::array();
    for (const model::Port& port : config_.document().ports) {
        const PortIndex index = config_.registries().ports.find(port.name);
        const datapath::PortConfig* config = dataplane_.snapshot().port(index);
        if (config != nullptr && config->is_enabled && !config->device->is_up()) {
            down.push_back({{"port", port.name}, {"why", port_detail(port)}});
        }
    }
    json uplinks_down = json::array();
    for (const model::Uplink& uplink : config_.document().uplinks) {
        const std::string why = uplinks_.state(uplink.name).why;
        if (!why.empty()) { uplinks_down.push_back({{"uplink", uplink.name}, {"why", why}}); }
    }
    json services_down = json::array();
    const auto& services = dataplane_.snapshot().service_instances;
    for (std::size_t i = 1; i < services.size(); ++i) {
        const bool works = dataplane_.services().works(static_cast<std::uint16_t>(i));
        if (!services[i].name.empty() && !works) { services_down.push_back(services[i].name); }
    }
    const char* status = !uplinks_down.empty()    ? "uplinks_down"
                         : !services_down.empty() ? "services_down"
                         : !down.empty()          ? "ports_down"
                                                  : "ok";
    return json{{"status", status},
                {"ports_down", down},
                {"uplinks_down", uplinks_down},
                {"services_down", services_down}};
}

}  // namespace sluice::daemon
