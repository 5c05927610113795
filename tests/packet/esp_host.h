// SPDX-License-Identifier: Apache-2.0
// EspHost: a TunnelRig whose document has encryption rules, with keys of its own and of the first
// remote VTEP, whose host is the second implementation of ESP.
#pragma once

#include <string>

#include "tests/packet/tunnel_rig.h"
#include "tests/unit/esp/esp_peer.h"

namespace sluice::test {

inline constexpr std::uint8_t kPolicyId = 5;

/// three_vms() with key policies kp1 (5) and kp2 (6) and these rules.
[[nodiscard]] nlohmann::json encrypted(const nlohmann::json& rules);
/// All IP under kp1.
[[nodiscard]] nlohmann::json encrypted_all(bool required = true);

class EspHost {
public:
    /// @param has_keys  from the beginning
    explicit EspHost(const RigOptions& options, bool has_keys = true);

    TunnelRig rig;
    const datapath::SaParameters own, peer, second;  ///< `second`: of the peer under kp2.

    [[nodiscard]] Pipeline& pipeline() noexcept { return rig.pipeline(); }
    [[nodiscard]] datapath::SecurityAssociations& associations() {
        return pipeline().dataplane().associations();
    }
    void give_keys();
    EspHost& send(const Bytes& frame) {
        pipeline().send("vm1", frame).step();
        return *this;
    }
    /// Inner frames that left by the tunnel, opened by the peer, whose numbers run on from 1.
    [[nodiscard]] Frames opened(std::size_t outside = 0);
    /// The peer seals it and sends it.
    EspHost& receive(const Bytes& frame, std::size_t outside = 0) {
        rig.receive(seal_by_peer(frame, peer, ++received_, outside));
        return *this;
    }
    /// Number of the next packet that the peer opens.
    std::uint64_t next = 1;

private:
    std::uint64_t received_ = 0;
};

}  // namespace sluice::test
