// SPDX-License-Identifier: Apache-2.0
// The parts of Boost.Asio that the relay uses, in the one order that works: Boost 1.74's
// awaitable.hpp uses std::exchange without including <utility>. spawn() is the root of every
// coroutine.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>

#include <spdlog/spdlog.h>

namespace sluice::relay {

namespace asio = boost::asio;
using boost::system::error_code;

/// use_awaitable that reports through `ec` and never throws.
inline auto into(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

/// Starts a coroutine; an exception that reaches its root (memory exhausted) is logged and ends it
/// alone.
inline void spawn(const asio::any_io_executor& executor, asio::awaitable<void> coroutine) {
    asio::co_spawn(executor, std::move(coroutine), [](const std::exception_ptr& error) {
        if (!error) { return; }
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            spdlog::critical("relay: a coroutine ended by an exception: {}", e.what());
        }
    });
}

}  // namespace sluice::relay
