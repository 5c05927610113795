// SPDX-License-Identifier: Apache-2.0
// Takeover: the new process's side of a handover (upgrade.h is the other): says when everything is
// loaded, takes what the running daemon passes on, says when packets move, and learns that it is
// the daemon now. The messages before that are taken by the main thread, which has nothing else to
// do; then control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "admin/socket_path.h"
#include "handover/message.h"
#include "relay/handed_port.h"
#include "src/sluiced/hurry.h"
#include "src/sluiced/kernel_ports.h"

namespace sluice::daemon {

/// What the running daemon had.
struct Inheritance {
    std::map<std::string, relay::HandedPort> guests;  ///< By port.
    std::vector<std::string> guests_up;               ///< Those that moved packets.
    std::vector<KernelPorts::Handed> interfaces;
    std::vector<std::string> uplinks_up;
    admin::BoundSocket admin;  ///< Its descriptor is ours.
    relay::Fd metrics;
    std::chrono::steady_clock::time_point received_at;
};

class Takeover {
public:
    /// @param socket  this end of the pair, as the command line names it
    explicit Takeover(int socket);

    /// Everything is loaded. Waits for as long as the running daemon pleases, then takes what it
    /// has. An error means: end, without touching anything; it was told.
    [[nodiscard]] Result<Inheritance> take(std::uint64_t generation);
    /// Packets move: waits until the running daemon has left it to us. False: it has not, end.
    /// @param since  when the first thing was handed over
    [[nodiscard]] boost::asio::awaitable<bool> finish(std::chrono::steady_clock::time_point since);
    /// It can't be done; one sentence.
    void fail(const Error& error);
    /// It is done: this process is one among others again.
    void calm() { hurry_.reset(); }
    /// What is logged goes where the other daemon's log went.
    static void take_log();

private:
    [[nodiscard]] Result<handover::Message> next();
    [[nodiscard]] Status greet(const handover::Message& hello, std::uint64_t generation);
    [[nodiscard]] static Status add(handover::Message message, Inheritance& out);

    relay::Fd socket_;
    std::optional<Hurry> hurry_;  // From "prepared" on: it waits, and then it must be quick.
};

}  // namespace sluice::daemon
