// SPDX-License-Identifier: Apache-2.0
// Source: see source.h.
#include "controller-agent/vtep/source.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>

#include "controller-agent/ovsdb/client.h"
#include "controller-agent/vtep/applier.h"
#include "controller-agent/vtep/networks.h"
#include "controller-agent/vtep/remote_macs.h"
#include "controller-agent/vtep/report.h"
#include "controller-agent/vtep/saved_macs.h"
#include "sluice/base/limits.h"

namespace sluice::vtep {
namespace {

namespace asio = boost::asio;
using fleet::AgentState;
using nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kCatchUp{1000};  // For the replica to show what was committed.

std::vector<ovsdb::Interest> interest() {
    std::vector<ovsdb::Interest> out;
    for (const char* table :
         {"Global", "Physical_Switch", "Physical_Port", "Logical_Switch", "Logical_Router",
          "Physical_Locator", "Physical_Locator_Set", "Ucast_Macs_Remote", "Mcast_Macs_Remote",
          "Ucast_Macs_Local", "Mcast_Macs_Local"}) {
        out.push_back({table, {}, true});
    }
    return out;
}

std::map<ovsdb::Uuid, std::string> segments(const Networks& networks) {
    std::map<ovsdb::Uuid, std::string> out;
    for (const auto& [id, network] : networks.by_id) { out.emplace(id, network.segment); }
    return out;
}

}  // namespace

class Source::Impl : public std::enable_shared_from_this<Source::Impl> {
public:
    Impl(asio::io_context& io, fleet::HostControl& host, fleet::AgentOptions options)
        : io_(io),
          host_(host),
          options_(std::move(options)),
          applier_(host),
          saved_(options_.state_dir.empty() ? "" : options_.state_dir + "/vtep"),
          wake_(io) {}

    void load() {
        own_ = read_own_host(host_.host_name(), host_.own_objects());
        const std::vector<fleet::FleetBinding> bindings = saved_.load();
        macs_.remember(bindings);
        std::vector<fleet::BindingChange> changes;
        for (const fleet::FleetBinding& each : bindings) { changes.push_back({each, false}); }
        host_.change_bindings(changes);
    }

    void start() {
        for (const Problem& problem : own_.problems) {
            spdlog::warn("vtep: {} {}", problem.object, problem.reason);
        }
        ovsdb::ClientOptions options;
        options.remotes = options_.remotes;
        options.database = "hardware_vtep";
        options.tls = options_.tls;
        options.seed = options_.seed;
        ovsdb::ClientEvents events;
        events.on_state = [this](ovsdb::ClientState state, const std::string& why) {
            take_state(state, why);
        };
        events.on_change = [this](const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
            take_changes(changes, is_complete);
        };
        client_ = std::make_unique<ovsdb::Client>(io_, std::move(options), std::move(events));
        client_->set_interest(interest());
        client_->start();
        asio::co_spawn(io_, work(shared_from_this()), asio::detached);
    }

    void stop() {
        is_stopped_ = true;
        wake_.cancel();
        if (client_) { client_->stop(); }
        if (is_unsaved_) { saved_.save(macs_.told()); }
        is_unsaved_ = false;
        saved_.finish();
    }

    [[nodiscard]] AgentState state() const noexcept {
        const bool is_long = Clock::now() - since_ >= milliseconds(kFleetHeadlessMs);
        return state_ == AgentState::kLost && is_long ? AgentState::kHeadless : state_;
    }

