// SPDX-License-Identifier: Apache-2.0
// ListVteps: copies what a worker knows of the VTEPs that it serves and of their remote ones, for
// `show vteps` and the metrics. Made by control with room for all; run by each worker.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "datapath/command.h"
#include "datapath/vtep_peers.h"

namespace sluice::datapath {

class ListVteps final : public WorkerCommand {
public:
    struct Peer {
        std::uint16_t vtep = 0;
        std::uint16_t remote = 0;
        VtepPeer state;
        MacAddr next_hop_mac;  ///< Zero: not known.
    };
    /// @param vteps, remotes  how many the snapshot has
    ListVteps(std::size_t vteps, std::size_t remotes) { peers.reserve(vteps * remotes); }
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

    std::array<LocalVtep, kVtepMax> locals{};      ///< Those with is_served.
    std::array<std::uint32_t, kVtepMax> pinned{};  ///< vNICs whose frames leave by each.
    std::vector<Peer> peers;                       ///< Of those.
    std::uint64_t now_ns = 0;

private:
    void count_pinned(const WorkerContext& context) noexcept;
    void copy_peers(const WorkerContext& context) noexcept;

    std::uint32_t at_ = 0;  // Pair.
    bool is_begun_ = false;
};

}  // namespace sluice::datapath
