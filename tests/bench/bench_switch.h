// SPDX-License-Identifier: Apache-2.0
// BenchSwitch: one worker between two vNICs whose ports cost next to nothing: frames are made by
// copying one template and two port numbers, and thrown away when sent. What is measured is the
// worker's poll. Single thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "datapath/dataplane.h"
#include "src/host/compile.h"
#include "tests/packet/frames.h"

struct rte_mempool;

namespace sluice::test {

/// Gives bursts of UDP frames over `flow_count` flows in a scattered order.
class BenchPort final : public datapath::Port {
public:
    BenchPort(rte_mempool& pool, std::uint32_t flow_count);
    /// @param is_answer  the other direction's flows: ports swapped
    BenchPort(rte_mempool& pool, std::uint32_t flow_count, const Path& path, bool is_answer);
    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

private:
    rte_mempool& pool_;
    std::uint32_t flow_count_;  // 0 = sends nothing.
    unsigned rotation_ = 0;     // Of the word that holds both ports: 16 swaps them.
    std::uint32_t next_ = 0;
    std::array<std::uint8_t, 64> frame_{};
};

class BenchSwitch {
public:
    /// @param flow_count  a power of two, at most 2^23; of UDP flows from vm1 to vm2
    /// @param has_chain  slots 0 to 2 work on both vNICs; else no rule applies to either
    BenchSwitch(std::uint32_t flow_count, bool has_chain);

    /// One burst of 32 through the worker. Returns how many frames came out.
    std::size_t poll();
    [[nodiscard]] const WorkerCounters& counters() const {
        return dataplane_.worker(0).context().counters;
    }
    [[nodiscard]] const datapath::Snapshot& snapshot() const noexcept {
        return dataplane_.snapshot();
    }

private:
    datapath::Dataplane dataplane_;
    host::Registries registries_;
    std::uint64_t now_ns_ = 1'000'000'000;
};

/// The pool of all benchmarks, with a cache for this thread.
[[nodiscard]] rte_mempool& bench_pool();
/// vm1 and vm2 with an ACL, SpoofGuard `manual` and `rule_count` firewall rules, of which the last
/// allows what vm1 sends.
[[nodiscard]] nlohmann::json bench_document(std::size_t rule_count, bool has_chain);
/// Compiles it, with ports that send `flow_count` flows.
[[nodiscard]] std::unique_ptr<datapath::Snapshot> bench_snapshot(const nlohmann::json& document,
                                                                 const datapath::Snapshot& previous,
                                                                 host::Registries& registries,
                                                                 std::uint32_t flow_count);

}  // namespace sluice::test
