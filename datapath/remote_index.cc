// SPDX-License-Identifier: Apache-2.0
// RemoteIndex: see remote_index.h.
#include "datapath/remote_index.h"

#include <algorithm>
#include <bit>

#include "datapath/snapshot.h"

namespace sluice::datapath {

RemoteIndex::RemoteIndex(std::span<const VtepConfig> vteps, std::span<const RemoteVtep> remotes)
    : rows_(std::bit_ceil(2 * remotes.size() + 2)), mask_(rows_.size() - 1) {
    const auto is_own = [&](const IpAddr& ip) {
        return std::any_of(vteps.begin(), vteps.end(),
                           [&](const VtepConfig& vtep) { return vtep.ip == ip; });
    };
    for (std::size_t i = 1; i < remotes.size(); ++i) {
        const RemoteVtep& remote = remotes[i];
        if (remote.ip.family == IpFamily::kNone || is_own(remote.ip)) { continue; }
        const Address key = address(
            remote.ip.family, remote.ip.is_v6() ? remote.ip.bytes.data() : &remote.ip.bytes[12]);
        std::uint64_t at = hash(key);
        while (rows_[at & mask_].remote != 0) { ++at; }
        rows_[at & mask_] = {key, static_cast<std::uint16_t>(i)};
        if (remote.gets_floods) {
            (remote.ip.is_v6() ? flooded_v6_ : flooded_v4_)
                .push_back(static_cast<std::uint16_t>(i));
        }
    }
    const auto by_address = [&](std::uint16_t a, std::uint16_t b) {
        return remotes[a].ip < remotes[b].ip;
    };
    std::sort(flooded_v4_.begin(), flooded_v4_.end(), by_address);
    std::sort(flooded_v6_.begin(), flooded_v6_.end(), by_address);
}

}  // namespace sluice::datapath
