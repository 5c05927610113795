// SPDX-License-Identifier: Apache-2.0
// In-process services on workers: see service_module.h. Loading is service_module_load.cc's.
#include "datapath/service_module.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/service_state_pool.h"
#include "sluice_service.h"

namespace sluice::datapath {
namespace {

// Values of ServiceHop::state beside rows of the pool.
constexpr std::uint32_t kNotAsked = 0;
constexpr std::uint32_t kPassAll = 0xffffffffU;
constexpr std::uint32_t kDropAll = 0xfffffffeU;
constexpr std::uint32_t kNoRow = 0xfffffffdU;  // Inspects, and keeps nothing.

constexpr std::uint32_t kWindowCalls = 64;
constexpr std::uint32_t kShownBytes = 65536 + 64;  // The largest segmentation request.

// Frames in several buffers are shown in one piece.
thread_local std::array<std::uint8_t, kShownBytes> t_shown;

void copy_address(std::uint8_t (&out)[16], const std::uint8_t* wire, bool is_v4) noexcept {
    std::memcpy(out, wire + (is_v4 ? 12 : 0), is_v4 ? 4 : 16);
}

// As the opener's packet had it.
sluice_service_key key_of(const FlowKey& key, ConnectionSide side) noexcept {
    const bool is_v4 = key.has(kKeyIpv4);
    const bool is_opener = side == ConnectionSide::kOpener;
    const bool has_ports = model::has_ports(key.protocol);
    sluice_service_key out{};
    out.ip_version = is_v4 ? 4 : 6;
    out.protocol = key.protocol;
    const bool turns_ports = !is_opener && has_ports;
    out.source_port = turns_ports ? key.destination_port.host() : key.source_port.host();
    out.destination_port = turns_ports ? key.source_port.host() : key.destination_port.host();
    copy_address(out.source_ip, is_opener ? key.source_ip : key.destination_ip, is_v4);
    copy_address(out.destination_ip, is_opener ? key.destination_ip : key.source_ip, is_v4);
    return out;
}

sluice_service_packet shown(const Packet& packet, ConnectionSide side,
                            std::uint64_t now_ns) noexcept {
    const std::uint32_t frame_size = rte_pktmbuf_pkt_len(packet.mbuf);
    const std::uint32_t size = frame_size < kShownBytes ? frame_size : kShownBytes;
    sluice_service_packet out{};
    out.data =
        static_cast<const std::uint8_t*>(rte_pktmbuf_read(packet.mbuf, 0, size, t_shown.data()));
    out.size = size;
    out.frame_size = frame_size;
    out.l3_offset = packet.frame.l3_offset;
    out.l4_offset = packet.frame.l4_offset;
    out.from_opener = side == ConnectionSide::kOpener ? 1 : 0;
    out.protocol = packet.frame.key.protocol;
    out.now_ns = now_ns;
    return out;
}

bool has_row(std::uint32_t state) noexcept { return state != kNotAsked && state < kNoRow; }

// It need not be asked any more. Alone, the connection goes its way without the detour.
ModuleVerdict leave(WorkerContext& context, ConnectionHandle handle, ServiceHop& hop) noexcept {
    hop.state = kPassAll;
    return context.pins.of(handle).count == 1 ? ModuleVerdict::kBypass : ModuleVerdict::kPass;
}

}  // namespace

ModuleVerdict inspect_by_module(WorkerContext& context, Packet& packet, ConnectionHandle handle,
                                ServiceHop& hop, ConnectionSide side) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    if (hop.instance >= snapshot.service_instances.size()) { return ModuleVerdict::kFailed; }
    const std::uint16_t module = snapshot.service_instances[hop.instance].module;
    if (module == 0 || module >= snapshot.service_modules.size()) { return ModuleVerdict::kFailed; }
    return snapshot.service_modules[module]->inspect(context, packet, handle, hop, side);
}

