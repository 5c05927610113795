// SPDX-License-Identifier: Apache-2.0
// ServiceHealth: see service_health.h. A heartbeat behind its Ethernet header: "SLHB", instance (2
// bytes), direction (1), refused (1), sequence (4), cookie (8), time sent (8), zeros.
#include "datapath/service_health.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

#include "datapath/beacon.h"
#include "datapath/nsh_header.h"
#include "datapath/own_frame.h"
#include "datapath/packet_writer.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kMsNs = 1'000'000;
constexpr std::uint64_t kBeatNs = kServiceHeartbeatMs * kMsNs;
// A heartbeat that took longer was lost; a worker that slept for longer judges nobody.
constexpr std::uint64_t kLateNs = kServiceHeartbeatMisses * kBeatNs;
constexpr std::uint64_t kAsleepNs = 2 * kBeatNs;

constexpr std::array<std::uint8_t, 4> kMagic{'S', 'L', 'H', 'B'};
constexpr std::uint32_t kRefusedAt = kEthernetSize + 7;
constexpr std::uint32_t kHeartbeatEnd = kEthernetSize + 28;

std::uint64_t load_be64(const std::uint8_t* at) noexcept {
    return std::uint64_t{load_be32(at)} << 32U | load_be32(at + 4);
}
void store_be64(std::uint8_t* at, std::uint64_t value) noexcept {
    store_be32(at, static_cast<std::uint32_t>(value >> 32U));
    store_be32(at + 4, static_cast<std::uint32_t>(value));
}

void write_heartbeat(std::uint8_t* out, std::uint32_t path, const Heartbeat& what) noexcept {
    std::memset(out, 0, kHeartbeatBytes);
    std::memcpy(out, service_mac(path, what.direction ^ 1U).bytes.data(), 6);
    std::memcpy(out + 6, service_mac(path, what.direction).bytes.data(), 6);
    store_be16(out + 12, kEtherBeacon);
    out += kEthernetSize;
    std::memcpy(out, kMagic.data(), kMagic.size());
    store_be16(out + 4, what.instance);
    out[6] = what.direction;
    out[7] = what.is_refused ? 1 : 0;
    store_be32(out + 8, what.sequence);
    store_be64(out + 12, what.cookie);
    store_be64(out + 20, what.sent_ns);
}

std::optional<Heartbeat> read_heartbeat(const rte_mbuf& frame, std::uint32_t at) noexcept {
    const auto* data = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, at);
    if (frame.data_len < at + kHeartbeatEnd || load_be16(data + 12) != kEtherBeacon ||
        std::memcmp(data + kEthernetSize, kMagic.data(), kMagic.size()) != 0) {
        return std::nullopt;
    }
    data += kEthernetSize;
    return Heartbeat{load_be16(data + 4),  data[6],
                     data[7] != 0,         load_be32(data + 8),
                     load_be64(data + 12), load_be64(data + 20)};
}

// FNV-1a over what an instance is: another value, another instance.
std::uint64_t identity_of(const ServiceInstanceConfig& config) noexcept {
    if (config.name.empty()) { return 0; }
    std::uint64_t hash = 0xcbf29ce484222325U;
    const auto add = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3U; };
    for (const char c : config.name) { add(static_cast<std::uint8_t>(c)); }
    add(config.in.value);
    add(config.out.value);
    add(config.remote);
    add(config.vni);
    add(config.path);
    add(config.module);
    add(static_cast<std::uint8_t>(config.encapsulation));
    return hash | 1U;
}

bool has_legs(const ServiceInstanceConfig& config) noexcept { return config.in != kNoPort; }
bool has_two_legs(const ServiceInstanceConfig& config) noexcept {
    return has_legs(config) && config.out != config.in && config.out != kNoPort;
}

// The port by which heartbeats of a direction leave.
PortIndex way_of(WorkerContext& context, std::uint16_t instance, unsigned direction) noexcept {
    const ServiceInstanceConfig& config = context.snapshot->service_instances[instance];
    if (config.remote != 0) {
        const ServiceWay way = context.service_paths.way(context, instance, config.remote);
        const bool is_usable =
            way.vtep != kNoPort && is_remote_usable(context, way.domain, config.remote);
        return is_usable ? way.vtep : kNoPort;
    }
    return direction == 0 ? config.in : config.out;
}

