// SPDX-License-Identifier: Apache-2.0
// The place is handed straight to the next one waiting, so that nobody can slip in between.
#include "change_queue.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::admin {

namespace asio = boost::asio;

asio::awaitable<ChangeQueue::Turn> ChangeQueue::enter() {
    auto self = shared_from_this();
    if (taken_) {
        auto timer =
            std::make_shared<asio::steady_timer>(executor_, asio::steady_timer::time_point::max());
        waiting_.push_back(timer);
        boost::system::error_code ec;  // Always operation_aborted, from leave().
        co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    taken_ = true;
    co_return Turn(std::move(self));
}

void ChangeQueue::leave() {
    if (waiting_.empty()) {
        taken_ = false;
        return;
    }
    const auto next = waiting_.front();
    waiting_.pop_front();
    next->cancel();
}

}  // namespace sluice::admin
