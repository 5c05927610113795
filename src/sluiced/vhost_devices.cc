// SPDX-License-Identifier: Apache-2.0
// VhostDevices: see vhost_devices.h.
#include "src/sluiced/vhost_devices.h"

#include <rte_vhost.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "datapath/vhost_call.h"
#include "datapath/vhost_callbacks.h"
#include "relay/guest_memory_guard.h"

namespace sluice::daemon {
namespace {

constexpr std::chrono::milliseconds kMemoryCheck{100};
constexpr std::chrono::milliseconds kCallCheck{4};  // A worker is held up for twice that at most.

void guard_memory(int vid, std::uint16_t guard) {
    rte_vhost_memory* memory = nullptr;
    if (rte_vhost_get_mem_table(vid, &memory) != 0) { return; }
    for (std::uint32_t i = 0; i < memory->nregions; ++i) {
        const rte_vhost_mem_region& region = memory->regions[i];
        if (!relay::guest_memory::add(region.mmap_addr, region.mmap_size, guard)) {
            spdlog::warn(
                "vhost: too many guest memory regions: one is not guarded against truncation");
        }
    }
    std::free(memory);  // The library's malloc.
}

relay::SocketMode relay_mode(model::SocketMode mode) {
    return mode == model::SocketMode::kClient ? relay::SocketMode::kClient
                                              : relay::SocketMode::kServer;
}

// Guests and service VMs.
bool has_socket(const model::Port& port) { return port.kind != model::PortKind::kKernel; }

void log_state(const std::string& port, const relay::RelayState& state) {
    spdlog::info("port {}: {}", port, state.text);
}

}  // namespace

VhostDevices::VhostDevices(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                           rte_mempool* pool, std::string runtime_dir)
    : io_(io),
      dataplane_(dataplane),
      pool_(pool),
      runtime_dir_(std::move(runtime_dir)),
      relay_(io, log_state),
      memory_timer_(io),
      call_timer_(io) {
    if (!relay::guest_memory::install_handler()) {
        spdlog::warn(
            "vhost: no SIGBUS handler: a guest that truncates its memory can end the daemon");
    }
    if (const Status ready = datapath::install_call_interrupts(); !ready) {
        spdlog::warn("{}", ready.error().message);
    }
    watch_memory();
    watch_calls();
}

VhostDevices::~VhostDevices() = default;

// A guest whose memory was truncated is cut off; its worker has read zeros meanwhile.
void VhostDevices::watch_memory() {
    memory_timer_.expires_after(kMemoryCheck);
    memory_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) { return; }  // Cancelled: `this` may be gone.
        for (const auto& [name, device] : devices_) {
            if (relay::guest_memory::take_poison(device.guard)) {
                relay_.drop(name, "the guest's memory was truncated");
            }
        }
        watch_memory();
    });
}

// A worker that a guest's call descriptor holds up is freed, and the guest is cut off: each time
// that it set its rings up again would hold the worker up again.
void VhostDevices::watch_calls() {
    call_timer_.expires_after(kCallCheck);
    call_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) { return; }
        datapath::interrupt_blocked_calls();
        while (const void* blocking = datapath::take_blocking()) {
            for (const auto& [name, device] : devices_) {
                if (device.port.get() == blocking) {
                    relay_.drop(name, "the guest's call descriptor blocks");
                }
            }
        }
        watch_calls();
    });
}

bool VhostDevices::fits(const Device& device, const model::Port& port) {
    return device.socket == port.socket && device.mode == port.socket_mode;
}

Result<VhostDevices::Device> VhostDevices::make(const model::Port& port) {
    Device device;
    device.socket = port.socket;
    device.mode = port.socket_mode;
    if (free_guards_.empty()) {
        device.guard = static_cast<std::uint16_t>(fresh_ % relay::kGuardPortMax);
    } else {
        device.guard = free_guards_.back();
        free_guards_.pop_back();
    }
    const std::uint16_t guard = device.guard;
    relay::guest_memory::forget_files(guard);
    datapath::VhostHooks hooks;
    hooks.synchronize = [this] { dataplane_.synchronize(); };
    hooks.on_attached = [guard, name = port.name](datapath::VhostPort&, int vid) {
        guard_memory(vid, guard);
        spdlog::info("port {}: the guest's device is ready", name);
    };
    hooks.on_detached = [guard](datapath::VhostPort&) { relay::guest_memory::remove_port(guard); };
    const std::string path = runtime_dir_ + "/" + std::to_string(fresh_++);
    auto opened = datapath::VhostPort::open(path, pool_, std::move(hooks));
    if (!opened) {
        free_guards_.push_back(guard);
        return Error{opened.error().code, "port " + port.name + ": " + opened.error().message,
                     "port " + port.name};
    }
    device.port = std::move(opened).value();
    return device;
}

