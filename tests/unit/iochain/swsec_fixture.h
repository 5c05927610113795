// SPDX-License-Identifier: Apache-2.0
// A chain with slot 1 alone, for the tests of switch security: a VM under SpoofGuard `manual` with
// one address a family.
#pragma once

#include "sluice/iochain/swsec.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice::test {

inline const IpAddr kOwn4 = ip("192.0.2.10"), kForeign4 = ip("192.0.2.12"),
                    kGateway4 = ip("192.0.2.1");
inline const IpAddr kOwn6 = ip("2001:db8:a::10"), kForeign6 = ip("2001:db8:a::12"),
                    kLocal6 = ip("fe80::ff:fe00:a01");
inline const IpAddr kAny4 = ip("0.0.0.0"), kAny6 = ip("::");

/// Rate limits off, guards at their defaults.
inline SwsecInput guarded() {
    SwsecInput input;
    input.mac = kOwnMac;
    input.ips = {kOwn4, kOwn6, kLocal6};
    input.spoofguard = true;
    input.limits.arp_pps = input.limits.nd_pps = input.limits.dhcp_pps = 0;
    return input;
}

/// A trusted port: nothing is refused that is well-formed.
inline SwsecInput trusted() {
    SwsecInput input = guarded();
    input.spoofguard = false;
    input.forged_transmits = true;
    input.guards = {
        .bpdu = false, .dhcp_server = false, .dhcp_client = false, .ra = false, .non_ip = false};
    return input;
}

struct SecuredVnic {
    explicit SecuredVnic(const SwsecInput& input) {
        chain.slots[kSlotSwsec] = compile_swsec(input);
    }

    DropReason decide_key(const FlowKey& key, Direction direction = Direction::kFromVm) const {
        return decide(chain, {key, direction}).reason;
    }
    DropReason inspect_frame(const TestFrame& frame, std::uint64_t now_ns = 0,
                             Direction direction = Direction::kFromVm) {
        ChainState* own = direction == Direction::kFromVm ? &state : nullptr;
        return inspect(chain, frame.parsed, direction, own, false, now_ns).reason;
    }

    ChainProgram chain;
    ChainState state;
};

}  // namespace sluice::test