    [[nodiscard]] json status() const {
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since_);
        json out = {{"kind", "vtep"},
                    {"state", fleet::to_text(state())},
                    {"since_s", age.count()},
                    {"remote", client_ ? client_->remote() : ""},
                    {"networks", networks_.by_id.size()},
                    {"bindings", macs_.told_count()},
                    {"problems", 0},
                    {"faults", json::array()},
                    {"alarms", json::array()}};
        for (const Problem& problem : problems()) {
            out["faults"].push_back({{"object", problem.object}, {"reason", problem.reason}});
        }
        out["problems"] = out["faults"].size();
        if (is_held_) {
            out["alarms"].push_back(
                "the database was made anew and binds no port of this host: what ran is held");
        }
        if (state_ != AgentState::kLive && !why_.empty()) { out["why"] = why_; }
        return out;
    }

private:
    void enter(AgentState state) {
        if (state == state_) { return; }
        state_ = state;
        since_ = Clock::now();
        spdlog::info("vtep: {}", fleet::to_text(state));
    }

    void take_state(ovsdb::ClientState state, const std::string& why) {
        if (!why.empty() && why != why_) { spdlog::warn("vtep: {}", why); }
        if (!why.empty()) { why_ = why; }
        switch (state) {
            case ovsdb::ClientState::kIdle: return;
            case ovsdb::ClientState::kSyncing: return enter(AgentState::kSync);
            case ovsdb::ClientState::kLive:
                enter(AgentState::kReconcile);
                is_dirty_ = is_report_due_ = true;
                return wake();
            case ovsdb::ClientState::kConnecting:
            case ovsdb::ClientState::kBackoff:
                return enter(was_live_ ? AgentState::kLost : AgentState::kConnect);
        }
    }

    void take_changes(const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
        for (const ovsdb::RowChange& change : changes) {
            if (change.table == "Ucast_Macs_Remote") { changed_rows_.insert(change.id); }
        }
        if (!is_complete) { return; }
        is_dirty_ = is_report_due_ = true;
        report_after_ = Clock::now();
        wake();
    }

    void wake() { wake_.cancel(); }

    // Keeps itself alive until stop() was seen.
    static asio::awaitable<void> work(std::shared_ptr<Impl> self) {
        while (!self->is_stopped_) {
            if (self->is_complete()) { co_await self->catch_up(); }
            self->save_now_and_then();
            if (self->is_dirty_ && self->is_complete()) { continue; }
            self->wake_.expires_after(milliseconds(kFleetReportMs));
            boost::system::error_code ec;
            co_await self->wake_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        }
    }

    [[nodiscard]] bool is_complete() const {
        return !is_stopped_ && client_->state() == ovsdb::ClientState::kLive &&
               client_->was_complete();
    }

    asio::awaitable<void> catch_up() {
        const bool is_retry = applier_.refused_any() && Clock::now() >= retry_at_;
        if (is_dirty_ || is_retry) { co_await reconcile(); }
        if (is_complete()) { co_await send_report(); }
    }

    asio::awaitable<void> reconcile() {
        is_dirty_ = false;
        retry_at_ = Clock::now() + milliseconds(kFleetRetryMs);
        read_replica();
        hold_or_release();
        if (is_held_) { co_return; }
        const json joined = document_of(networks_, own_, macs_.vteps());
        co_await applier_.apply(joined);
        const std::vector<fleet::BindingChange> changes = macs_.take_changes();
        if (!changes.empty()) {
            host_.change_bindings(changes);
            is_unsaved_ = true;
        }
        const json left = document_of(networks_, own_, macs_.vteps());
        if (left != joined) { co_await applier_.apply(left); }
        is_report_due_ = true;  // Of what was refused.
        if (state_ != AgentState::kReconcile) { co_return; }
        was_live_ = true;
        why_.clear();
        enter(AgentState::kLive);
    }

    void read_replica() {
        Networks now = networks_of(client_->tables(), own_);
        const std::set<ovsdb::Uuid> rows = std::exchange(changed_rows_, {});
        if (is_first_ || segments(now) != segments(networks_)) {
            macs_.rebuild(client_->tables(), now);
        } else {
            macs_.change(client_->tables(), now, rows);
        }
        is_first_ = false;
        networks_ = std::move(now);
    }

