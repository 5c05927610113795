// SPDX-License-Identifier: Apache-2.0
// ServiceNetworks: see service_networks.h. Open addressing over tags 4094 to 1: a row that was ever
// used is never emptied, only given away, so that a search ends at the first free one.
#include "datapath/service_networks.h"

#include "datapath/snapshot.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t kTagMax = 4094;
constexpr std::uint64_t kNetworkMask = ~std::uint64_t{0xffffffff};

std::uint64_t word_of(const ServiceNetworks::Network& network) noexcept {
    return std::uint64_t{network.remote} << 48U | std::uint64_t{network.vid} << 36U;
}

std::uint16_t first_tag(const ServiceNetworks::Network& network) noexcept {
    const std::uint32_t hash = (network.remote * 0x9e3779b1U) ^ (network.vid * 0x85ebca6bU);
    return static_cast<std::uint16_t>(kTagMax - (hash >> 16U) % kTagMax);
}

std::uint16_t next_tag(std::uint16_t tag) noexcept {
    return tag > 1 ? static_cast<std::uint16_t>(tag - 1U) : kTagMax;
}

}  // namespace

std::uint16_t ServiceNetworks::tag_of(const Network& network, const OwnVids* own,
                                      std::uint32_t now_s) noexcept {
    const std::uint64_t wanted = word_of(network);
    std::uint16_t given = 0;
    std::uint64_t before = 0;
    std::uint16_t tag = first_tag(network);
    for (unsigned tries = 0; tries < kTagMax; ++tries, tag = next_tag(tag)) {
        const std::uint64_t row = rows_[tag].load(std::memory_order_relaxed);
        const bool is_own = own != nullptr && (*own)[tag] != kNoDomain;
        const auto used_s = static_cast<std::uint32_t>(row);
        if (row != 0 && (row & kNetworkMask) == wanted && !is_own) {
            if (used_s != now_s) { rows_[tag].store(wanted | now_s, std::memory_order_relaxed); }
            return tag;
        }
        // Signed: another worker's clock may be a second ahead.
        const auto unused_s = static_cast<std::int32_t>(now_s - used_s);
        const bool is_idle = row == 0 || unused_s > static_cast<std::int32_t>(kServiceNetworkIdleS);
        if (given == 0 && is_idle && !is_own) {
            given = tag;
            before = row;
        }
        if (row == 0 && !is_own) { break; }
    }
    if (given == 0) { return 0; }
    const bool is_mine =
        rows_[given].compare_exchange_strong(before, wanted | now_s, std::memory_order_relaxed);
    return is_mine || (before & kNetworkMask) == wanted ? given : std::uint16_t{0};
}

std::optional<ServiceNetworks::Network> ServiceNetworks::find(std::uint16_t tag) const noexcept {
    const std::uint64_t row = rows_[tag & 0xfffU].load(std::memory_order_relaxed);
    if (row == 0) { return std::nullopt; }
    return Network{static_cast<std::uint16_t>(row >> 48U),
                   static_cast<std::uint16_t>(row >> 36U & 0xfffU)};
}

}  // namespace sluice::datapath
