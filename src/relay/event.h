// SPDX-License-Identifier: Apache-2.0
// A wake-up between coroutines of one thread: notify() is remembered until one wait takes it, so a
// notification that comes before the wait is not lost. The io_context's thread only; one waiter at
// a time.
#pragma once

#include "relay/asio.h"
#include "relay/limits.h"

namespace sluice::relay {

class Event {
public:
    explicit Event(const asio::any_io_executor& executor) : timer_(executor) {}

    /// Wakes the waiter, or lets the next wait return at once.
    void notify() {
        signalled_ = true;
        timer_.cancel();
    }

    /// Waits until notified or until `deadline`. True = notified (and taken).
    asio::awaitable<bool> wait_until(Clock::time_point deadline) {
        while (!signalled_ && Clock::now() < deadline) {
            error_code ignored;
            timer_.expires_at(deadline);
            co_await timer_.async_wait(into(ignored));
        }
        co_return std::exchange(signalled_, false);
    }

private:
    asio::steady_timer timer_;
    bool signalled_ = false;
};

}  // namespace sluice::relay
