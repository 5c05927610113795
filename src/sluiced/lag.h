// SPDX-License-Identifier: Apache-2.0
// Lag: the uplinks of a switch that LACP joins (`teaming.lacp`): the port that the switch sees, and
// the protocol that says which members carry frames. Control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datapath/lag_port.h"
#include "src/host/lag_plan.h"
#include "src/sluiced/lacp.h"

namespace sluice::daemon {

using host::LagPlan;

/// What `show uplinks` says of a member.
struct LagState {
    std::string state;  ///< LacpPort::state_text().
    MacAddr partner;    ///< Its system; zero: none is known.
    std::uint16_t partner_key = 0, partner_port = 0;
    [[nodiscard]] bool is_used() const { return state == "distributing"; }
    std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
};

class Lag {
public:
    Lag(LagPlan plan, datapath::LagPort::Members members, rte_mempool* pool);

    [[nodiscard]] const LagPlan& plan() const noexcept { return plan_; }
    [[nodiscard]] const std::shared_ptr<datapath::LagPort>& port() const noexcept { return port_; }
    /// A member's link, and the MAC that it speaks from. What follows from it is in force at once.
    void set_link(const std::string& member, bool has_link, const MacAddr& mac);
    /// Reads what came in and says what is due. A few times a second. True if it has come up, or
    /// gone down.
    [[nodiscard]] bool tick();
    /// Why it carries nothing; empty if it does.
    [[nodiscard]] std::string fault() const;
    [[nodiscard]] LagState state(const std::string& member) const;

private:
    void run_machines();
    void take(const datapath::SlowFrame& frame);
    void post(std::size_t member, const LacpFrame& frame);
    [[nodiscard]] std::size_t index_of(const std::string& member) const;

    const LagPlan plan_;
    std::shared_ptr<datapath::LagPort> port_;
    LacpGroup group_;
    std::vector<MacAddr> macs_;
};

}  // namespace sluice::daemon
