// SPDX-License-Identifier: Apache-2.0
// TeamWatch: see team_watch.h.
#include "src/sluiced/team_watch.h"

#include <sys/random.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "src/sluiced/worker_clock.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using datapath::PortConfig;
using datapath::Snapshot;

constexpr std::chrono::milliseconds kLook{200};
constexpr std::uint64_t kBeaconMs = 1000;
constexpr std::uint64_t kSilentMs = 3 * kBeaconMs;
constexpr std::size_t kProbedMin =
    3;  // Of two that don't hear each other nobody knows which it is.

std::uint64_t now_ms() { return worker_now_ns() / 1'000'000U; }

std::uint64_t random_number() {
    std::uint64_t number = 0;
    return getrandom(&number, sizeof number, 0) == sizeof number ? number : worker_now_ns();
}

// A worker's clock may be a little ahead.
bool is_long_ago(std::uint64_t then_ms, std::uint64_t now) { return then_ms + kSilentMs < now; }

PortIndex find_uplink(const Snapshot& snapshot, const std::string& name) {
    for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
        const PortConfig* port = snapshot.port(PortIndex{i});
        const bool is_it = port != nullptr && port->is_uplink && port->vtep == datapath::kNoVtep;
        if (is_it && port->name == name) { return PortIndex{i}; }
    }
    return kNoPort;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

FailbackRules rules_of(const model::Teaming& teaming) {
    return {teaming.failback, std::uint64_t{teaming.failback_hold_s} * 1000U};
}

std::string role_in(const model::Switch& on, const std::string& uplink) {
    const model::Teaming& team = on.teaming;
    if (has(team.standby, uplink)) { return "standby"; }
    return team.active.empty() || has(team.active, uplink) ? "active" : "unused";
}

}  // namespace

TeamWatch::TeamWatch(asio::io_context& io, datapath::Dataplane& dataplane,
                     const ConfigService& config, Uplinks& uplinks)
    : timer_(io),
      dataplane_(dataplane),
      config_(config),
      uplinks_(uplinks),
      announcer_(io, dataplane),
      ways_(dataplane, announcer_) {
    dataplane_.reach().beacons().set_host(random_number());
    uplinks_.on_look([this] { look(); });
    auto task = run();
    asio::co_spawn(io, std::move(task), asio::detached);
}

void TeamWatch::stop() {
    is_stopped_ = true;
    uplinks_.on_look({});
    timer_.cancel();
    announcer_.stop();
}

