// SPDX-License-Identifier: Apache-2.0
// Applier: makes documents of this source run. A port that the daemon refuses is taken out, told,
// and the rest tried again: one bad port does not keep the others from a change. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "controller-agent/fleet/host_control.h"
#include "controller-agent/vtep/own_host.h"

namespace sluice::vtep {

class Applier {
public:
    explicit Applier(fleet::HostControl& host) : host_(host) {}

    /// Returns at once if this is what the last call was given, and nothing was refused then.
    [[nodiscard]] boost::asio::awaitable<void> apply(nlohmann::json document);

    /// Ports that were taken out, with the daemon's reason.
    [[nodiscard]] const std::map<std::string, std::string>& refused_ports() const {
        return refused_ports_;
    }
    /// Why the document does not run at all; empty: it does.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    [[nodiscard]] bool refused_any() const { return !refusal_.empty() || !refused_ports_.empty(); }

private:
    fleet::HostControl& host_;
    nlohmann::json wanted_;  // null: nothing yet.
    std::map<std::string, std::string> refused_ports_;
    std::string refusal_;
};

}  // namespace sluice::vtep
