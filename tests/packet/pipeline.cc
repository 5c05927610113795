// SPDX-License-Identifier: Apache-2.0
// Pipeline: see pipeline.h. apply() goes the daemon's way: parse, compile, publish, wait until
// every worker has passed on, then release what only the old snapshot used.
#include "tests/packet/pipeline.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/service_modules.h"

namespace sluice::test {
namespace {

constexpr unsigned kRoundMax = 10000;

rte_mempool* make_pool(unsigned count) {
    static unsigned made = 0;
    const std::string name = "packet_pool_" + std::to_string(made++);
    rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), count, 0, 0,
                                                RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    SLUICE_ASSERT(pool != nullptr);
    return pool;
}

datapath::DataplaneOptions dataplane_options(const PipelineOptions& options, rte_mempool* pool) {
    datapath::DataplaneOptions out;
    out.worker_count = options.worker_count;
    out.pool = pool;
    out.flow_capacity = options.flow_capacity;
    out.connection_capacity = options.connection_capacity;
    out.learned_capacity = options.learned_capacity;
    out.fleet_capacity = options.fleet_capacity;
    out.flow_cache = options.flow_cache;
    out.seed = options.seed;
    out.share_cycles = options.share_cycles;
    out.arena = options.arena;
    out.cycles = options.cycles;
    return out;
}

// Of the process: a service that is loaded stays the same one.
daemon::ServiceModules& test_services() {
    static daemon::ServiceModules services(SLUICE_TEST_SERVICES);
    return services;
}

}  // namespace

void Pipeline::FreePool::operator()(rte_mempool* pool) const noexcept { rte_mempool_free(pool); }

Pipeline::Pipeline(const nlohmann::json& document, const PipelineOptions& options)
    : options_(options),
      pool_(make_pool(options.buffer_count)),
      dataplane_(std::make_unique<datapath::Dataplane>(dataplane_options(options, pool_.get()))) {
    SLUICE_ASSERT(dataplane_->tend_arena());
    for (unsigned i = 0; i < options.worker_count; ++i) { dataplane_->set_online(i, true); }
    apply(document);
}

Pipeline::~Pipeline() {
    for (unsigned i = 0; i < options_.worker_count; ++i) { dataplane_->set_online(i, false); }
}

// Nothing of the old one is asked for, but what it wrote to the arena.
datapath::AdoptReport Pipeline::be_reborn(const nlohmann::json& document, unsigned worker_count) {
    for (unsigned i = 0; i < options_.worker_count; ++i) { dataplane_->set_online(i, false); }
    options_.worker_count = worker_count;
    dataplane_ = std::make_unique<datapath::Dataplane>(dataplane_options(options_, pool_.get()));
    Result<datapath::AdoptReport> report = dataplane_->adopt(now_ns_);
    SLUICE_ASSERT(report.ok());
    for (unsigned i = 0; i < worker_count; ++i) { dataplane_->set_online(i, true); }
    apply(document);
    return report.value();
}

Result<std::shared_ptr<datapath::Port>> Pipeline::device_of(const std::string& name) {
    std::shared_ptr<MemoryPort>& device = devices_[name];
    if (!device) { device = std::make_shared<MemoryPort>(*pool_); }
    return std::shared_ptr<datapath::Port>(device);
}

void Pipeline::apply(const nlohmann::json& document) {
    const Result<model::Document> parsed = agent::parse_document(document.dump());
    if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
    Result<host::Compiled> compiled = host::compile(
        parsed.value(), dataplane_->snapshot(), options_.worker_count, registries_,
        [this](const model::Port& port) { return device_of(port.name); },
        [this](const std::string& uplink) { return device_of(uplink).value(); },
        [](const std::string& name) { return test_services().get(name); });
    SLUICE_ASSERT(compiled.ok());
    const std::uint64_t token = dataplane_->publish(std::move(compiled.value().snapshot));
    step();
    SLUICE_ASSERT(dataplane_->is_settled(token));
    registries_.rules.keep_only(compiled.value().rules);
    for (const std::uint32_t slot : registries_.rules.take_freed_slots()) {
        for (unsigned i = 0; i < options_.worker_count; ++i) {
            RuleCounters& counters = dataplane_->worker(i).context().rules[slot];
            counters.hits.reset();
            counters.packets.reset();
            counters.bytes.reset();
        }
    }
    dataplane_->reclaim();
}

Pipeline& Pipeline::send(const std::string& port, Bytes frame, std::vector<std::uint16_t> cuts) {
    return send(port, QueuedFrame{std::move(frame), std::move(cuts), {}});
}

Pipeline& Pipeline::send(const std::string& port, QueuedFrame frame) {
    devices_.at(port)->queue(std::move(frame));
    return *this;
}

Pipeline& Pipeline::step() {
    bool is_quiet = false;
    for (unsigned round = 0; !is_quiet; ++round) {
        SLUICE_ASSERT(round < kRoundMax);
        is_quiet = true;
        for (unsigned worker = 0; worker < options_.worker_count; ++worker) {
            if (poll(worker) > 0 || dataplane_->worker(worker).has_command()) { is_quiet = false; }
        }
    }
    return *this;
}

