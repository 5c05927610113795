// SPDX-License-Identifier: Apache-2.0
// ArenaService: the daemon's dealings with the arena: adoption at the start, room for more records
// ahead of use, what `status` says of it. Control thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "datapath/dataplane.h"

namespace sluice::daemon {

class ArenaService {
public:
    ArenaService(boost::asio::io_context& io, datapath::Dataplane& dataplane)
        : dataplane_(dataplane), timer_(io) {}

    /// Takes over what the process before left. Before the first snapshot is published.
    [[nodiscard]] Status adopt();
    /// From here on the tables get room as they grow.
    void start() { tend(); }
    void stop() { timer_.cancel(); }

    /// {"dir","connections","lenient","bindings","learned","dropped","expired","took_ms","why"}
    [[nodiscard]] nlohmann::json status() const;

private:
    void tend();

    datapath::Dataplane& dataplane_;
    boost::asio::steady_timer timer_;
    datapath::AdoptReport report_;
};

}  // namespace sluice::daemon
