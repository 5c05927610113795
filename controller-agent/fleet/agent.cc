// SPDX-License-Identifier: Apache-2.0
// Agent: life, states, the tick and what `status` says. See agent.h and agent_impl.h.
#include "controller-agent/fleet/agent.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>

#include "controller-agent/fleet/agent_impl.h"
#include "sluice/base/limits.h"

namespace sluice::fleet {

namespace asio = boost::asio;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

const char* to_text(AgentState state) {
    switch (state) {
        case AgentState::kBoot: return "boot";
        case AgentState::kConnect: return "connect";
        case AgentState::kSync: return "sync";
        case AgentState::kReconcile: return "reconcile";
        case AgentState::kLive: return "live";
        case AgentState::kLost: return "lost";
        case AgentState::kHeadless: return "headless";
    }
    return "boot";
}

Agent::Agent(asio::io_context& io, HostControl& host, AgentOptions options)
    : impl_(std::make_shared<Impl>(io, host, std::move(options))) {}
Agent::~Agent() { stop(); }
void Agent::load() { impl_->load(); }
void Agent::start() { impl_->start(); }
void Agent::stop() { impl_->stop(); }
AgentState Agent::state() const noexcept { return impl_->state(); }
json Agent::status() const { return impl_->status(); }

Agent::Impl::Impl(asio::io_context& io, HostControl& host, AgentOptions options)
    : io_(io),
      host_(host),
      options_(std::move(options)),
      name_(host.host_name()),
      timer_(io),
      since_ms_(unix_ms()) {
    if (!options_.state_dir.empty()) { store_.emplace(options_.state_dir + "/fleet"); }
}

void Agent::Impl::load() {
    guard_ = MassGuard(objects_of(host_.running_document()));
    if (!store_) { return; }
    if (Status opened = store_->open(); !opened) {
        spdlog::warn("fleet: {}", opened.error().message);
        store_.reset();
        return;
    }
    Result<agent::Stored> stored = store_->load();
    if (!stored) {
        spdlog::warn("fleet: {}", stored.error().message);
        return;
    }
    if (!stored.value().warning.empty()) { spdlog::warn("fleet: {}", stored.value().warning); }
    stored_ = stored.value().generation;
    if (stored_ != 0) { restore(parse_saved(stored.value().document)); }
}

void Agent::Impl::restore(SavedView view) {
    epoch_ = view.epoch;
    has_epoch_ = true;
    for (const auto& [on, ips] : view.remote_vteps) {
        for (const std::string& ip : ips) { late_vteps_.push_back({on, ip, INT64_MAX}); }
    }
    remote_vteps_ = std::move(view.remote_vteps);
    for (FleetBinding& each : view.bindings) { claims_.restore(std::move(each)); }
    tell_bindings();
    is_unsaved_ = false;
}

void Agent::Impl::start() {
    set_state(AgentState::kConnect);
    ovsdb::ClientOptions options;
    options.remotes = options_.remotes;
    options.database = "Sluice_Config";
    options.tls = options_.tls;
    options.seed = options_.seed;
    ovsdb::ClientEvents events;
    const std::weak_ptr<Impl> weak = weak_from_this();
    events.on_state = [weak](ovsdb::ClientState state, const std::string& why) {
        if (const auto self = weak.lock()) { self->config_state(state, why); }
    };
    events.on_change = [weak](const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
        if (const auto self = weak.lock()) { self->config_changed(changes, is_complete); }
    };
    config_ = std::make_unique<ovsdb::Client>(io_, std::move(options), std::move(events));
    config_->set_interest(interest_of(name_, segments_));
    config_->start();
    tick();
}

void Agent::Impl::stop() {
    if (std::exchange(is_stopped_, true)) { return; }
    timer_.cancel();
    if (config_) { config_->stop(); }
    if (status_) { status_->stop(); }
    helper_.join();
    if (writer_) { writer_->join(); }
    save_now();
}

void Agent::Impl::set_state(AgentState state, std::string why) {
    why_ = std::move(why);
    if (state == state_) { return; }
    spdlog::info("fleet: {} after {}{}{}", to_text(state), to_text(state_),
                 why_.empty() ? "" : ": ", why_);
    state_ = state;
    since_ = steady_clock::now();
    since_ms_ = unix_ms();
    has_news_ = true;
}

void Agent::Impl::config_state(ovsdb::ClientState state, const std::string& why) {
    if (is_stopped_) { return; }
    const bool had_it = state_ == AgentState::kLive || state_ == AgentState::kReconcile ||
                        (state_ == AgentState::kSync && has_seen_);
    switch (state) {
        case ovsdb::ClientState::kIdle: return;
        case ovsdb::ClientState::kConnecting:
        case ovsdb::ClientState::kBackoff:
            if (had_it) {
                set_state(AgentState::kLost, why);
            } else if (state_ == AgentState::kSync) {
                set_state(AgentState::kConnect, why);
            } else if (!why.empty()) {
                why_ = why;
            }
            return;
        case ovsdb::ClientState::kSyncing: set_state(AgentState::kSync); return;
        case ovsdb::ClientState::kLive:
            is_complete_ = is_complete_ || config_->was_complete();
            set_state(AgentState::kReconcile);
            wake();
            return;
    }
}

void Agent::Impl::status_state(ovsdb::ClientState state, const std::string& why) {
    if (is_stopped_) { return; }
    has_news_ = true;
    if (!why.empty()) { status_why_ = why; }
    if (state != ovsdb::ClientState::kLive) {
        host_row_.reset();
        return;
    }
    status_why_.clear();
    if (status_->was_complete()) { status_complete(); }
}

// Everything that hangs on time, and what nobody tells of: the state of ports.
void Agent::Impl::tick() {
    if (is_stopped_) { return; }
    look_at_clock(monotonic_ms());
    look_at_ports();
    tell_bindings();
    report();
    timer_.expires_after(milliseconds(kFleetReportMs));
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) { self->tick(); }
    });
}

