// SPDX-License-Identifier: Apache-2.0
// CrrSwitch: one worker between two vNICs that open and close TCP connections without end: eight
// frames each (SYN, SYN-ACK, ACK, request, response, FIN, FIN, ACK), every connection a 5-tuple
// never seen before. The ports cost next to nothing: frames are copied from templates and thrown
// away when sent. Single thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "datapath/dataplane.h"
#include "src/host/compile.h"

struct rte_mempool;

namespace sluice::test {

inline constexpr std::size_t kExchangeFrames = 8;  ///< Frames of one connection, both ways.

/// Says whose turn it is: frame after frame of an exchange, each for all connections in flight.
class CrrScript {
public:
    explicit CrrScript(std::uint32_t in_flight);

    struct Turn {
        std::size_t frame;         // 0..kExchangeFrames - 1
        std::uint32_t connection;  // First of kBurstMax.
    };
    /// The next burst if it is the client's (or the server's) to send.
    [[nodiscard]] bool take(bool is_client, Turn& turn) noexcept;
    /// Copies frame `turn.frame` of connection `number` to `bytes`; returns its size.
    std::uint16_t write(std::size_t frame, std::uint32_t number,
                        std::uint8_t* bytes) const noexcept;
    [[nodiscard]] std::uint64_t finished() const noexcept { return base_; }

private:
    struct Template {
        std::array<std::uint8_t, 80> bytes{};
        std::uint16_t size = 0;
        bool is_clients = true;
        std::uint32_t checksum = 0;  // Of all but the ports, not inverted, not folded.
    };
    std::array<Template, kExchangeFrames> templates_;
    std::uint32_t groups_;
    std::uint32_t base_ = 0;
    std::uint32_t group_ = 0;
    std::size_t frame_ = 0;
};

class CrrPort final : public datapath::Port {
public:
    CrrPort(rte_mempool& pool, CrrScript& script, bool is_client)
        : pool_(pool), script_(script), is_client_(is_client) {}
    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override;
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

private:
    rte_mempool& pool_;
    CrrScript& script_;
    bool is_client_;
};

struct CrrOptions {
    std::size_t rule_count = 10;
    std::uint32_t in_flight = 256;  ///< Connections open at once, a multiple of kBurstMax.
    std::uint32_t flow_capacity = 1U << 21U;
    std::uint32_t connection_capacity = 1U << 23U;
    bool has_chain = true;
};

class CrrSwitch {
public:
    explicit CrrSwitch(const CrrOptions& options);

    /// One poll of the worker.
    void poll();
    [[nodiscard]] std::uint64_t finished() const noexcept { return script_.finished(); }
    [[nodiscard]] const WorkerCounters& counters() {
        return dataplane_.worker(0).context().counters;
    }
    [[nodiscard]] datapath::WorkerContext& context() { return dataplane_.worker(0).context(); }

private:
    CrrScript script_;
    datapath::Dataplane dataplane_;
    host::Registries registries_;
    std::uint64_t now_ns_ = 1'000'000'000;
};

}  // namespace sluice::test
