// SPDX-License-Identifier: Apache-2.0
// ServiceIndex: from (protocol, port) to the service ranges that hold it. A point is 24 bits:
// protocol, then the 16-bit port, or ICMP type and code. A range is cut into aligned blocks (30 at
// most), which nest like address prefixes. One index serves destination ports, another source
// ports. Built on the compile helper; immutable then.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "iochain/dfw/nested_index.h"
#include "sluice/model/service.h"

namespace sluice::iochain {

/// Points first..last of one protocol, both included.
struct ServiceRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    auto operator<=>(const ServiceRange&) const noexcept = default;
    [[nodiscard]] constexpr bool contains(std::uint32_t point) const noexcept {
        return first <= point && point <= last;
    }
};

[[nodiscard]] constexpr std::uint32_t service_point(std::uint8_t protocol,
                                                    std::uint16_t low) noexcept {
    return (std::uint32_t{protocol} << 16U) | low;
}

/// Destination ports of a service, or its ICMP type and code, or the whole protocol.
[[nodiscard]] ServiceRange destination_range(const model::Service& service) noexcept;

/// Source ports of a service, or the whole protocol.
[[nodiscard]] ServiceRange source_range(const model::Service& service) noexcept;

/// True if the service names source ports.
[[nodiscard]] constexpr bool has_source_ports(const model::Service& service) noexcept {
    return !service.any && model::has_ports(service.protocol) && !service.source.is_any();
}

/// Numbers ranges, equal ones alike. Compile time only.
class RangeAtoms {
public:
    [[nodiscard]] std::uint32_t atom_of(const ServiceRange& range) {
        return atoms_.try_emplace(range, static_cast<std::uint32_t>(atoms_.size())).first->second;
    }
    [[nodiscard]] std::uint32_t count() const noexcept {
        return static_cast<std::uint32_t>(atoms_.size());
    }
    [[nodiscard]] NestedIndex<std::uint32_t> build() const;

private:
    std::map<ServiceRange, std::uint32_t> atoms_;
};

}  // namespace sluice::iochain
