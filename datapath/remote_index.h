// SPDX-License-Identifier: Apache-2.0
// RemoteIndex: the remote VTEPs of a snapshot, found by address for every frame that comes by a
// tunnel, and in the order in which floods go through them. Immutable; made on the control thread
// with the snapshot, read by workers.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::datapath {

struct RemoteVtep;
struct VtepConfig;

class RemoteIndex {
public:
    /// @param remotes  Snapshot::remotes. Addresses of `vteps`, the host's own, are left out.
    RemoteIndex(std::span<const VtepConfig> vteps, std::span<const RemoteVtep> remotes);

    /// Index of the remote VTEP at an address; 0 if nobody is known there.
    /// @param wire  4 bytes, or 16
    [[nodiscard]] std::uint16_t find(IpFamily family, const std::uint8_t* wire) const noexcept {
        const Address key = address(family, wire);
        for (std::uint64_t at = hash(key);; ++at) {
            const Row& row = rows_[at & mask_];
            if (row.remote == 0 || row.address == key) { return row.remote; }
        }
    }
    /// Those that floods go to, by ascending address: those of one subnet follow each other.
    [[nodiscard]] std::span<const std::uint16_t> flooded(IpFamily family) const noexcept {
        return family == IpFamily::kV6 ? flooded_v6_ : flooded_v4_;
    }

private:
    struct Address {
        std::uint64_t high = 0, low = 0;
        IpFamily family = IpFamily::kNone;
        bool operator==(const Address&) const = default;
    };
    struct Row {
        Address address;
        std::uint16_t remote = 0;  // 0 = free.
    };
    [[nodiscard]] static Address address(IpFamily family, const std::uint8_t* wire) noexcept {
        Address out;
        out.family = family;
        if (family == IpFamily::kV6) {
            std::memcpy(&out.high, wire, 8);
            std::memcpy(&out.low, wire + 8, 8);
        } else {
            std::memcpy(&out.low, wire, 4);
        }
        return out;
    }
    [[nodiscard]] static std::uint64_t hash(const Address& key) noexcept {
        const std::uint64_t mixed = (key.high ^ (key.low * 0x9e3779b97f4a7c15U));
        return (mixed * 0xd6e8feb86659fd93U) >> 32U;
    }

    std::vector<Row> rows_;  // Open addressing, at most half full.
    std::uint64_t mask_ = 0;
    std::vector<std::uint16_t> flooded_v4_, flooded_v6_;
};

}  // namespace sluice::datapath
