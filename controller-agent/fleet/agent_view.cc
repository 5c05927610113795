// SPDX-License-Identifier: Apache-2.0
// Agent: from rows of Sluice_Config to what the host runs (agent_impl.h). Rows wait in `pending_`
// until the generation says that they are whole, are merged and made a view on the helper, pass the
// guard, and go to the host, one view at a time. Control thread, but for build().
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "controller-agent/fleet/agent_impl.h"
#include "controller-agent/on_helper.h"
#include "sluice/base/limits.h"

namespace sluice::fleet {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr const char* kNoController =
    "no controller has written to the database: what runs is kept";
constexpr const char* kEmptied =
    "the database has lost all objects: what runs is kept until the epoch grows or they are back";
constexpr std::int64_t kFirstWaitMs = 2000;

// "switch dvs0: remote_vteps holds 172.16.0.9, which ...": whose address it is.
std::string named_vtep(const std::string& message) {
    constexpr std::string_view kHolds = "remote_vteps holds ";
    const std::size_t at = message.find(kHolds);
    if (at == std::string::npos) { return {}; }
    const std::size_t first = at + kHolds.size();
    return message.substr(first, message.find_first_of(" ,", first) - first);
}

// Generation 0 has what a server is set up with, and no document.
bool is_written(const ovsdb::RowPtr& global) {
    return global != nullptr && ovsdb::column(*global, "generation").integer() != 0;
}

// Settings that a view is made of.
std::map<std::string, std::string> settings_of(const ovsdb::Row& global) {
    auto settings = ovsdb::column(global, "settings").text_map();
    settings.erase(kWritingKey);
    return settings;
}

// A commit that concerned other hosts, as this one sees it.
bool is_generation_only(const ovsdb::RowChange& change) {
    if (change.table != "Global" || change.before == nullptr || change.after == nullptr) {
        return false;
    }
    return settings_of(*change.before) == settings_of(*change.after) &&
           ovsdb::column(*change.before, "epoch") == ovsdb::column(*change.after, "epoch");
}

bool take_vtep_out(json& document, const std::string& ip) {
    bool is_out = false;
    for (json& on : document["switches"]) {
        const auto vteps = on.find("remote_vteps");
        if (vteps == on.end() || !vteps->is_array()) { continue; }
        for (auto at = vteps->begin(); at != vteps->end();) {
            const bool is_it = *at == ip;
            at = is_it ? vteps->erase(at) : std::next(at);
            is_out = is_out || is_it;
        }
    }
    return is_out;
}

}  // namespace

void Agent::Impl::config_changed(const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
    if (is_stopped_) { return; }
    is_complete_ = is_complete;
    for (const ovsdb::RowChange& each : changes) {
        const bool is_it = each.after != nullptr || each.before == global_;
        if (each.table == "Global" && is_it) {
            global_ = each.after;
            global_id_ = each.id;
        }
        pending_.push_back(each);
    }
    follow_global();
    follow_generation();
    wake();
}

void Agent::Impl::follow_global() {
    if (!is_complete_ || global_ == nullptr) { return; }
    follow_status_remotes(*global_);
    if (!has_epoch_) {
        epoch_ = ovsdb::column(*global_, "epoch").integer();
        has_epoch_ = true;
        is_unsaved_ = true;
    }
}

void Agent::Impl::follow_status_remotes(const ovsdb::Row& global) {
    std::string joined;
    for (const std::string& each : ovsdb::column(global, "status_remotes").texts()) {
        joined += (joined.empty() ? "" : ",") + each;
    }
    std::vector<ovsdb::Remote> remotes;
    if (!joined.empty()) {
        Result<std::vector<ovsdb::Remote>> parsed = ovsdb::parse_remotes(joined);
        if (!parsed) {
            status_why_ = "status_remotes: " + parsed.error().message;
            return;
        }
        remotes = std::move(parsed).value();
    }
    if (remotes != status_remotes_) { connect_status(std::move(remotes)); }
}

// Relays do not say how far they are: a generation that is lower than one that was looked at is
// waited for, but not for ever: a database may have been set back.
void Agent::Impl::follow_generation() {
    if (!is_complete_) { return; }
    const bool is_behind = is_written(global_) && global_id_ == looked_.id &&
                           ovsdb::column(*global_, "generation").integer() < looked_.generation &&
                           ovsdb::column(*global_, "epoch").integer() <= looked_.epoch;
    if (!is_behind) {
        has_news_ = has_news_ || behind_until_ms_ != 0;
        behind_until_ms_ = 0;
    } else if (behind_until_ms_ == 0) {
        behind_until_ms_ = monotonic_ms() + options_.behind_ms;
        has_news_ = true;
    } else if (monotonic_ms() >= behind_until_ms_) {
        looked_.id = {};
        behind_until_ms_ = 0;
        has_news_ = true;
    }
}