std::vector<Bytes> Pipeline::sent(const std::string& port) {
    std::vector<Bytes> out;
    for (SentFrame& frame : devices_.at(port)->take_sent()) {
        out.push_back(std::move(frame.bytes));
    }
    return out;
}

std::uint64_t Pipeline::drops(const std::string& port, DropReason reason) const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        sum += dataplane_->worker(i)
                   .context()
                   .ports[index_of(port).value]
                   .drops[static_cast<std::size_t>(reason)]
                   .get();
    }
    return sum;
}

std::uint64_t Pipeline::drops(DropReason reason) const {
    std::uint64_t sum = 0;
    for (const auto& [name, index] : registries_.ports.names()) { sum += drops(name, reason); }
    return sum;
}

std::uint64_t Pipeline::drops() const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        sum += dataplane_->worker(i).context().counters.dropped.get();
    }
    return sum;
}

void Pipeline::run(unsigned worker, datapath::WorkerCommand& command) {
    SLUICE_ASSERT(dataplane_->submit(worker, command));
    for (unsigned round = 0; !command.is_finished(); ++round) {
        SLUICE_ASSERT(round < kRoundMax);
        poll(worker);
    }
}

void Pipeline::fold() {
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        datapath::FoldCommand command;
        run(i, command);
    }
}

Pipeline& Pipeline::forget_fragments() {
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        datapath::FlushFlows command;
        run(i, command);
    }
    return *this;
}

SlotFigures Pipeline::slot(const std::string& port, std::size_t slot, Direction direction) {
    fold();
    SlotFigures out;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        const PortCounters& counters = dataplane_->worker(i).context().ports[index_of(port).value];
        const SlotCounters& figures = counters.slots[slot][static_cast<std::size_t>(direction)];
        out.packets += figures.packets.get();
        out.drops += figures.drops.get();
    }
    return out;
}

RuleFigures Pipeline::rule(const std::string& section, const std::string& name) {
    fold();
    const RuleId id = registries_.rules.find({section, name});
    RuleFigures out;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        const RuleCounters& counters = dataplane_->worker(i).context().rules[rule_slot(id)];
        out.hits += counters.hits.get();
        out.packets += counters.packets.get();
        out.bytes += counters.bytes.get();
    }
    return out;
}

std::vector<Connection> Pipeline::connections() {
    fold();
    std::vector<Connection> out;
    const ConnectionTable& table = dataplane_->connections();
    table.for_each(0, table.used_count(), now_ns_,
                   [&](const Connection& connection) { out.push_back(connection); });
    return out;
}

std::size_t Pipeline::flow_count() const {
    std::size_t sum = 0;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        sum += dataplane_->worker(i).context().flows.size();
    }
    return sum;
}

std::uint64_t Pipeline::flush_connections(const std::string& port) {
    datapath::FlushConnections command(port.empty() ? kNoPort : index_of(port));
    run(0, command);
    return command.removed;
}

Books Pipeline::books() const {
    Books out;
    for (unsigned i = 0; i < options_.worker_count; ++i) {
        const WorkerCounters& c = dataplane_->worker(i).context().counters;
        out.received += c.received.get();
        out.created += c.created.get();
        out.sent += c.sent.get();
        out.consumed += c.consumed.get();
        out.dropped += c.dropped.get();
        out.held += c.handed_over.get() - c.taken_over.get();
        out.held += dataplane_->worker(i).context().fragments.held_count();
        out.held += dataplane_->worker(i).context().neighbours.held_count();
        out.held += dataplane_->worker(i).context().large.held_count();
    }
    return out;
}

testing::AssertionResult Pipeline::packets_conserved() const {
    const Books b = books();
    const unsigned missing = options_.buffer_count - rte_mempool_avail_count(pool_.get());
    if (b.unaccounted() == 0 && b.held == 0 && missing == 0) { return testing::AssertionSuccess(); }
    return testing::AssertionFailure()
           << "received " << b.received << " + created " << b.created << " != sent " << b.sent
           << " + consumed " << b.consumed << " + dropped " << b.dropped << " + held " << b.held
           << "; buffers missing: " << missing;
}

nlohmann::json port_of(const std::string& name, const std::string& port_group, const Vnic& vnic) {
    return {{"name", name},
            {"port_group", port_group},
            {"mac", to_string(vnic.mac)},
            {"ips", {to_string(vnic.ip4), to_string(vnic.ip6)}}};
}

nlohmann::json two_vms() {
    nlohmann::json document = json_of(R"({"switches": [{"name": "dvs0"}],
        "port_groups": [{"name": "lan", "switch": "dvs0", "arp_suppression": false}]})");
    document["ports"] = {port_of("vm1", "lan", kVm1), port_of("vm2", "lan", kVm2)};
    return document;
}

nlohmann::json three_vms() {
    nlohmann::json document = two_vms();
    document["ports"].push_back(port_of("vm3", "lan", kVm3));
    return document;
}

}  // namespace sluice::test
