// SPDX-License-Identifier: Apache-2.0
// Agent: what goes out (agent_impl.h): the host's rows of Sluice_Status, one transaction at a time,
// each made of what differs just then; and what is kept on disk for the next start. Control thread;
// files are written on `writer_`.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller-agent/fleet/agent_impl.h"
#include "controller-agent/on_helper.h"
#include "sluice/base/limits.h"

namespace sluice::fleet {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::size_t kOperationsMax = 200;  // Of one transaction.
constexpr std::int64_t kRefusedWaitMs = 1000;
constexpr std::size_t kSavedSlice = 8192;  // Bindings: some milliseconds' work.

}  // namespace

bool Agent::Impl::can_report() const {
    if (is_reporting_ || status_ == nullptr || !has_status_) { return false; }
    if (status_->state() != ovsdb::ClientState::kLive) { return false; }
    const std::int64_t now_ms = monotonic_ms();
    return now_ms >= report_after_ms_ && (has_news_ || now_ms >= heartbeat_ms_);
}

// One at a time, from now on: the coroutine begins later, when somebody else may have asked.
void Agent::Impl::report() {
    if (!can_report()) { return; }
    is_reporting_ = true;
    auto reporting = run_report();
    asio::co_spawn(
        io_, std::move(reporting),
        [self = shared_from_this()](const std::exception_ptr&) { self->is_reporting_ = false; });
}

// Operations that bring the rows up to date. A sign of life alone looks at one row.
json Agent::Impl::next_report(std::int64_t now_ms) {
    if (has_news_) {
        HostReport report{options_.version, to_text(state_), since_ms_,  generation_,
                          epoch_,           alarms(),        public_key_};
        std::vector<Problem> problems = problems_;
        for (Problem& each : duplicates()) { problems.push_back(std::move(each)); }
        wanted_ = status_rows(report, local_, own_claims_, problems);
    }
    if (now_ms >= heartbeat_ms_) {
        heartbeat_ms_ = now_ms + kFleetHeartbeatMs;
        alive_at_ms_ = unix_ms();
    }
    add_heartbeat(wanted_, alive_at_ms_);
    if (!has_news_) {
        const StatusKey key{"Heartbeat", "", "", 0};
        ovsdb::Tables only;
        const auto table = status_->tables().find("Heartbeat");
        if (table != status_->tables().end()) { only.insert(*table); }
        return status_operations(name_, {{key, wanted_[key]}}, rows_of(name_, only),
                                 kOperationsMax);
    }
    PresentRows present = rows_of(name_, status_->tables());
    const auto own = present.find({"Host", "", "", 0});
    if (own != present.end() && host_row_ != nullptr) {
        auto whole = std::make_shared<ovsdb::Row>(*host_row_);
        (*whole)["vteps"] = ovsdb::column(*own->second.second, "vteps");
        own->second.second = std::move(whole);
    }
    return status_operations(name_, wanted_, std::move(present), kOperationsMax);
}

// A server sends the rows of a transaction before its answer: what was written is in the replica
// when the next part is made.
asio::awaitable<void> Agent::Impl::run_report() {
    const auto self = shared_from_this();
    while (!is_stopped_ && status_ != nullptr && has_status_) {
        json operations = next_report(monotonic_ms());
        has_news_ = false;
        if (operations.empty()) { break; }
        const bool is_last = operations.size() < kOperationsMax;
        const auto wanted_host = wanted_.find({"Host", "", "", 0});
        ovsdb::RowPtr host_row;
        if (wanted_host != wanted_.end()) {
            host_row = std::make_shared<const ovsdb::Row>(wanted_host->second);
        }
        auto asking = status_->transact(std::move(operations));
        const ovsdb::TransactResult result = co_await std::move(asking);
        if (result.outcome != ovsdb::Outcome::kCommitted) {
            has_news_ = true;
            report_after_ms_ = monotonic_ms() + kRefusedWaitMs;
            if (result.outcome == ovsdb::Outcome::kRefused) {
                status_why_ = "a report was refused: " + result.error;
            }
            break;
        }
        status_why_.clear();
        host_row_ = std::move(host_row);
        if (is_last) { break; }
        has_news_ = true;
    }
}

// The text is made a slice at a time; a binding that changes meanwhile is written as it is when its
// turn comes, and again the next time.
asio::awaitable<void> Agent::Impl::run_save() {
    const auto self = shared_from_this();
    is_unsaved_ = false;
    const auto executor = co_await asio::this_coro::executor;
    const std::int64_t began_ms = monotonic_ms();
    std::string text = saved_head(epoch_, remote_vteps_);
    std::optional<SegmentMac> after;
    for (bool is_done = false; !is_done && !is_stopped_;) {
        const std::vector<FleetBinding> slice = claims_.bindings(after, kSavedSlice);
        append_saved(text, slice);
        is_done = slice.size() < kSavedSlice;
        if (is_done) { break; }
        after = SegmentMac{slice.back().segment, slice.back().mac};
        co_await asio::post(executor, asio::use_awaitable);
    }
    if (is_stopped_) { co_return; }
    if (!writer_) { writer_.emplace(1); }
    const std::uint64_t generation = ++stored_;
    std::function<Status()> work = [this, generation, &text] {
        return store_->save(generation, text);
    };
    const Status saved = co_await agent::on_helper(*writer_, std::move(work));
    if (!saved) { spdlog::warn("fleet: {}", saved.error().message); }
    const std::int64_t now_ms = monotonic_ms();
    save_after_ms_ = now_ms + std::max<std::int64_t>(kFleetSaveMs, 20 * (now_ms - began_ms));
    is_saving_ = false;
}

// At the end.
void Agent::Impl::save_now() {
    if (!store_ || !(is_unsaved_ || is_saving_)) { return; }
    std::string text = saved_head(epoch_, remote_vteps_);
    append_saved(text, claims_.bindings(std::nullopt, SIZE_MAX));
    const Status saved = store_->save(++stored_, text);
    if (!saved) { spdlog::warn("fleet: {}", saved.error().message); }
}

}  // namespace sluice::fleet
