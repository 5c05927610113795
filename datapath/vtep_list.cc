// SPDX-License-Identifier: Apache-2.0
// ListVteps: see vtep_list.h.
#include "datapath/vtep_list.h"

#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kPiece = 256;  // Pairs a step.

}  // namespace

// The snapshot may be newer than the one that room was made for: what has no room is left out.
void ListVteps::copy_peers(const WorkerContext& context) noexcept {
    const auto remotes = static_cast<std::uint32_t>(context.snapshot->remotes.size());
    for (const std::uint32_t end = at_ + kPiece; at_ < end; ++at_) {
        const auto vtep = static_cast<std::uint16_t>(at_ / std::max(remotes, 1U));
        const auto remote = static_cast<std::uint16_t>(at_ % std::max(remotes, 1U));
        if (vtep >= context.snapshot->vteps.size()) { return; }
        const VtepPeer* peer = context.vtep_peers.find(vtep, remote);
        if (peer == nullptr || peers.size() == peers.capacity()) { continue; }
        const auto row = context.learned.find(
            LearnedKey::neighbour(context.snapshot->vteps[vtep].underlay, peer->next_hop),
            context.now_ns);
        peers.push_back({vtep, remote, *peer, row ? row->mac : MacAddr{}});
    }
}

// By the real choice: of the ports that are members of a VNI.
void ListVteps::count_pinned(const WorkerContext& context) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const auto count = static_cast<std::uint16_t>(snapshot.domains.size());
    for (std::uint16_t index = 0; index < count; ++index) {
        const Domain& domain = snapshot.domains[index];
        if (domain.vni == 0) { continue; }
        for (const PortIndex member : domain.members) {
            const PortConfig* out = snapshot.port(way_out(context, index, member, FlowKey{}));
            if (out != nullptr && out->vtep < kVtepMax) { ++pinned[out->vtep]; }
        }
    }
}

bool ListVteps::step(WorkerContext& context) noexcept {
    if (!is_begun_) {
        is_begun_ = true;
        now_ns = context.now_ns;
        const auto count = static_cast<std::uint16_t>(context.snapshot->vteps.size());
        for (std::uint16_t vtep = 0; vtep < count; ++vtep) {
            locals[vtep] = context.vtep_peers.local(vtep);
        }
        count_pinned(context);
        return false;
    }
    copy_peers(context);
    return at_ >= context.snapshot->vteps.size() * context.snapshot->remotes.size();
}

}  // namespace sluice::datapath
