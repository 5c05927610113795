// SPDX-License-Identifier: Apache-2.0
// VTEP rows: see vtep_rows.h.
#include "src/sluiced/vtep_rows.h"

namespace sluice::daemon {

using datapath::VtepPeerState;

boost::asio::awaitable<VtepLists> list_vteps(datapath::Dataplane& dataplane) {
    const std::size_t vteps = dataplane.snapshot().vteps.size();
    const std::size_t remotes = dataplane.snapshot().remotes.size();
    co_return co_await run_on_workers<datapath::ListVteps>(dataplane, vteps, remotes);
}

const char* to_text(VtepPeerState state) noexcept {
    switch (state) {
        case VtepPeerState::kResolving: return "resolving";
        case VtepPeerState::kUnanswered: return "unanswered";
        case VtepPeerState::kInit: return "init";
        case VtepPeerState::kUp: return "up";
        case VtepPeerState::kDown: return "down";
        case VtepPeerState::kAdminDown: return "admin_down";
    }
    return "";
}

std::string vtep_name(const datapath::Snapshot& snapshot, std::uint16_t vtep) {
    if (vtep >= snapshot.vteps.size()) { return ""; }
    const datapath::PortConfig* port = snapshot.port(snapshot.vteps[vtep].port);
    return port == nullptr ? "" : port->name;
}

}  // namespace sluice::daemon