ModuleVerdict ServiceModule::inspect(WorkerContext& context, Packet& packet,
                                     ConnectionHandle handle, ServiceHop& hop,
                                     ConnectionSide side) noexcept {
    if (rests(context.now_ns)) [[unlikely]] { return ModuleVerdict::kFailed; }
    const auto number = static_cast<std::uint8_t>(&hop - context.pins.of(handle).hops.data());
    if (!is_known(hop.state, handle, number)) {
        const ModuleVerdict begun = begin(context, packet, handle, hop, side);
        if (begun != ModuleVerdict::kPass) { return begun; }
    }
    if (hop.state == kPassAll) { return ModuleVerdict::kPass; }
    if (hop.state == kDropAll) { return ModuleVerdict::kDrop; }
    ModuleCounters& counters = counters_[context.options.index];
    const std::uint64_t before = rte_rdtsc();
    const int verdict = ask(shown(packet, side, context.now_ns), hop.state, counters);
    note_time(rte_rdtsc() - before, counters, context.now_ns);
    switch (verdict) {
        case SLUICE_SERVICE_PASS: return ModuleVerdict::kPass;
        case SLUICE_SERVICE_DROP: return ModuleVerdict::kDrop;
        case SLUICE_SERVICE_BYPASS: return leave(context, handle, hop);
        default: counters.faults.add(1); return ModuleVerdict::kFailed;
    }
}

// A row may be one of the module that the instance was before.
bool ServiceModule::is_known(std::uint32_t state, ConnectionHandle handle,
                             std::uint8_t hop) const noexcept {
    if (!has_row(state)) { return state != kNotAsked; }
    return states_ != nullptr && states_->is_of(state, handle, hop);
}

// decide(), and a row for the connection. kPass: hop.state says how it goes on.
ModuleVerdict ServiceModule::begin(WorkerContext& context, const Packet& packet,
                                   ConnectionHandle handle, ServiceHop& hop,
                                   ConnectionSide side) noexcept {
    ModuleCounters& counters = counters_[context.options.index];
    const sluice_service_key key = key_of(packet.frame.key, side);
    int verdict = -1;
    try {
        verdict = table_->decide(service_, &key);
    } catch (...) {  // Of a service in C++: it ends here.
    }
    if (verdict == SLUICE_SERVICE_PASS) { return leave(context, handle, hop); }
    if (verdict == SLUICE_SERVICE_DROP) {
        hop.state = kDropAll;
        return ModuleVerdict::kPass;
    }
    if (verdict != SLUICE_SERVICE_INSPECT) {
        counters.faults.add(1);
        return ModuleVerdict::kFailed;
    }
    if (states_ == nullptr) {
        hop.state = kNoRow;
        return ModuleVerdict::kPass;
    }
    const auto number = static_cast<std::uint8_t>(&hop - context.pins.of(handle).hops.data());
    hop.state = states_->take(context, handle, number);
    if (hop.state != kNotAsked) { return ModuleVerdict::kPass; }
    counters.crowded.add(1);
    return ModuleVerdict::kFailed;
}

int ServiceModule::ask(const sluice_service_packet& packet, std::uint32_t row,
                       ModuleCounters& counters) noexcept {
    counters.calls.add(1);
    try {
        return table_->inspect(service_, has_row(row) ? states_->at(row) : nullptr, &packet);
    } catch (...) {  // Of a service in C++: it ends here.
        return -1;
    }
}

// A worker that is interrupted in a call takes long for one of them, a slow module for most.
void ServiceModule::note_time(std::uint64_t cycles, ModuleCounters& counters,
                              std::uint64_t now_ns) noexcept {
    counters.cycles.add(cycles);
    const bool is_slow = cycles > slow_cycles_;
    if (is_slow) { counters.slow_calls.add(1); }
    counters.window_slow_calls += is_slow ? 1U : 0U;
    if (++counters.window_calls < kWindowCalls) { return; }
    if (counters.window_slow_calls > kWindowCalls / 2) {
        rests_until_ns_.store(now_ns + kModuleRestNs, std::memory_order_relaxed);
    }
    counters.window_calls = counters.window_slow_calls = 0;
}

}  // namespace sluice::datapath
