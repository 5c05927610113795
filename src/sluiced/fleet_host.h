// SPDX-License-Identifier: Apache-2.0
// FleetHost: the daemon as a source of the model steers it (fleet/host_control.h): documents go the
// way of every `apply`, one at a time with the changes of the admin socket; bindings go to the
// fleet table. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/change_queue.h"
#include "controller-agent/fleet/host_control.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/local_view.h"

namespace sluice::daemon {

class FleetHost : public fleet::HostControl {
public:
    using ChangeBindings = std::function<void(const std::vector<fleet::BindingChange>&)>;

    /// After the configuration was loaded: the host's name is taken from it.
    FleetHost(const datapath::Dataplane& dataplane, ConfigService& config,
              std::shared_ptr<admin::ChangeQueue> changes, ChangeBindings change_bindings);

    [[nodiscard]] std::string host_name() const override { return name_; }
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> apply(
        nlohmann::json document) override;
    [[nodiscard]] fleet::OwnFile own_file() const override;
    [[nodiscard]] nlohmann::json running_document() const override;
    [[nodiscard]] std::string public_key() const override {
        return public_key_ ? public_key_() : std::string();
    }
    /// Who knows it.
    void on_public_key(std::function<std::string()> ask) { public_key_ = std::move(ask); }
    [[nodiscard]] nlohmann::json own_objects() const override { return config_.own_objects(); }
    void change_bindings(const std::vector<fleet::BindingChange>& changes) override {
        change_bindings_(changes);
    }
    [[nodiscard]] fleet::LocalState local_state(std::uint64_t known_epoch) const override {
        return view_.state(known_epoch);
    }

private:
    ConfigService& config_;
    std::shared_ptr<admin::ChangeQueue> changes_;
    ChangeBindings change_bindings_;
    std::function<std::string()> public_key_;
    mutable LocalView view_;  // Remembers what it saw last.
    std::string name_;
};

}  // namespace sluice::daemon