    // A database without our switch is a new one: that it binds nothing means nothing yet.
    void hold_or_release() {
        const bool binds_any = !networks_.placed.empty() || !networks_.faults.empty();
        if (!networks_.knows_host && !is_held_ && runs_any()) {
            is_held_ = true;
            spdlog::warn(
                "vtep: the database does not know this host: what runs goes on until it binds one "
                "of its ports");
        }
        if (is_held_ && binds_any) {
            is_held_ = false;
            spdlog::info("vtep: the database binds ports again, it counts");
        }
    }

    [[nodiscard]] bool runs_any() const {
        const json document = host_.running_document();
        const auto ports = document.find("ports");
        return ports != document.end() && !ports->empty();
    }

    asio::awaitable<void> send_report() {
        fleet::LocalState now = host_.local_state(local_.epoch);
        if (now.epoch != local_.epoch) {
            local_ = std::move(now);
            is_report_due_ = true;
        }
        if (!is_report_due_ || Clock::now() < report_after_) { co_return; }
        is_report_due_ = false;
        std::map<std::string, std::string> faults;
        for (const auto& [port, why] : applier_.refused_ports()) {
            faults.emplace(port, "unspecified_fault");
        }
        json operations =
            report(client_->tables(), own_, networks_, local_, faults, !applier_.refusal().empty());
        if (operations.empty()) { co_return; }
        const ovsdb::TransactResult result = co_await client_->transact(std::move(operations));
        is_report_due_ = true;  // Until nothing is left to say.
        report_after_ = Clock::now() + kCatchUp;
        const bool is_refused = result.outcome == ovsdb::Outcome::kRefused;
        if (is_refused && result.error != report_error_) {
            spdlog::warn("vtep: the database refused what this host reports: {}", result.error);
        }
        report_error_ = is_refused ? result.error : "";
    }

    void save_now_and_then() {
        if (!is_unsaved_ || Clock::now() < save_after_) { return; }
        saved_.save(macs_.told());
        is_unsaved_ = false;
        save_after_ = Clock::now() + milliseconds(kFleetSaveMs);
    }

    [[nodiscard]] std::vector<Problem> problems() const {
        std::vector<Problem> out = networks_.knows_host ? networks_.problems : own_.problems;
        for (const auto& [port, why] : applier_.refused_ports()) {
            out.push_back({"port " + port, why});
        }
        if (!applier_.refusal().empty()) { out.push_back({"document", applier_.refusal()}); }
        if (!report_error_.empty()) { out.push_back({"report", report_error_}); }
        const std::vector<Problem> macs = macs_.problems();
        out.insert(out.end(), macs.begin(), macs.end());
        if (out.size() > kFleetProblemMax) { out.resize(kFleetProblemMax); }
        return out;
    }

    asio::io_context& io_;
    fleet::HostControl& host_;
    fleet::AgentOptions options_;
    OwnHost own_;
    RemoteMacs macs_{own_};
    Networks networks_;
    Applier applier_;
    SavedMacs saved_;
    std::unique_ptr<ovsdb::Client> client_;
    asio::steady_timer wake_;
    std::set<ovsdb::Uuid> changed_rows_;  // Of Ucast_Macs_Remote, since the last look.
    fleet::LocalState local_;
    AgentState state_ = AgentState::kBoot;
    Clock::time_point since_ = Clock::now(), retry_at_{}, report_after_{}, save_after_{};
    std::string why_, report_error_;
    bool is_first_ = true, is_dirty_ = false, is_held_ = false, is_report_due_ = true;
    bool is_unsaved_ = false, was_live_ = false, is_stopped_ = false;
};

Source::Source(asio::io_context& io, fleet::HostControl& host, fleet::AgentOptions options)
    : impl_(std::make_shared<Impl>(io, host, std::move(options))) {}
Source::~Source() { impl_->stop(); }
void Source::load() { impl_->load(); }
void Source::start() { impl_->start(); }
void Source::stop() { impl_->stop(); }
AgentState Source::state() const noexcept { return impl_->state(); }
json Source::status() const { return impl_->status(); }

}  // namespace sluice::vtep
