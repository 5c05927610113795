// SPDX-License-Identifier: Apache-2.0
// SavedView: what an agent keeps on disk beside the document that the local store keeps: where MACs
// are, which VTEPs other hosts have, and the epoch that was in force. LocalStore writes and checks
// the file; here is its text. Pure, any thread.
//
//   epoch 3
//   vtep SWITCH IP
//   at SEGMENT MAC VTEP|- IP IP...
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controller-agent/fleet/binding.h"

namespace sluice::fleet {

/// VTEPs of other hosts, by switch.
using RemoteVteps = std::map<std::string, std::set<std::string>>;

struct SavedView {
    std::int64_t epoch = 0;
    RemoteVteps remote_vteps;
    std::vector<FleetBinding> bindings;
};

/// The first lines.
[[nodiscard]] std::string saved_head(std::int64_t epoch, const RemoteVteps& remote_vteps);
/// A line for each.
void append_saved(std::string& text, const std::vector<FleetBinding>& bindings);
/// Lines that make no sense are left out: the file's checksum held, so another version wrote them.
[[nodiscard]] SavedView parse_saved(std::string_view text);

}  // namespace sluice::fleet
