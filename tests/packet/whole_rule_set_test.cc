// SPDX-License-Identifier: Apache-2.0
// No packet is judged by half a rule set: a change that comes in the middle of a burst is not seen
// by that burst, neither by its first packets nor by flows that were decided before, and by the
// next one as a whole.
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "src/host/compile.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr std::uint16_t kFlows = kBurstMax;
constexpr unsigned kRules = 6000;  // More than a block, so that both ends of a set are looked at.

/// Allows one half of the flows, by rules at both ends of the set.
json document_of(unsigned turn) {
    json rules = json::array();
    for (unsigned i = 0; i < kRules; ++i) {
        const bool is_end = i < kFlows / 2 || i >= kRules - kFlows / 2;
        const unsigned flow = i < kFlows / 2 ? i : i + kFlows - kRules;
        const unsigned port = is_end ? 1 + flow : 10000 + i;
        rules.push_back({{"name", "r" + std::to_string(i)},
                         {"action", (flow + turn) % 2 == 0 ? "allow" : "drop"},
                         {"services", {"udp/" + std::to_string(port)}}});
    }
    json document = two_vms();
    document["dfw"] = {{"default", "drop"},
                       {"sections", {{{"name", "s"}, {"stateful", false}, {"rules", rules}}}}};
    return document;
}

/// Gives one frame of each flow a poll, and tells which of them came out. Between the halves of a
/// burst, something happens.
class HalfwayPort final : public datapath::Port {
public:
    explicit HalfwayPort(rte_mempool& pool) : pool_(pool) {}
    std::function<void()> halfway;
    std::set<unsigned> came_out;

    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        if (!halfway) { return {}; }
        const std::size_t count = std::min<std::size_t>(frames.size(), kFlows);
        SLUICE_ASSERT(rte_pktmbuf_alloc_bulk(&pool_, frames.data(), static_cast<unsigned>(count)) ==
                      0);
        for (std::size_t i = 0; i < count; ++i) {
            if (i == count / 2) { halfway(); }
            const Bytes bytes = udp(v4(kVm1, kVm2), 7, static_cast<std::uint16_t>(1 + i));
            rte_memcpy(rte_pktmbuf_append(frames[i], static_cast<std::uint16_t>(bytes.size())),
                       bytes.data(), bytes.size());
        }
        return {static_cast<std::uint16_t>(count), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        for (rte_mbuf* frame : frames) {
            const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
            came_out.insert(bytes[37]);  // Low byte of the UDP destination port.
        }
        rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

private:
    rte_mempool& pool_;
};

TEST(WholeRuleSet, JudgesEveryBurst) {
    rte_mempool* pool = rte_pktmbuf_pool_create("whole_rule_set", 1023, 0, 0,
                                                RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    ASSERT_NE(pool, nullptr);
    for (const bool flow_cache : {true, false}) {
        datapath::DataplaneOptions options;
        options.pool = pool;
        options.flow_capacity = options.connection_capacity = options.learned_capacity = 1U << 12U;
        options.flow_cache = flow_cache;
        options.seed = 1;
        datapath::Dataplane dataplane(options);
        dataplane.set_online(0, true);
        host::Registries registries;
        const auto vm1 = std::make_shared<HalfwayPort>(*pool);
        const auto vm2 = std::make_shared<HalfwayPort>(*pool);
        const auto publish = [&](unsigned turn) {
            const auto parsed = agent::parse_document(document_of(turn).dump());
            SLUICE_ASSERT(parsed.ok());
            auto compiled = host::compile(
                parsed.value(), dataplane.snapshot(), 1, registries,
                [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                    return std::shared_ptr<datapath::Port>(port.name == "vm1" ? vm1 : vm2);
                });
            SLUICE_ASSERT(compiled.ok());
            (void)dataplane.publish(std::move(compiled.value().snapshot));
        };
        publish(0);
        for (unsigned turn = 0; turn < 6; ++turn) {
            vm1->halfway = [&] { publish(turn + 1); };
            vm2->came_out.clear();
            dataplane.poll_once(0, 1'000'000'000 + turn * kMillisecond);
            std::set<unsigned> allowed;
            for (unsigned i = 0; i < kFlows; ++i) {
                if ((i + turn) % 2 == 0) { allowed.insert(1 + i); }
            }
            EXPECT_EQ(vm2->came_out, allowed) << "burst " << turn;
            dataplane.reclaim();
        }
        vm1->halfway = nullptr;
        dataplane.set_online(0, false);
    }
    EXPECT_EQ(rte_mempool_avail_count(pool), 1023U);
    rte_mempool_free(pool);
}

}  // namespace
}  // namespace sluice::test
