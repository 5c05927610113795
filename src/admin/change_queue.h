// SPDX-License-Identifier: Apache-2.0
// Lets changes run one at a time, in the order in which they arrived, while each of them may wait
// for helper threads and workers. So no handler ever sees a half-made change of another. Control
// thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>

namespace sluice::admin {

/// A first-come queue for one place. Lives in a shared_ptr, because turns may outlast the server.
class ChangeQueue : public std::enable_shared_from_this<ChangeQueue> {
public:
    explicit ChangeQueue(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// The place; given back when this goes.
    class Turn {
    public:
        explicit Turn(std::shared_ptr<ChangeQueue> queue) : queue_(std::move(queue)) {}
        Turn(Turn&&) noexcept = default;
        Turn& operator=(Turn&&) = delete;
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() {
            if (queue_) { queue_->leave(); }
        }

    private:
        std::shared_ptr<ChangeQueue> queue_;
    };

    /// Waits until every earlier turn has gone.
    [[nodiscard]] boost::asio::awaitable<Turn> enter();

private:
    void leave();

    boost::asio::any_io_executor executor_;
    bool taken_ = false;
    std::deque<std::shared_ptr<boost::asio::steady_timer>>
        waiting_;  // Never expire; cancelled = your turn.
};

}  // namespace sluice::admin
