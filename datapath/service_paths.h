// SPDX-License-Identifier: Apache-2.0
// ServicePaths: which instance a service path identifier means (RFC 8300 §2.3), and by which VTEP
// frames reach an instance of another host. One a worker, made anew with each snapshot; ways are
// looked for when they are asked for. Called by nsh.cc and service_health.cc. Thread: its worker.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "datapath/snapshot.h"

namespace sluice::datapath {

struct WorkerContext;

/// How an instance of another host is reached.
struct ServiceWay {
    PortIndex vtep = kNoPort;          ///< A VTEP's port; kNoPort: there is none that gets through.
    std::uint16_t domain = kNoDomain;  ///< Index of the service path's.
};

class ServicePaths {
public:
    /// The instance of `path` that is reached by `vni`; kNoService: this host knows none.
    [[nodiscard]] std::uint16_t find(const WorkerContext& context, std::uint32_t path,
                                     std::uint32_t vni) noexcept;
    /// The way to a remote VTEP for frames of an instance that hosts hand each other.
    /// @param remote  index into Snapshot::remotes, not 0
    [[nodiscard]] ServiceWay way(const WorkerContext& context, std::uint16_t instance,
                                 std::uint16_t remote) noexcept;

private:
    struct Row {
        std::uint32_t path = 0;
        std::uint16_t instance = kNoService;
    };
    struct Way {
        std::uint64_t stamp = 0;
        const std::string* switch_name = nullptr;  // Of the snapshot in `stamp`.
        ServiceWay to;
    };
    void follow(const Snapshot& snapshot) noexcept;

    std::uint32_t generation_ = 0;
    std::size_t count_ = 0;
    std::array<Row, kServiceInstanceMax> rows_;      // By path.
    std::array<Way, kServiceInstanceMax + 1> ways_;  // By instance.
};

}  // namespace sluice::datapath
