// SPDX-License-Identifier: Apache-2.0
// Compile input of slot 1 (swsec): what one vNIC may claim to be, and how much it may say. Control
// thread or its compile helper. Implemented in iochain/swsec.
#pragma once

#include <memory>
#include <vector>

#include "sluice/iochain/chain.h"
#include "sluice/model/port_group.h"
#include "sluice/net/address.h"

namespace sluice {

/// The effective security settings of one vNIC (port group and the port's overrides laid together).
struct SwsecInput {
    MacAddr mac;              ///< The vNIC's own.
    std::vector<IpAddr> ips;  ///< The vNIC's own addresses, any order.
    bool spoofguard = false;  ///< SpoofGuard is on. `manual`: only `mac` and `ips`; without `ips`,
                              ///< the EUI-64 link-local.
    bool first_use = false;   ///< With spoofguard, `auto`: `ips`, and leases, and what was first
                              ///< used within `bindings`.
    model::BindingLimits bindings;
    bool forged_transmits = false;  ///< Foreign source MACs pass, be it to forge, to learn them or
                                    ///< because the vNIC may change its own.
    model::Guards guards;
    model::Limits limits;  ///< `flows` is not read here.
};

/// Program of a vNIC; never null.
[[nodiscard]] std::shared_ptr<const SlotProgram> compile_swsec(const SwsecInput& input);

}  // namespace sluice
