// SPDX-License-Identifier: Apache-2.0
// Upgrade: the running daemon's side of a handover: starts another process beside this one, waits
// until it has everything loaded, stops, passes guests, interfaces and listeners on, and leaves
// when packets move there. If they do not in time, the other process is ended and this one goes on
// where that one stopped. docs/adr/0048-a-new-process-beside-the-old.md; src/handover/README.md has
// the messages. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "admin/server.h"
#include "handover/launcher.h"
#include "handover/message.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/metrics_server.h"

namespace sluice::daemon {

/// What of the daemon is handed over, and what it does about itself.
struct UpgradeParts {
    VhostDevices& devices;
    KernelPorts& kernel_ports;
    Uplinks& uplinks;
    ConfigService& config;
    admin::AdminServer& admin;
    MetricsServer& metrics;
    std::function<void()> stop_workers;
    /// After another process may have worked on what lies outside of both.
    std::function<Status()> start_workers;
    /// A process was killed: what it left in the file system goes.
    std::function<void(pid_t)> clear_after;
    /// The other process is the daemon now: nothing is sent or written any more.
    std::function<void()> retire;
    /// Ends this process, leaving to the other one what is its.
    std::function<void()> leave;
};

class Upgrade {
public:
    Upgrade(boost::asio::io_context& io, handover::Launcher& launcher, UpgradeParts parts);

    /// @param binary  empty: the daemon's own path
    /// @param timeout  from the moment workers stop until the other process is healthy
    /// @return {"version","pid","gap_ms","prepared_ms"}, or one sentence: what the other process
    /// said last, and for how long nothing was forwarded
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> run(std::string binary,
                                                                     std::chrono::seconds timeout,
                                                                     admin::Peer peer);

private:
    using Clock = std::chrono::steady_clock;
    using Answer = Result<nlohmann::json>;

    [[nodiscard]] boost::asio::awaitable<Result<handover::Message>> next(handover::Kind wanted,
                                                                         Clock::time_point until);
    [[nodiscard]] boost::asio::awaitable<Result<handover::Message>> prepare(
        std::string binary, std::chrono::seconds timeout);
    [[nodiscard]] boost::asio::awaitable<Status> switch_over(std::chrono::seconds timeout);
    [[nodiscard]] boost::asio::awaitable<void> hold();
    [[nodiscard]] Status hand_over(Clock::time_point until);
    [[nodiscard]] Status send(handover::Message message, Clock::time_point until);
    [[nodiscard]] Status send_listeners(Clock::time_point until);
    [[nodiscard]] boost::asio::awaitable<void> end_other();
    [[nodiscard]] boost::asio::awaitable<Status> come_back();
    [[nodiscard]] boost::asio::awaitable<void> leave_soon(admin::Peer peer);
    void read_errors();
    [[nodiscard]] Error with_last_words(const Error& error) const;
    void tell(const std::string& text, nlohmann::json more) const;

    boost::asio::io_context& io_;
    handover::Launcher& launcher_;
    UpgradeParts parts_;
    handover::Started other_;
    pid_t prepared_pid_ = -1;  // Of the daemon itself; what was started may be a script around it.
    Clock::time_point stopped_at_;
    std::string last_words_;  // The last line on its stderr.
    std::string partial_;
    admin::Peer peer_;
};

/// `upgrade`.
void add_upgrade_methods(admin::AdminServer& server, Upgrade& upgrade);

}  // namespace sluice::daemon