// Whose it is to send them. Of one that is reached by no port: the first worker's.
unsigned worker_of(const WorkerContext& context, const ServiceInstanceConfig& config,
                   unsigned direction) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const PortConfig* port = snapshot.port(direction == 0 ? config.in : config.out);
    if (config.remote == 0 || snapshot.vteps.empty()) {
        return config.remote == 0 && port != nullptr ? port->worker : 0U;
    }
    const PortConfig* vtep = snapshot.port(snapshot.vteps.front().port);
    return vtep != nullptr ? vtep->worker : 0U;
}

bool is_open(const WorkerContext& context, PortIndex index) noexcept {
    const PortConfig* port = context.snapshot->port(index);
    return port != nullptr && port->is_enabled && port->device->is_up();
}

}  // namespace

MacAddr service_mac(std::uint32_t path, unsigned leg) noexcept {
    return MacAddr{{0x06, 0x53, static_cast<std::uint8_t>(path >> 16U),
                    static_cast<std::uint8_t>(path >> 8U), static_cast<std::uint8_t>(path),
                    static_cast<std::uint8_t>(leg)}};
}

// xorshift64* (Vigna 2016).
std::uint64_t ServiceHealth::random() noexcept {
    random_ ^= random_ >> 12U;
    random_ ^= random_ << 25U;
    random_ ^= random_ >> 27U;
    return random_ * 0x2545f4914f6cdd1dU;
}

void ServiceHealth::follow_instance(WorkerContext& context, std::uint16_t instance) noexcept {
    const auto& all = context.snapshot->service_instances;
    const ServiceInstanceConfig nobody;
    const ServiceInstanceConfig& config = instance < all.size() ? all[instance] : nobody;
    const bool is_watched = has_legs(config) || config.remote != 0;
    const std::uint64_t identity = identity_of(config);
    if (std::exchange(identities_[instance], identity) != identity) {
        context.service_counters[instance].reset();
        for (const unsigned direction : {0U, 1U}) { beat(instance, direction) = Beat{}; }
        if (worker_of(context, config, 0) == context.options.index) {
            context.services.begin(instance, random() | 1U);
        }
    }
    for (const unsigned direction : {0U, 1U}) {
        Beat& each = beat(instance, direction);
        const bool is_mine = is_watched && (direction == 0 || has_two_legs(config)) &&
                             worker_of(context, config, direction) == context.options.index;
        if (each.is_mine != is_mine) { each = Beat{}; }
        each.is_mine = is_mine;
        if (is_mine) {
            mine_[mine_count_++] = static_cast<std::uint16_t>(2U * instance + direction);
        }
    }
}

void ServiceHealth::follow(WorkerContext& context) noexcept {
    generation_ = context.snapshot->generation;
    mine_count_ = 0;
    const std::size_t count = context.snapshot->service_instances.size();
    for (std::size_t i = 1; i < std::max(count, instance_count_); ++i) {
        follow_instance(context, static_cast<std::uint16_t>(i));
    }
    instance_count_ = count;
}

// Whether the direction works, by what became of the last heartbeat.
bool ServiceHealth::judge(const WorkerContext& context, Beat& beat, const Heartbeat& what,
                          PortIndex by) const noexcept {
    const ServiceStates& states = context.services;
    const bool works = !states.has_failed(what.instance, what.direction);
    if (!beat.is_out) { return works; }
    if (states.heard(what.instance, what.direction) != beat.heard) {
        beat.misses = 0;
        return true;
    }
    const bool is_busy =
        beat.was_refused && context.ports[by.value].tx_packets.get() != beat.sent_packets;
    if (was_asleep_ || is_busy) { return works; }
    if (beat.misses < kServiceHeartbeatMisses) { ++beat.misses; }
    return works && beat.misses < kServiceHeartbeatMisses;
}

