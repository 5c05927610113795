// SPDX-License-Identifier: Apache-2.0
// FleetHost: see fleet_host.h.
#include "src/sluiced/fleet_host.h"

#include <unistd.h>

#include <array>

namespace sluice::daemon {
namespace {

std::string machine_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') { return "localhost"; }
    return name.data();
}

}  // namespace

FleetHost::FleetHost(const datapath::Dataplane& dataplane, ConfigService& config,
                     std::shared_ptr<admin::ChangeQueue> changes, ChangeBindings change_bindings)
    : config_(config),
      changes_(std::move(changes)),
      change_bindings_(std::move(change_bindings)),
      view_(dataplane, config),
      name_(config.document().host.name.empty() ? machine_name() : config.document().host.name) {}

// The document keeps the host's name, so that it is the same host after a restart.
boost::asio::awaitable<Result<nlohmann::json>> FleetHost::apply(nlohmann::json document) {
    document.erase("host");
    if (!config_.owns_host()) { document["host"] = {{"name", name_}}; }
    const auto turn = co_await changes_->enter();
    co_return co_await config_.apply(std::move(document), false);
}

fleet::OwnFile FleetHost::own_file() const {
    fleet::OwnFile own;
    own.is_known = true;
    const nlohmann::json& file = config_.own_objects();
    for (const auto& uplink : file.value("uplinks", nlohmann::json::array())) {
        own.uplinks.insert(uplink.value("name", ""));
    }
    for (const auto& port : file.value("ports", nlohmann::json::array())) {
        own.port_groups.insert(port.value("port_group", ""));
    }
    return own;
}

nlohmann::json FleetHost::running_document() const { return config_.export_json(); }

}  // namespace sluice::daemon
