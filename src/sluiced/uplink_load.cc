// SPDX-License-Identifier: Apache-2.0
// UplinkLoad: see uplink_load.h.
#include "src/sluiced/uplink_load.h"

#include <algorithm>

namespace sluice::daemon {

std::optional<LoadMove> next_move(const std::vector<UplinkLoad>& uplinks,
                                  const std::vector<VnicLoad>& vnics, std::uint64_t bytes_min) {
    if (uplinks.size() < 2) { return std::nullopt; }
    const auto [least, most] = std::minmax_element(
        uplinks.begin(), uplinks.end(),
        [](const UplinkLoad& a, const UplinkLoad& b) { return a.bytes < b.bytes; });
    if (most->bytes < bytes_min || most->bytes <= least->bytes + least->bytes / 4 * 3) {
        return std::nullopt;
    }
    const std::uint64_t gap = most->bytes - least->bytes;
    const auto left_over = [gap](std::uint64_t bytes) {  // The gap after such a vNIC has moved.
        return 2 * bytes > gap ? 2 * bytes - gap : gap - 2 * bytes;
    };
    const VnicLoad* best = nullptr;
    for (const VnicLoad& vnic : vnics) {
        if (vnic.uplink != most->uplink || vnic.bytes == 0 || vnic.bytes >= gap) { continue; }
        if (best == nullptr || left_over(vnic.bytes) < left_over(best->bytes)) { best = &vnic; }
    }
    if (best == nullptr) { return std::nullopt; }
    return LoadMove{best->vnic, least->uplink};
}

}  // namespace sluice::daemon
