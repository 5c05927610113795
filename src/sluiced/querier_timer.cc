// SPDX-License-Identifier: Apache-2.0
// QuerierTimer: see querier_timer.h. A look a second: the document is small and changes rarely.
#include "src/sluiced/querier_timer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "datapath/querier.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;

constexpr unsigned kStartupCount = 2;  // RFC 3376 §8.7.
constexpr unsigned kStartupPart = 4;   // Of the interval.

}  // namespace

QuerierTimer::QuerierTimer(asio::io_context& io, datapath::Dataplane& dataplane,
                           const ConfigService& config)
    : timer_(io), dataplane_(dataplane), config_(config) {
    auto task = run();
    asio::co_spawn(io, std::move(task), asio::detached);
}

void QuerierTimer::stop() {
    is_stopped_ = true;
    timer_.cancel();
}

std::vector<std::string> QuerierTimer::due_now() {
    const auto now = std::chrono::steady_clock::now();
    std::map<std::string, Due> next;
    std::vector<std::string> names;
    for (const model::Switch& each : config_.document().switches) {
        if (!each.multicast.snooping || !each.multicast.querier.enabled) { continue; }
        const std::uint32_t interval_s = each.multicast.querier.interval_s;
        Due due = due_[each.name];
        if (due.interval_s != interval_s) { due = Due{interval_s, 0, now}; }
        if (now >= due.at) {
            names.push_back(each.name);
            const bool starts = ++due.asked_count < kStartupCount;
            due.at = now + std::chrono::seconds(starts ? std::max(1U, interval_s / kStartupPart)
                                                       : interval_s);
        }
        next.emplace(each.name, due);
    }
    due_ = std::move(next);
    return names;
}

asio::awaitable<void> QuerierTimer::run() {
    while (!is_stopped_) {
        for (const std::string& name : due_now()) {
            datapath::SendQueries command(name);
            co_await run_on_worker(dataplane_, 0, command);
        }
        boost::system::error_code ignored;
        timer_.expires_after(std::chrono::seconds(1));
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace sluice::daemon
