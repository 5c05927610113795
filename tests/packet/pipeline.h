// SPDX-License-Identifier: Apache-2.0
// Pipeline: the real datapath, compiled from a document as the daemon does, stepped by hand with a
// clock of its own. Frames go in and come out by MemoryPorts. One thread steps all workers, in
// order, so that what happens is repeatable.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/dataplane.h"
#include "src/host/compile.h"
#include "tests/packet/memory_port.h"

namespace sluice::test {

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

struct PipelineOptions {
    unsigned worker_count = 1;
    bool flow_cache = true;
    std::uint32_t flow_capacity = 1U << 14U;
    std::uint32_t connection_capacity = 1U << 14U;
    std::uint32_t learned_capacity = 1U << 14U;
    std::uint32_t fleet_capacity = 1U << 16U;
    unsigned buffer_count = 2047;
    std::uint64_t seed = 1;
    std::uint64_t share_cycles = 0;  ///< Nobody is bounded: verdicts must not hang on time.
    std::uint64_t (*cycles)() noexcept = nullptr;  ///< The workers' cycle counter; null: the TSC.
    std::shared_ptr<datapath::Arena> arena = {};   ///< It says the capacities then.
};

/// Figures of one slot of one vNIC in one direction, or of one rule.
struct SlotFigures {
    std::uint64_t packets = 0, drops = 0;
    bool operator==(const SlotFigures&) const = default;
};
struct RuleFigures {
    std::uint64_t hits = 0, packets = 0, bytes = 0;
    bool operator==(const RuleFigures&) const = default;
};

class Pipeline {
public:
    /// Aborts if the document is refused.
    explicit Pipeline(const nlohmann::json& document, const PipelineOptions& options = {});
    ~Pipeline();
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    /// Compiles and publishes, and comes back when it is in force on every worker, as the daemon's
    /// `apply` does.
    void apply(const nlohmann::json& document);

    /// The process dies between two bursts, and another one takes over what is in the arena
    /// (PipelineOptions::arena), with `document` and so many workers. What the devices hold stays.
    datapath::AdoptReport be_reborn(const nlohmann::json& document, unsigned worker_count);

    /// Queues a frame from a vNIC, in one mbuf or in segments of `cuts` bytes.
    Pipeline& send(const std::string& port, Bytes frame, std::vector<std::uint16_t> cuts = {});
    Pipeline& send(const std::string& port, QueuedFrame frame);
    /// Steps the workers in turn until nothing moves any more.
    Pipeline& step();
    /// One round of one worker. Returns how many frames it moved.
    std::size_t poll(unsigned worker) { return dataplane_->poll_once(worker, now_ns_); }
    Pipeline& advance(std::uint64_t ns) {
        now_ns_ += ns;
        return *this;
    }

    /// What came out to a vNIC since the last call.
    [[nodiscard]] std::vector<Bytes> sent(const std::string& port);
    [[nodiscard]] MemoryPort& port(const std::string& name) { return *devices_.at(name); }
    [[nodiscard]] PortIndex index_of(const std::string& port) const {
        return registries_.ports.find(port);
    }

    [[nodiscard]] std::uint64_t drops(DropReason reason) const;
    [[nodiscard]] std::uint64_t drops(const std::string& port, DropReason reason) const;
    [[nodiscard]] std::uint64_t drops() const;  ///< All reasons, all ports.
    /// `show chain`: what cached programs carried is folded in first.
    [[nodiscard]] SlotFigures slot(const std::string& port, std::size_t slot, Direction direction);
    /// `show rules`. ACL rules are in section "acl NAME", the default rule is default/default.
    [[nodiscard]] RuleFigures rule(const std::string& section, const std::string& name);
    [[nodiscard]] std::vector<Connection> connections();
    [[nodiscard]] std::size_t flow_count() const;

    /// `flush conns [PORT]`. Returns how many were removed.
    std::uint64_t flush_connections(const std::string& port = "");
    /// Drops fragments that wait, and forgets flows.
    Pipeline& forget_fragments();
    /// Hands a command to a worker and steps until it is done.
    void run(unsigned worker, datapath::WorkerCommand& command);

    /// `show drops --audit`.
    [[nodiscard]] Books books() const;
    /// Received + created = sent + consumed + dropped, nothing held, the mempool full again.
    [[nodiscard]] testing::AssertionResult packets_conserved() const;

    [[nodiscard]] datapath::Dataplane& dataplane() noexcept { return *dataplane_; }
    [[nodiscard]] rte_mempool& pool() noexcept { return *pool_; }
    [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }

private:
    struct FreePool {
        void operator()(rte_mempool* pool) const noexcept;
    };
    Result<std::shared_ptr<datapath::Port>> device_of(const std::string& name);
    void fold();

    PipelineOptions options_;
    std::unique_ptr<rte_mempool, FreePool> pool_;
    std::uint64_t now_ns_ = 1000 * kSecond;
    std::map<std::string, std::shared_ptr<MemoryPort>> devices_;
    host::Registries registries_;
    std::unique_ptr<datapath::Dataplane> dataplane_;
};

/// JSON text as a value; for documents and parts of them in tests.
[[nodiscard]] inline nlohmann::json json_of(std::string_view text) {
    return nlohmann::json::parse(text);
}

// The vNICs of two_vms(): vm1, vm2 and, for those who add it, vm3.
inline const Vnic kVm1{mac("02:00:00:00:00:01"), ip("10.0.0.1"), ip("2001:db8::1")};
inline const Vnic kVm2{mac("02:00:00:00:00:02"), ip("10.0.0.2"), ip("2001:db8::2")};
inline const Vnic kVm3{mac("02:00:00:00:00:03"), ip("10.0.0.3"), ip("2001:db8::3")};

/// A port of `port_group` with the addresses of `vnic`.
[[nodiscard]] nlohmann::json port_of(const std::string& name, const std::string& port_group,
                                     const Vnic& vnic);
/// Switch dvs0, port group "lan" without VLANs, ports vm1 and vm2; firewall: default allow.
[[nodiscard]] nlohmann::json two_vms();
/// The same with vm3.
[[nodiscard]] nlohmann::json three_vms();

}  // namespace sluice::test
