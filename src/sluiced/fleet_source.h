// SPDX-License-Identifier: Apache-2.0
// FleetSource: a source of the model other than the local store, and what it steers in the daemon:
// the agent of a fleet's databases, or of a controller of hardware VTEPs, the host as it sees it,
// and the bindings of other hosts.
// Control thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <variant>

#include "admin/change_queue.h"
#include "controller-agent/fleet/agent.h"
#include "controller-agent/vtep/source.h"
#include "datapath/dataplane.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/fleet_bindings.h"
#include "src/sluiced/fleet_host.h"
#include "src/sluiced/options.h"

namespace sluice::daemon {

class FleetSource {
public:
    /// After the stored configuration was loaded. `options` names a source that is not local.
    FleetSource(boost::asio::io_context& io, datapath::Dataplane& dataplane, ConfigService& config,
                std::shared_ptr<admin::ChangeQueue> changes, const Options& options);

    /// `ask` knows the public key of this host. Before start().
    void on_public_key(std::function<std::string()> ask) { host_.on_public_key(std::move(ask)); }
    /// Before workers start: the bindings of the last run.
    void load();
    void start();
    void stop();
    /// For `status`: {"kind","state",...}.
    [[nodiscard]] nlohmann::json status() const;

private:
    FleetBindings bindings_;
    FleetHost host_;
    std::variant<std::unique_ptr<fleet::Agent>, std::unique_ptr<vtep::Source>> agent_;
};

}  // namespace sluice::daemon
