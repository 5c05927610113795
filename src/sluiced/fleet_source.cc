// SPDX-License-Identifier: Apache-2.0
// FleetSource: see fleet_source.h.
#include "src/sluiced/fleet_source.h"

#include <random>

#include "src/sluiced/version.h"

namespace sluice::daemon {
namespace {

// Hosts that lose one server together must not come back in step.
std::uint64_t random_seed() {
    std::random_device random;
    return std::uint64_t{random()} << 32U | random();
}

}  // namespace

FleetSource::FleetSource(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                         ConfigService& config, std::shared_ptr<admin::ChangeQueue> changes,
                         const Options& options)
    : bindings_(dataplane, io.get_executor()),
      host_(dataplane, config, std::move(changes),
            [this](const std::vector<fleet::BindingChange>& change) { bindings_.change(change); }) {
    config.on_published([this] { bindings_.on_snapshot(); });
    fleet::AgentOptions of_agent;
    of_agent.remotes = options.source.remotes;
    of_agent.tls = options.source.tls;
    of_agent.state_dir = options.state_dir;
    of_agent.seed = random_seed();
    of_agent.version = kVersion;
    if (options.source.kind == Source::Kind::kVtep) {
        agent_ = std::make_unique<vtep::Source>(io, host_, std::move(of_agent));
    } else {
        agent_ = std::make_unique<fleet::Agent>(io, host_, std::move(of_agent));
    }
}

void FleetSource::load() {
    std::visit([](auto& agent) { agent->load(); }, agent_);
}
void FleetSource::start() {
    std::visit([](auto& agent) { agent->start(); }, agent_);
}
void FleetSource::stop() {
    std::visit([](auto& agent) { agent->stop(); }, agent_);
}
nlohmann::json FleetSource::status() const {
    return std::visit([](const auto& agent) { return agent->status(); }, agent_);
}

}  // namespace sluice::daemon
