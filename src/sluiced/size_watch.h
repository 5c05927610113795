// SPDX-License-Identifier: Apache-2.0
// SizeWatch: tells the log, once a port, of a guest whose frames are longer than its network or the
// way through the underlay carries: its MTU does not fit. `show port` says it as long as it is so.
// Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>
#include <string>

#include "datapath/dataplane.h"

namespace sluice::daemon {

class SizeWatch {
public:
    SizeWatch(boost::asio::io_context& io, const datapath::Dataplane& dataplane);
    /// Nothing is looked at any more. The loop must run once more, or be gone, before *this is.
    void stop();

private:
    [[nodiscard]] boost::asio::awaitable<void> run();
    void look();

    boost::asio::steady_timer timer_;
    const datapath::Dataplane& dataplane_;
    std::set<std::string> told_;  // Ports.
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
