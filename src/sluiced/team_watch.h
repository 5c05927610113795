// SPDX-License-Identifier: Apache-2.0
// TeamWatch: which uplinks are used at the moment. Takes links from Uplinks, beacons from Reach and
// the rules of failback from the document; tells workers by Reach, and VnicWays who has moved. A
// lost link is passed on when netlink says so; everything else is looked at five times a second.
// Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <string>

#include "datapath/beacon.h"
#include "datapath/dataplane.h"
#include "src/sluiced/announcer.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/uplink_health.h"
#include "src/sluiced/vnic_ways.h"

namespace sluice::daemon {

/// What `show uplinks` says of one's part in its team.
struct TeamPart {
    std::string role;  ///< active, standby, or unused: of no switch, or in neither list.
    bool is_used = false;
    std::string why;             ///< Why it is not.
    unsigned vnics = 0;          ///< That leave by it.
    std::uint64_t load_bps = 0;  ///< Both ways, over the last ten seconds.
};

class TeamWatch {
public:
    TeamWatch(boost::asio::io_context& io, datapath::Dataplane& dataplane,
              const ConfigService& config, Uplinks& uplinks);
    /// Nothing is watched any more. The loop must run once more, or be gone, before *this is.
    void stop();

    [[nodiscard]] TeamPart part(const std::string& uplink) const;
    /// Name of the uplink, or VTEP, that a vNIC leaves by; empty: none.
    [[nodiscard]] std::string way_of(PortIndex vnic) const;

private:
    using Clock = std::chrono::steady_clock;
    struct Watched {
        PortIndex port = kNoPort;
        const datapath::Port* device = nullptr;  ///< Another one has no past.
        UplinkHealth health;
        FailbackRules rules;
        std::uint64_t link_since_ms = 0;  ///< 0: it has none.
        bool is_silent = false;           ///< By its beacons.
        bool has_failed = false;          ///< At this look.
    };
    using Members = std::vector<std::pair<std::string, Watched*>>;

    [[nodiscard]] boost::asio::awaitable<void> run();
    void look();
    void look_at(const model::Switch& on, std::map<std::string, Watched>& next);
    void judge_beacons(const model::Switch& on, const Members& members);
    void publish();
    [[nodiscard]] std::vector<datapath::BeaconSource> beacons_due() const;
    [[nodiscard]] bool sends_beacons(const model::Switch& on) const;

    boost::asio::steady_timer timer_;
    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    Uplinks& uplinks_;
    Announcer announcer_;
    VnicWays ways_;
    std::map<std::string, Watched> watched_;  // By uplink.
    std::uint32_t epoch_ = 0;                 // Of Reach, that workers were woken for.
    std::uint64_t beacons_ms_ = 0, balanced_ms_ = 0;
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