Status VhostDevices::prepare(const model::Document& document) {
    for (const model::Port& port : document.ports) {
        if (!has_socket(port)) { continue; }
        const auto at = devices_.find(port.name);
        if (at != devices_.end() && fits(at->second, port)) { continue; }
        Result<Device> device = make(port);
        if (!device) {
            discard();
            return device.error();
        }
        prepared_.insert_or_assign(port.name, std::move(device).value());
    }
    if (!prepared_.empty()) { datapath::wake_vhost(runtime_dir_ + "/wake"); }
    return Ok{};
}

Result<std::shared_ptr<datapath::Port>> VhostDevices::device(const model::Port& port) const {
    if (const auto at = prepared_.find(port.name); at != prepared_.end()) {
        return std::shared_ptr<datapath::Port>(at->second.port);
    }
    if (const auto at = devices_.find(port.name); at != devices_.end()) {
        return std::shared_ptr<datapath::Port>(at->second.port);
    }
    return Error{Errc::kState, "port " + port.name + ": has no device", "port " + port.name};
}

void VhostDevices::commit(const model::Document& document) {
    std::map<std::string, const model::Port*> wanted;
    for (const model::Port& port : document.ports) {
        if (has_socket(port)) { wanted.emplace(port.name, &port); }
    }
    for (auto at = devices_.begin(); at != devices_.end();) {
        if (wanted.contains(at->first) && !prepared_.contains(at->first)) {
            ++at;
            continue;
        }
        relay_.remove(at->first);
        free_guards_.push_back(at->second.guard);
        at = devices_.erase(at);  // The last snapshot that holds it frees it.
    }
    for (auto& [name, device] : prepared_) {
        if (!is_deferred_) { begin_relay(name, device, {}); }
        devices_.emplace(name, std::move(device));
    }
    prepared_.clear();
}

void VhostDevices::begin_relay(const std::string& name, const Device& device,
                               relay::HandedPort handed) {
    relay::RelayPort port{
        name,    device.socket, relay_mode(device.mode), device.port->path(), kVhostQueuePairMax,
        offers_, device.guard};
    if (const Status added = relay_.add(std::move(port), std::move(handed)); !added) {
        spdlog::error("port {}: {}", name, added.error().message);
    }
}

std::vector<handover::Guest> VhostDevices::hand_over() {
    std::vector<handover::Guest> guests;
    handed_over_.clear();
    for (const auto& [name, device] : devices_) {
        handover::Guest guest;
        guest.port = name;
        guest.handed = relay_.hand_over(name);
        guest.is_up =
            guest.handed.qemu.valid() && device.port->is_up() && !device.port->is_broken();
        if (guest.handed.qemu.valid()) { handed_over_.push_back(name); }
        guests.push_back(std::move(guest));
    }
    return guests;
}

void VhostDevices::release() { relay_.release_library(); }

bool VhostDevices::is_released() const {
    return std::none_of(handed_over_.begin(), handed_over_.end(), [this](const std::string& name) {
        const datapath::VhostPort* port = find(name);
        return port != nullptr && port->is_up();
    });
}

bool VhostDevices::is_back() const {
    return std::all_of(handed_over_.begin(), handed_over_.end(),
                       [this](const std::string& name) { return is_settled(name); });
}

void VhostDevices::adopt(std::map<std::string, relay::HandedPort> guests) {
    is_deferred_ = false;
    for (const auto& [name, device] : devices_) {
        begin_relay(name, device, std::move(guests[name]));
    }
}

bool VhostDevices::is_settled(const std::string& port) const {
    const auto state = relay_.state(port);
    const datapath::VhostPort* device = find(port);
    if (!state || device == nullptr || device->is_up()) { return true; }
    const bool has_left =
        state->counters.attaches > 0 && state->phase != relay::RelayPhase::kAttached;
    return has_left && state->phase != relay::RelayPhase::kDown;
}

void VhostDevices::discard() {
    for (const auto& [name, device] : prepared_) { free_guards_.push_back(device.guard); }
    prepared_.clear();
}

void VhostDevices::stop() {
    memory_timer_.cancel();
    call_timer_.cancel();
    relay_.stop();
    devices_.clear();
    prepared_.clear();
}

const datapath::VhostPort* VhostDevices::find(const std::string& port) const {
    const auto at = devices_.find(port);
    return at == devices_.end() ? nullptr : at->second.port.get();
}

std::string VhostDevices::state_text(const std::string& port) const {
    const auto state = relay_.state(port);
    return state ? state->text : "";
}

}  // namespace sluice::daemon