// Rows that were not looked at, and are no half of a commit (ADR 34).
bool Agent::Impl::has_new_rows() const {
    if (!is_complete_ || behind_until_ms_ != 0) { return false; }
    if (!is_written(global_)) { return !has_seen_ || !pending_.empty(); }
    const bool is_whole = !ovsdb::column(*global_, "settings").text_map().contains(kWritingKey);
    return is_whole && (!has_seen_ || !pending_.empty());
}

bool Agent::Impl::needs_apply() const {
    if (is_stopped_ || config_ == nullptr || config_->state() != ovsdb::ClientState::kLive) {
        return false;
    }
    return has_new_rows() || has_other_reasons();
}

// To make the view again of the rows that it was made of.
bool Agent::Impl::has_other_reasons() const {
    const bool is_due = retry_ms_ != 0 && monotonic_ms() >= retry_ms_;
    return has_view_ && (has_new_vteps_ || is_due);
}

// What runs is the whole view of the rows before, and would be that of these.
bool Agent::Impl::has_same_view() const {
    if (!has_view_ || !held_.empty() || !refused_.empty() || has_other_reasons()) { return false; }
    return std::all_of(pending_.begin(), pending_.end(), is_generation_only);
}

void Agent::Impl::wake() {
    if (is_applying_ || !is_complete_ || is_stopped_) { return; }
    follow_generation();
    const bool is_live = config_ != nullptr && config_->state() == ovsdb::ClientState::kLive;
    if (!needs_apply()) {
        const bool waits = !held_.empty() || behind_until_ms_ != 0;
        if (is_live && state_ == AgentState::kReconcile && !waits) { set_state(AgentState::kLive); }
        return;
    }
    // VTEPs of other hosts belong to the first view, else their tunnels would go and come.
    if (!has_seen_ && is_written(global_) && !status_remotes_.empty() && !has_status_) {
        if (wait_until_ms_ == 0) { wait_until_ms_ = monotonic_ms() + kFirstWaitMs; }
        if (monotonic_ms() < wait_until_ms_) { return; }
    }
    is_applying_ = true;
    const auto self = shared_from_this();
    auto applies = run_applies();
    asio::co_spawn(io_, std::move(applies), [self](const std::exception_ptr& failure) {
        self->is_applying_ = false;
        if (failure) { spdlog::error("fleet: applying a view failed"); }
    });
}

asio::awaitable<void> Agent::Impl::run_applies() {
    const auto self = shared_from_this();
    while (needs_apply()) {
        if (has_new_rows() && !is_written(global_)) {
            has_seen_ = true;
            keep_running();
            continue;
        }
        if (has_same_view()) {
            look_at_pending();
            generation_ = looked_.generation;
            has_news_ = true;
            continue;
        }
        Job job = take_job();
        std::function<Built()> work = [this, &job] { return build(job); };
        Built built = co_await agent::on_helper(helper_, std::move(work));
        if (is_stopped_) { co_return; }
        guard_.rest(monotonic_ms());
        auto why = guard_.check(built.objects, job.epoch > epoch_);
        if (rows_.size() <= 1 && guard_.has_objects() && job.epoch <= epoch_) { why = kEmptied; }
        has_news_ = true;
        if (why) {
            if (held_ != *why) { spdlog::warn("fleet: generation {}: {}", job.generation, *why); }
            held_ = *why;
            set_state(AgentState::kReconcile);
            continue;
        }
        held_.clear();
        auto applied = apply_view(std::move(job), std::move(built));
        co_await std::move(applied);
    }
    is_applying_ = false;
    wake();
    look_at_ports();
    report();
}

// An emptied database: rows wait until a controller has written to it.
void Agent::Impl::keep_running() {
    held_ = guard_.has_objects() ? kNoController : "";
    merge(std::exchange(pending_, {}));
    has_view_ = false;
    has_news_ = true;
}

std::vector<ovsdb::RowChange> Agent::Impl::look_at_pending() {
    looked_ = {global_id_, ovsdb::column(*global_, "generation").integer(),
               ovsdb::column(*global_, "epoch").integer()};
    return std::exchange(pending_, {});
}

