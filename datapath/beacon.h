// SPDX-License-Identifier: Apache-2.0
// Beacon: small frames by which a host's uplinks find out whether the fabric joins them, where the
// link alone does not say (failure detection `probe`). Control says when
// (src/sluiced/team_watch.h), a worker sends; who receives one notes it in Reach::beacons(). A
// beacon ends at the uplink that it comes in by, another host's too.
#pragma once

#include <vector>

#include "datapath/command.h"
#include "datapath/stages.h"

namespace sluice::datapath {

inline constexpr std::uint16_t kEtherBeacon = 0x88b5;  ///< Local experimental (IEEE 802 §9.2.4).

/// Takes a beacon from the fabric, this host's or another's: notes it, and consumes the frame.
/// False: it is none. First packets only.
[[nodiscard]] bool take_beacon_of_uplink(WorkerContext& context, const Packet& packet) noexcept;
/// Takes what a service sends with a beacon's ethertype: the heartbeat that it was sent is noted,
/// all else dropped, so that none of it becomes a flow. False: it came by no leg.
[[nodiscard]] bool take_beat_of_leg(WorkerContext& context, const Packet& packet) noexcept;
[[nodiscard]] inline bool take_beacon(WorkerContext& context, const Packet& packet) noexcept {
    const bool may_be = packet.frame.key.ethertype.host() == kEtherBeacon;
    return may_be && (take_beacon_of_uplink(context, packet) || take_beat_of_leg(context, packet));
}

/// An uplink, and the MAC that its beacons come from.
struct BeaconSource {
    PortIndex uplink;
    MacAddr mac;
};

/// Sends a beacon by each of `sources`.
class SendBeacons final : public WorkerCommand {
public:
    explicit SendBeacons(std::vector<BeaconSource> sources) : sources_(std::move(sources)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

private:
    std::vector<BeaconSource> sources_;
};

}  // namespace sluice::datapath
