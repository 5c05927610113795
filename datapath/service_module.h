// SPDX-License-Identifier: Apache-2.0
// In-process services: a shared library that speaks include/sluice_service.h, called by workers in
// its turn among the services of a connection. Loaded, opened, closed and unloaded off the workers;
// shared by all of them then. What it keeps of a connection is in its own pool.
// Theory of operation: ServiceHop::state of its hop says how far it is with a connection: 0, it was
// not asked yet; a row of the pool; or what decide() said once and for all. One call may take
// kModuleCallNs; a module of which most calls of a worker took longer is left out for
// kModuleRestNs, which is a failure of the service to its rule (`on_failure`).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "datapath/context.h"
#include "sluice/base/result.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/connection.h"
#include "sluice/iochain/service_pins.h"
#include "sluice/telemetry/counters.h"

struct sluice_service_v1;      // sluice_service.h
struct sluice_service_packet;  // sluice_service.h

namespace sluice::datapath {

class ServiceStatePool;  // service_state_pool.h

inline constexpr std::uint64_t kModuleCallNs = 100'000;
inline constexpr std::uint64_t kModuleRestNs = 30'000'000'000;

/// What a module says to a packet.
enum class ModuleVerdict : std::uint8_t {
    kPass,    ///< On to the next service.
    kDrop,    ///< DropReason::kServiceDeny.
    kBypass,  ///< The connection passes no service any more: the caller unpins it.
    kFailed,  ///< The module rests, has no room, or is at fault: the rule's on_failure.
};

/// What a worker adds up of a module.
struct alignas(64) ModuleCounters {
    Counter calls;       // worker: rw, control: ro
    Counter cycles;      // In calls.
    Counter slow_calls;  // That took longer than kModuleCallNs.
    Counter faults;      // Exceptions and answers that don't exist.
    Counter crowded;     // Connections that found no room for their state.
    std::uint32_t window_calls = 0, window_slow_calls = 0;  // worker: rw
};

class ServiceModule {
public:
    /// Loads FOLDER/NAME.so and opens it with the text of FOLDER/NAME.conf. Not on a worker.
    /// @return kNotFound: there is no such file; kInvalid: it is no service of this ABI, has
    /// another name, or does not open, with a sentence that names it
    [[nodiscard]] static Result<std::shared_ptr<ServiceModule>> load(const std::string& folder,
                                                                     const std::string& name);
    ~ServiceModule();
    ServiceModule(const ServiceModule&) = delete;
    ServiceModule& operator=(const ServiceModule&) = delete;

    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::string version() const;
    /// By worker; control reads it.
    [[nodiscard]] const std::array<ModuleCounters, kWorkerMax>& counters() const noexcept {
        return counters_;
    }
    /// True while it is left out for being slow.
    [[nodiscard]] bool rests(std::uint64_t now_ns) const noexcept {
        return now_ns < rests_until_ns_.load(std::memory_order_relaxed);
    }

    /// See inspect_by_module().
    [[nodiscard]] ModuleVerdict inspect(WorkerContext& context, Packet& packet,
                                        ConnectionHandle handle, ServiceHop& hop,
                                        ConnectionSide side) noexcept;

private:
    ServiceModule();
    [[nodiscard]] Status open(const std::string& folder, const std::string& name);
    [[nodiscard]] Status check(const std::string& name) const;
    [[nodiscard]] ModuleVerdict begin(WorkerContext& context, const Packet& packet,
                                      ConnectionHandle handle, ServiceHop& hop,
                                      ConnectionSide side) noexcept;
    [[nodiscard]] bool is_known(std::uint32_t state, ConnectionHandle handle,
                                std::uint8_t hop) const noexcept;
    [[nodiscard]] int ask(const sluice_service_packet& shown, std::uint32_t row,
                          ModuleCounters& counters) noexcept;
    void note_time(std::uint64_t cycles, ModuleCounters& counters, std::uint64_t now_ns) noexcept;

    void* library_ = nullptr;
    const sluice_service_v1* table_ = nullptr;
    void* service_ = nullptr;
    bool is_open_ = false;
    std::unique_ptr<ServiceStatePool> states_;  // Null: it keeps nothing.
    std::uint64_t slow_cycles_ = 0;
    std::atomic<std::uint64_t> rests_until_ns_{0};  // worker: rw, control: ro
    std::array<ModuleCounters, kWorkerMax> counters_;
};

/// Asks the module of `hop` about a packet of `handle`, as it entered: no envelope. The caller
/// holds the connection's lock, if there is more than one worker. Writes `hop.state`.
[[nodiscard]] ModuleVerdict inspect_by_module(WorkerContext& context, Packet& packet,
                                              ConnectionHandle handle, ServiceHop& hop,
                                              ConnectionSide side) noexcept;

}  // namespace sluice::datapath
