// SPDX-License-Identifier: Apache-2.0
// Work that takes longer than the control loop may: a coroutine of the control thread runs it on a
// helper thread and comes back with what it returned.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>

namespace sluice::agent {

// A coroutine's frame keeps the work; a lambda that is a coroutine would lose its captures (GCC
// 12).
inline boost::asio::awaitable<void> invoke(std::function<void()> work) {
    work();
    co_return;
}

/// Runs `work` on the helper. Name the std::function before the co_await expression (GCC 12).
template <typename T>
boost::asio::awaitable<T> on_helper(boost::asio::thread_pool& helper, std::function<T()> work) {
    auto result = std::make_shared<std::optional<T>>();  // co_spawn wants values that begin empty.
    std::function<void()> job = [result, work = std::move(work)] { result->emplace(work()); };
    auto task = invoke(std::move(job));
    co_await boost::asio::co_spawn(helper.get_executor(), std::move(task),
                                   boost::asio::use_awaitable);
    co_return std::move(**result);
}

}  // namespace sluice::agent
