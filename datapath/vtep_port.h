// SPDX-License-Identifier: Apache-2.0
// VtepPort: the device of a VTEP's port. Nothing is behind it: frames enter such a port when
// ingress takes their outer headers off (tunnel_receive.cc), and what leaves by it gets some and
// goes on to the VTEP's uplink (tunnel_send.cc). It takes no offload, so that frames are finished
// before they are wrapped. Thread rules of Port.
#pragma once

#include "datapath/port.h"

namespace sluice::datapath {

class VtepPort final : public Port {
public:
    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*>) noexcept override { return {}; }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*>) noexcept override { return 0; }
    [[nodiscard]] bool is_up() const noexcept override { return true; }
};

}  // namespace sluice::datapath
