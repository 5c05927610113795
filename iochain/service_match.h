// SPDX-License-Identifier: Apache-2.0
// Does a flow's key match one service? The plain form, for rules that are checked in order. Any
// thread.
#pragma once

#include "sluice/iochain/flow_key.h"
#include "sluice/model/service.h"

namespace sluice::iochain {

[[nodiscard]] inline bool matches(const model::Service& service, const FlowKey& key) noexcept {
    if (!key.is_ip()) { return false; }
    if (service.any) { return true; }
    if (service.protocol != key.protocol) { return false; }
    const std::uint16_t source = key.source_port.host();
    if (model::has_ports(service.protocol)) {
        return service.source.contains(source) &&
               service.destination.contains(key.destination_port.host());
    }
    if (service.icmp_type && *service.icmp_type != source >> 8U) { return false; }
    return !service.icmp_code || *service.icmp_code == (source & 0xffU);
}

}  // namespace sluice::iochain
