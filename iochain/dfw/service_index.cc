// SPDX-License-Identifier: Apache-2.0
// Service ranges as aligned blocks. Compile helper only.
#include "iochain/dfw/service_index.h"

#include <bit>

namespace sluice::iochain {
namespace {

using Index = NestedIndex<std::uint32_t>;

/// Cuts a range into the fewest blocks whose size is a power of two and whose start is a multiple
/// of it.
void add_blocks(const ServiceRange& range, std::uint32_t atom, std::vector<Index::Item>& items) {
    std::uint32_t first = range.first;
    for (;;) {
        const std::uint32_t left = range.last - first + 1U;
        const std::uint32_t aligned = first == 0 ? left : 1U << std::countr_zero(first);
        const std::uint32_t size = std::bit_floor(std::min(left, aligned));
        items.push_back({first, first + size - 1U, atom});
        if (left == size) { return; }
        first += size;
    }
}

}  // namespace

ServiceRange destination_range(const model::Service& service) noexcept {
    const auto at = [&](unsigned low) {
        return service_point(service.protocol, static_cast<std::uint16_t>(low));
    };
    if (model::has_ports(service.protocol)) {
        return {at(service.destination.first), at(service.destination.last)};
    }
    if (!service.icmp_type) { return {at(0), at(0xffff)}; }
    const unsigned type = unsigned{*service.icmp_type} << 8U;
    if (!service.icmp_code) { return {at(type), at(type | 0xffU)}; }
    return {at(type | *service.icmp_code), at(type | *service.icmp_code)};
}

ServiceRange source_range(const model::Service& service) noexcept {
    const bool ports = model::has_ports(service.protocol);
    return {service_point(service.protocol, ports ? service.source.first : std::uint16_t{0}),
            service_point(service.protocol, ports ? service.source.last : std::uint16_t{0xffff})};
}

Index RangeAtoms::build() const {
    std::vector<Index::Item> items;
    for (const auto& [range, atom] : atoms_) { add_blocks(range, atom, items); }
    return Index(std::move(items));
}

}  // namespace sluice::iochain