asio::awaitable<void> TeamWatch::run() {
    while (!is_stopped_) {
        look();
        if (now_ms() - beacons_ms_ >= kBeaconMs) {
            beacons_ms_ = now_ms();
            std::vector<datapath::BeaconSource> due = beacons_due();
            if (!due.empty()) {
                datapath::SendBeacons command(std::move(due));
                co_await run_on_worker(dataplane_, 0, command);
            }
        }
        if (now_ms() - balanced_ms_ >= VnicWays::kBalanceMs) {
            balanced_ms_ = now_ms();
            if (ways_.balance()) { look(); }
        }
        boost::system::error_code ignored;
        timer_.expires_after(kLook);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void TeamWatch::look() {
    std::map<std::string, Watched> next;
    for (const model::Switch& on : config_.document().switches) { look_at(on, next); }
    watched_ = std::move(next);
    publish();
}

// First all faults, then who is used again: that hangs on the others.
void TeamWatch::look_at(const model::Switch& on, std::map<std::string, Watched>& next) {
    const std::uint64_t now = now_ms();
    Members members;
    for (const std::string& name : on.uplinks) {
        const PortIndex port = find_uplink(dataplane_.snapshot(), name);
        if (port == kNoPort) { continue; }
        Watched& one = next[name] = watched_[name];
        const datapath::Port* device = dataplane_.snapshot().port(port)->device.get();
        if (one.port != port || one.device != device) { one = Watched{}; }
        one.port = port;
        one.device = device;
        one.rules = rules_of(on.teaming);
        if (!uplinks_.fault(name).empty()) {
            one.link_since_ms = 0;
        } else if (one.link_since_ms == 0) {
            one.link_since_ms = now;
        }
        members.emplace_back(name, &one);
    }
    judge_beacons(on, members);
    for (const auto& [name, one] : members) {
        std::string fault = uplinks_.fault(name);
        if (fault.empty() && one->is_silent) { fault = "its beacons reach no other uplink"; }
        one->has_failed = one->health.note(std::move(fault), now);
    }
    for (const auto& [name, one] : members) {
        const Watched* self = one;
        const auto is_other_used = [self](const auto& each) {
            return each.second != self && each.second->health.is_used();
        };
        const auto has_other_failed = [self](const auto& each) {
            return each.second != self && each.second->has_failed;
        };
        one->health.settle(one->rules, std::any_of(members.begin(), members.end(), is_other_used),
                           std::any_of(members.begin(), members.end(), has_other_failed), now);
    }
}

bool TeamWatch::sends_beacons(const model::Switch& on) const {
    return on.teaming.detection == model::FailureDetection::kProbe &&
           on.teaming.lacp == model::Lacp::kOff && on.uplinks.size() >= kProbedMin;
}

// An uplink is cut off from the fabric if it hears none of the others, or none hears it, while at
// least two hear each other. If nobody hears anybody, the fabric does not pass beacons on.
void TeamWatch::judge_beacons(const model::Switch& on, const Members& members) {
    const std::uint64_t now = now_ms();
    const datapath::BeaconsHeard& heard = dataplane_.reach().beacons();
    std::vector<Watched*> cut;
    std::size_t joined = 0;
    for (const auto& [name, one] : members) {
        one->is_silent = false;
        if (!sends_beacons(on) || one->link_since_ms == 0) { continue; }
        const std::uint64_t last_ms =
            std::min(heard.of(one->port), heard.by(one->port)) / 1'000'000U;
        if (is_long_ago(std::max(last_ms, one->link_since_ms), now)) {
            cut.push_back(one);
        } else if (!is_long_ago(last_ms, now)) {
            ++joined;
        }
    }
    if (joined < 2) { return; }
    for (Watched* one : cut) { one->is_silent = true; }
}

// VTEPs work as their uplinks do.
void TeamWatch::publish() {
    datapath::Reach& reach = dataplane_.reach();
    for (const auto& [name, one] : watched_) { reach.set(one.port, one.health.is_used()); }
    for (const datapath::VtepConfig& vtep : dataplane_.snapshot().vteps) {
        reach.set(vtep.port, reach.works(vtep.uplink));
    }
    if (epoch_ != reach.epoch()) {
        epoch_ = reach.epoch();
        for (unsigned i = 0; i < dataplane_.worker_count(); ++i) { dataplane_.wake(i); }
    }
    ways_.look();
}

std::vector<datapath::BeaconSource> TeamWatch::beacons_due() const {
    std::vector<datapath::BeaconSource> due;
    for (const model::Switch& on : config_.document().switches) {
        if (!sends_beacons(on)) { continue; }
        for (const std::string& name : on.uplinks) {
            const auto at = watched_.find(name);
            if (at == watched_.end() || at->second.link_since_ms == 0) { continue; }
            const std::string& host = config_.document().host.name;
            due.push_back({at->second.port, model::default_mac(host + "/" + name + "/beacon")});
        }
    }
    return due;
}

TeamPart TeamWatch::part(const std::string& uplink) const {
    TeamPart part;
    part.role = "unused";
    for (const model::Switch& on : config_.document().switches) {
        if (has(on.uplinks, uplink)) { part.role = role_in(on, uplink); }
    }
    const auto at = watched_.find(uplink);
    if (at == watched_.end()) { return part; }
    part.is_used = at->second.health.is_used();
    part.why = at->second.health.why(at->second.rules, now_ms());
    part.vnics = ways_.count_of(at->second.port);
    part.load_bps = ways_.load_bps(at->second.port);
    return part;
}

std::string TeamWatch::way_of(PortIndex vnic) const {
    const PortConfig* way = dataplane_.snapshot().port(ways_.way_of(vnic));
    return way == nullptr ? "" : way->name;
}

}  // namespace sluice::daemon
