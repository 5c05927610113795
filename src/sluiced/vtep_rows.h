// SPDX-License-Identifier: Apache-2.0
// VTEP rows: what workers know of VTEPs, gathered for `show vteps` and the metrics. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "datapath/vtep_list.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {

using VtepLists = std::vector<std::unique_ptr<datapath::ListVteps>>;

/// The list of every worker. Each VTEP is served by one of them.
[[nodiscard]] boost::asio::awaitable<VtepLists> list_vteps(datapath::Dataplane& dataplane);

/// up, down, init, unanswered, resolving or admin_down.
[[nodiscard]] const char* to_text(datapath::VtepPeerState state) noexcept;

/// Its port's name; of one that a newer snapshot has no more, "".
[[nodiscard]] std::string vtep_name(const datapath::Snapshot& snapshot, std::uint16_t vtep);

}  // namespace sluice::daemon