// Other changes than those of rows are made to the rows of the view before.
Agent::Impl::Job Agent::Impl::take_job() {
    Job job;
    if (has_new_rows()) {
        job.changes = look_at_pending();
        if (looked_.generation != generation_) {
            job.changed_ms = ovsdb::column(*global_, "changed_ms").integer();
        }
    }
    has_seen_ = true;
    has_view_ = true;
    has_new_vteps_ = false;
    retry_ms_ = 0;
    job.generation = looked_.generation;
    job.epoch = looked_.epoch;
    job.remote_vteps = remote_vteps_;
    job.own = host_.own_file();
    return job;
}

// A row that came and went, or changed several times, is one change; all keys that go are gone
// before those that come: another row may have the key of one that went.
void Agent::Impl::merge(std::vector<ovsdb::RowChange> changes) {
    std::map<std::pair<std::string, ovsdb::Uuid>, std::pair<ovsdb::RowPtr, ovsdb::RowPtr>> rows;
    for (ovsdb::RowChange& change : changes) {
        auto [at, is_new] = rows.try_emplace({change.table, change.id}, change.before, nullptr);
        at->second.second = std::move(change.after);
    }
    for (const auto& [id, change] : rows) {
        if (change.first == nullptr) { continue; }
        if (const auto old = packed_row(id.first, *change.first)) { rows_.erase(old->first); }
    }
    for (const auto& [id, change] : rows) {
        if (change.second == nullptr) { continue; }
        if (auto now = packed_row(id.first, *change.second)) {
            rows_[std::move(now->first)] = std::move(now->second);
        }
    }
}

// On the helper.
Agent::Impl::Built Agent::Impl::build(Job& job) {
    merge(std::exchange(job.changes, {}));
    Built built;
    built.view = host_view(rows_, name_, job.remote_vteps, job.own);
    built.objects = objects_of(built.view.document);
    return built;
}

asio::awaitable<void> Agent::Impl::apply_view(Job job, Built built) {
    std::vector<Problem> problems = built.view.problems;
    const std::size_t left_out = problems.size();
    json document = std::move(built.view.document);
    while (!is_stopped_) {
        json attempt = document;
        auto trying = host_.apply(std::move(attempt));
        Result<json> done = co_await std::move(trying);
        if (done) { break; }
        const Error& refusal = done.error();
        if (!take_out(document, refusal, problems)) {
            refused_ = "generation " + std::to_string(job.generation) +
                       " is refused, what ran before goes on: " + refusal.message;
            spdlog::warn("fleet: {}", refused_);
            retry_ms_ = monotonic_ms() + kFleetRetryMs;
            co_return;
        }
    }
    if (is_stopped_) { co_return; }
    if (problems.size() > left_out) { retry_ms_ = monotonic_ms() + kFleetRetryMs; }
    if (problems.size() > kFleetProblemMax) { problems.resize(kFleetProblemMax); }
    problems_ = std::move(problems);
    accept(job, std::move(built));
}

// What the refusal names is taken out of the document, once.
bool Agent::Impl::take_out(json& document, const Error& refusal,
                           std::vector<Problem>& problems) const {
    if (refusal.object.empty() || problems.size() >= kFleetProblemMax) { return false; }
    if (const std::string ip = named_vtep(refusal.message); !ip.empty()) {
        if (!take_vtep_out(document, ip)) { return false; }
        problems.push_back({"vtep " + ip, refusal.message});
        return true;
    }
    if (!remove_object(document, refusal.object)) { return false; }
    problems.push_back({refusal.object, refusal.message});
    return true;
}

void Agent::Impl::accept(const Job& job, Built built) {
    const std::int64_t now_ms = monotonic_ms();
    refused_.clear();
    guard_.accept(std::move(built.objects), job.epoch > epoch_, now_ms);
    if (job.epoch != epoch_) { is_unsaved_ = true; }
    epoch_ = std::max(epoch_, job.epoch);
    if (job.changed_ms != 0) { lag_ms_ = std::max<std::int64_t>(unix_ms() - job.changed_ms, 0); }
    generation_ = job.generation;
    follow_segments(built.view.segments);
}

void Agent::Impl::follow_segments(const std::set<std::string>& segments) {
    if (segments == segments_) { return; }
    segments_ = segments;
    config_->set_interest(interest_of(name_, segments_));
    if (status_) { status_->set_interest(status_interest()); }
}

}  // namespace sluice::fleet
