// SPDX-License-Identifier: Apache-2.0
// QuerierTimer: says when a switch's own querier asks: at once when it is enabled, again after a
// quarter of its interval (RFC 3376 §8.6), then every interval. Control thread; a worker sends.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "datapath/dataplane.h"
#include "src/sluiced/config_service.h"

namespace sluice::daemon {

class QuerierTimer {
public:
    QuerierTimer(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                 const ConfigService& config);
    /// Nothing is asked any more. The loop must run once more, or be gone, before *this is.
    void stop();

private:
    /// When a querier asks next, and with which interval that was reckoned.
    struct Due {
        std::uint32_t interval_s = 0;
        unsigned asked_count = 0;
        std::chrono::steady_clock::time_point at;
    };

    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] std::vector<std::string> due_now();

    boost::asio::steady_timer timer_;
    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    std::map<std::string, Due> due_;  // By switch.
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