void ServiceHealth::send(WorkerContext& context, Beat& beat, const Heartbeat& what,
                         PortIndex by) noexcept {
    const ServiceInstanceConfig& config = context.snapshot->service_instances[what.instance];
    const bool is_in_nsh = config.remote != 0 || config.encapsulation == model::Encapsulation::kNsh;
    std::array<std::uint8_t, kNshEnvelope + kHeartbeatBytes> room;
    std::uint32_t size = 0;
    if (is_in_nsh) {
        NshHeader header;
        header.what.path = config.path;
        header.is_oam = true;
        header.destination = service_mac(config.path, what.direction ^ 1U);
        header.source = service_mac(config.path, what.direction);
        write_nsh(room.data(), header);
        size = kNshEnvelope;
    }
    write_heartbeat(room.data() + size, config.path, what);
    size += kHeartbeatBytes;
    const PortCounters& counters = context.ports[by.value];
    const Counter& refusals = counters.drops[static_cast<std::size_t>(DropReason::kTxQueueFull)];
    const std::uint64_t refused = refusals.get();
    const bool is_elsewhere = config.remote != 0;
    const Domain* domain = nullptr;
    if (is_elsewhere) {
        const ServiceWay way = context.service_paths.way(context, what.instance, config.remote);
        domain = &context.snapshot->domains[way.domain];
    }
    beat.sent_packets = counters.tx_packets.get();
    beat.is_out = send_own(context, by, {{room.data(), size}}, domain,
                           is_elsewhere ? config.remote : kEveryRemote);
    if (!is_elsewhere) { send_waiting(context, by); }  // Now: it is told what became of it.
    beat.was_refused = refusals.get() != refused;
    if (beat.was_refused) { beat.sent_packets = counters.tx_packets.get(); }
}

void ServiceHealth::serve(WorkerContext& context, std::uint16_t instance,
                          unsigned direction) noexcept {
    Beat& each = beat(instance, direction);
    Heartbeat what{instance, static_cast<std::uint8_t>(direction)};
    const PortIndex by = way_of(context, instance, direction);
    if (by == kNoPort || !is_open(context, by)) {
        each.is_out = false;
        return context.services.judge(instance, direction, false, context.now_ns);
    }
    context.services.judge(instance, direction, judge(context, each, what, by), context.now_ns);
    what.sequence = ++each.sequence;
    what.cookie = context.services.cookie(instance);
    what.sent_ns = context.now_ns;
    each.heard = context.services.heard(instance, direction);
    send(context, each, what, by);
}

void ServiceHealth::look(WorkerContext& context) noexcept {
    if (generation_ != context.snapshot->generation) { follow(context); }
    if (mine_count_ == 0 || context.now_ns < due_ns_) { return; }
    was_asleep_ = context.now_ns - looked_ns_ >= kAsleepNs;
    looked_ns_ = context.now_ns;
    due_ns_ = context.now_ns + kBeatNs;
    for (std::size_t i = 0; i < mine_count_; ++i) {
        serve(context, static_cast<std::uint16_t>(mine_[i] / 2U), mine_[i] % 2U);
    }
}

namespace {

// Whether it is one that came back by where it must.
bool is_ours(const WorkerContext& context, const rte_mbuf& frame, const Heartbeat& what,
             std::uint16_t from) noexcept {
    const auto& all = context.snapshot->service_instances;
    if (what.instance == kNoService || what.instance >= all.size() || what.direction > 1 ||
        what.cookie != context.services.cookie(what.instance) || what.sent_ns > context.now_ns ||
        context.now_ns - what.sent_ns > kLateNs) {
        return false;
    }
    const ServiceInstanceConfig& config = all[what.instance];
    if (from != 0 || config.remote != 0) { return config.remote == from; }
    return PortIndex{frame.port} == (what.direction == 0 ? config.out : config.in);
}

}  // namespace

bool take_heartbeat(WorkerContext& context, rte_mbuf* frame, std::uint32_t at,
                    std::uint16_t from) noexcept {
    const std::optional<Heartbeat> what = read_heartbeat(*frame, at);
    if (!what) { return false; }
    if (is_ours(context, *frame, *what, from)) {
        if (from != 0 && what->is_refused) {
            context.services.judge(what->instance, what->direction, false, context.now_ns);
        } else {
            context.services.hear(what->instance, what->direction, what->sequence);
            context.services.note_heartbeat(what->instance, context.now_ns - what->sent_ns);
        }
    }
    consume(context, frame);
    return true;
}

bool take_beat_of_leg(WorkerContext& context, const Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    if (context.snapshot->port(key.port)->leg_of == kNoService || key.has(kKeyTagged)) {
        return false;
    }
    context.counters.flow_misses.add(1);  // It was looked up, and has no flow.
    if (!take_heartbeat(context, packet.mbuf, 0, 0)) {
        drop(context, packet.mbuf, DropReason::kServiceReturn);
    }
    return true;
}

bool answer_heartbeat(const WorkerContext& context, rte_mbuf& frame, std::uint32_t at,
                      std::uint16_t instance) noexcept {
    if (!read_heartbeat(frame, at)) { return false; }
    bytes_of(frame)[at + kRefusedAt] = context.services.works(instance) ? 0 : 1;
    return true;
}

}  // namespace sluice::datapath
