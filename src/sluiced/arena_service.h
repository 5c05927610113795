// SPDX-License-Identifier: Apache-2.0
// ArenaService: the daemon's dealings with the arena: adoption at the start, room for more records
// ahead of use, figures kept each second, what `status` says of it. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "datapath/dataplane.h"
#include "src/sluiced/guest_book.h"
#include "src/sluiced/kept_counters.h"

namespace sluice::daemon {

class ArenaService {
public:
    ArenaService(boost::asio::io_context& io, datapath::Dataplane& dataplane)
        : io_(io), dataplane_(dataplane), timer_(io), save_timer_(io) {}

    /// Takes over what the process before left. Before the first snapshot is published.
    [[nodiscard]] Status adopt();
    /// The same after another process had the arena for a while, and ended: the figures are this
    /// one's.
    [[nodiscard]] Status adopt_again();
    /// From here on the tables get room as they grow.
    void start();
    void stop();
    /// The last figures, when workers have stopped.
    void finish();

    /// What guests were offered. After adopt().
    [[nodiscard]] GuestBook& guests() noexcept { return guests_; }

    /// {"dir","connections","lenient","bindings","learned","dropped","expired","took_ms","why"}
    [[nodiscard]] nlohmann::json status() const;

private:
    void tend();
    [[nodiscard]] boost::asio::awaitable<void> save_often();
    void save(const Books& books);

    boost::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer save_timer_;
    KeptCounters counters_;
    GuestBook guests_;
    bool is_stopped_ = false;
    datapath::AdoptReport report_;
};

}  // namespace sluice::daemon