void Agent::Impl::look_at_clock(std::int64_t now_ms) {
    const auto in_state = steady_clock::now() - since_;
    if (state_ == AgentState::kLost && in_state >= milliseconds(kFleetHeadlessMs)) {
        set_state(AgentState::kHeadless, std::move(why_));
    }
    claims_.expire(now_ms);
    forget_late_vteps(now_ms);
    wake();
    if (is_unsaved_ && !is_saving_ && store_ && now_ms >= save_after_ms_) {
        is_saving_ = true;
        auto save = run_save();
        asio::co_spawn(io_, std::move(save), [](const std::exception_ptr&) {});
    }
}

std::vector<std::string> Agent::Impl::alarms() const {
    std::vector<std::string> out;
    if (!held_.empty()) { out.push_back(held_); }
    if (behind_until_ms_ != 0 && global_ != nullptr) {
        out.push_back("the server is behind: generation " + std::to_string(looked_.generation) +
                      " was seen, and it has " +
                      std::to_string(ovsdb::column(*global_, "generation").integer()) +
                      ": what runs is kept");
    }
    if (!refused_.empty()) { out.push_back(refused_); }
    if (has_seen_ && status_remotes_.empty()) {
        out.emplace_back(
            "the database names no status_remotes: nothing is reported, and no host is "
            "told of");
    }
    if (!status_why_.empty()) { out.push_back("Sluice_Status: " + status_why_); }
    if (bad_claims_ != 0) {
        out.push_back(std::to_string(bad_claims_) + " bindings of other hosts make no sense");
    }
    if (claims_.left_out() != 0) {
        out.push_back(std::to_string(claims_.left_out()) + " bindings were left out: too many");
    }
    return out;
}

json Agent::Impl::status() const {
    const auto since =
        std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - since_);
    json out{{"kind", "ovsdb"},
             {"state", to_text(state_)},
             {"since_s", since.count()},
             {"remote", config_ ? config_->remote() : ""},
             {"generation", generation_},
             {"epoch", epoch_},
             {"problems", problems_.size()},
             {"bindings", claims_.size()},
             {"lag_ms", lag_ms_},
             {"status",
              {{"state", status_ ? ovsdb::to_text(status_->state()) : "none"},
               {"remote", status_ ? status_->remote() : ""}}},
             {"alarms", alarms()}};
    if (!why_.empty()) { out["why"] = why_; }
    return out;
}

}  // namespace sluice::fleet
