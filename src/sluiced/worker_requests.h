// SPDX-License-Identifier: Apache-2.0
// Worker requests: coroutines of the control thread that hand commands to workers and wait for
// them, without ever blocking the control loop.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <type_traits>
#include <vector>

#include "datapath/dataplane.h"

namespace sluice::daemon {

/// Waits until `is_done`, asking more and more rarely: every 50 us at first, every 2 ms at last.
/// `is_done` must be trivially destructible: GCC 12 destroys temporaries of a co_await expression
/// twice.
template <typename Condition>
boost::asio::awaitable<void> wait_until(Condition is_done) {
    static_assert(std::is_trivially_destructible_v<Condition>);
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    for (std::chrono::microseconds pause{50}; !is_done();
         pause = std::min(pause * 2, std::chrono::microseconds{2000})) {
        boost::system::error_code ignored;
        timer.expires_after(pause);
        co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
}

/// Runs `command` on one worker.
inline boost::asio::awaitable<void> run_on_worker(datapath::Dataplane& dataplane, unsigned worker,
                                                  datapath::WorkerCommand& command) {
    co_await wait_until([&] { return dataplane.submit(worker, command); });
    co_await wait_until([&] { return command.is_finished(); });
}

/// Runs one command of a kind on every worker at once; returns them all, finished.
template <typename Command, typename... Arguments>
boost::asio::awaitable<std::vector<std::unique_ptr<Command>>> run_on_workers(
    datapath::Dataplane& dataplane, Arguments... arguments) {
    std::vector<std::unique_ptr<Command>> commands;
    for (unsigned worker = 0; worker < dataplane.worker_count(); ++worker) {
        commands.push_back(std::make_unique<Command>(arguments...));
        co_await wait_until([&] { return dataplane.submit(worker, *commands.back()); });
    }
    for (const auto& command : commands) {
        co_await wait_until([&] { return command->is_finished(); });
    }
    co_return commands;
}

}  // namespace sluice::daemon
