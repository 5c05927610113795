// SPDX-License-Identifier: Apache-2.0
// Uplinks: see uplinks.h. A device that workers may use is taken away first (set_device), and
// closed after a grace period.
#include "src/sluiced/uplinks.h"

#include <net/if.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller-agent/on_helper.h"
#include "sluice/model/resolve.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = relay::asio;
using agent::on_helper;
using datapath::Ethdev;
using datapath::EthdevPort;

constexpr std::chrono::milliseconds kLook{1000};
constexpr std::chrono::milliseconds kQuickLook{50};        // A lost link must be known in 100 ms.
constexpr std::uint16_t kMtuUnused = model::Switch{}.mtu;  // Of an uplink without a switch.

// Packet sockets: the kernel gives each its copy of a frame.
bool may_be_shared(const std::string& device) {
    return model::device_name(device).starts_with("net_af_packet");
}

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Of the switch, or of the tunnels of a VTEP there, whichever is larger.
std::uint16_t mtu_of(const model::Document& document, const std::string& uplink,
                     const LagPlan& lag) {
    std::uint16_t mtu = 0;
    for (const model::Switch& each : document.switches) {
        if (has(each.uplinks, uplink)) { mtu = each.mtu; }
    }
    for (const model::Vtep& vtep : document.vteps) {
        if (vtep.uplink == uplink || has(lag.members, vtep.uplink)) {
            mtu = std::max(mtu, vtep.mtu);
        }
    }
    return mtu == 0 ? kMtuUnused : mtu;
}

}  // namespace

Uplinks::Uplinks(asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool)
    : io_(io),
      dataplane_(dataplane),
      pool_(pool),
      links_(io, [this] { look_after_all(); }),
      timer_(io),
      quick_timer_(io) {
    tick();
    look_quickly();
}

Uplinks::Shared Uplinks::describe(const model::Document& document, const model::Uplink& uplink) {
    auto wanted = std::make_shared<Uplink>();
    wanted->name = uplink.name;
    wanted->device = uplink.device;
    wanted->lag = host::lag_of(document, uplink.name);
    wanted->mtu = mtu_of(document, uplink.name, wanted->lag);
    return wanted;
}

// `wanted_` holds the present object of an uplink whose device stays, and new ones.
asio::awaitable<Status> Uplinks::prepare(const model::Document& document) {
    wanted_.clear();
    for (const model::Uplink& uplink : document.uplinks) {
        Shared wanted = describe(document, uplink);
        const Status done = co_await prepare_one(std::move(wanted));
        if (done) { continue; }
        discard();
        co_return Error{done.error().code, "uplink " + uplink.name + ": " + done.error().message,
                        "uplink " + uplink.name};
    }
    Status joined = make_lags();
    if (!joined) { discard(); }
    co_return joined;
}

asio::awaitable<Status> Uplinks::prepare_one(Shared wanted) {
    const auto at = uplinks_.find(wanted->name);
    if (at != uplinks_.end() && at->second->device == wanted->device) {
        const Shared present = at->second;
        const bool keeps_port = present->lag == wanted->lag;
        if (!keeps_port) { wanted->former = present; }
        wanted_.emplace(wanted->name, keeps_port ? present : wanted);
        if (present->mtu == wanted->mtu) { co_return Ok{}; }
        if (const std::shared_ptr<Ethdev> ethdev = present->ethdev) {
            const std::uint16_t mtu = wanted->mtu;
            std::function<Status()> work = [ethdev, mtu] { return ethdev->set_mtu(mtu); };
            Status done = co_await on_helper(drivers_, std::move(work));
            if (!done) { co_return std::move(done); }
        }
        former_mtus_.emplace_back(present, present->mtu);
        present->mtu = wanted->mtu;
        co_return Ok{};
    }
    std::string device = wanted->device;
    Opened opened = co_await open(std::move(device), wanted->mtu);
    if (!opened) { co_return opened.error(); }
    plug_in(*wanted, std::move(opened).value());
    wanted_.emplace(wanted->name, std::move(wanted));
    co_return Ok{};
}

void Uplinks::prepare_later(const model::Document& document) {
    wanted_.clear();
    for (const model::Uplink& uplink : document.uplinks) {
        wanted_.emplace(uplink.name, describe(document, uplink));
    }
    if (const Status joined = make_lags(); !joined) { spdlog::error("{}", joined.error().message); }
}

Status Uplinks::make_lags() {
    wanted_lags_.clear();
    for (const auto& [name, uplink] : wanted_) {
        const LagPlan& plan = uplink->lag;
        if (!plan.is_lag() || wanted_lags_.contains(plan.switch_name)) { continue; }
        if (plan.members.size() > datapath::LagPort::kMemberMax) {
            return Error{Errc::kLimit,
                         "switch " + plan.switch_name + ": lacp joins " +
                             std::to_string(plan.members.size()) + " uplinks, expected at most " +
                             std::to_string(datapath::LagPort::kMemberMax),
                         "switch " + plan.switch_name};
        }
        wanted_lags_.emplace(plan.switch_name, lag_for(plan));
    }
    return Ok{};
}

// The present one, if all its members keep their ports.
std::shared_ptr<Lag> Uplinks::lag_for(const LagPlan& plan) const {
    const auto present = lags_.find(plan.switch_name);
    bool is_same = present != lags_.end() && present->second->plan() == plan;
    datapath::LagPort::Members ports;
    for (const std::string& member : plan.members) {
        const Shared& wanted = wanted_.at(member);
        ports.push_back(wanted->port);
        is_same = is_same && uplinks_.contains(member) && uplinks_.at(member) == wanted;
    }
    return is_same ? present->second : std::make_shared<Lag>(plan, std::move(ports), pool_);
}

Lag* Uplinks::find_lag(const Uplink& uplink) const {
    const auto at = lags_.find(uplink.lag.switch_name);
    return at == lags_.end() || at->second->plan() != uplink.lag ? nullptr : at->second.get();
}

std::shared_ptr<datapath::Port> Uplinks::device(const std::string& uplink) const {
    const auto at = wanted_.find(uplink);
    if (at == wanted_.end()) { return nullptr; }
    const LagPlan& lag = at->second->lag;
    if (!lag.is_lag()) { return at->second->port; }
    return lag.members.front() == uplink ? wanted_lags_.at(lag.switch_name)->port() : nullptr;
}

void Uplinks::commit() {
    for (const auto& [name, uplink] : uplinks_) {
        const auto kept = wanted_.find(name);
        if (kept != wanted_.end() && kept->second == uplink) { continue; }
        uplink->is_removed = true;
        ++closing_;
        const bool has_heir = kept != wanted_.end() && kept->second->former == uplink;
        if (has_heir) { kept->second->is_busy = true; }
        asio::awaitable<void> closing =
            has_heir ? hand_over(uplink, kept->second) : close_removed(uplink);
        relay::spawn(io_.get_executor(), std::move(closing));
    }
    uplinks_ = std::move(wanted_);
    wanted_.clear();
    lags_ = std::move(wanted_lags_);
    wanted_lags_.clear();
    former_mtus_.clear();
    look_after_all();
    look_quickly();  // There may have been none to look at so far.
}

// What is only prepared was never seen by a worker.
void Uplinks::discard() {
    for (auto& [name, uplink] : wanted_) {
        if (uplinks_.contains(name) && uplinks_.at(name) == uplink) { continue; }
        asio::post(drivers_, [ethdev = std::move(uplink->ethdev)]() mutable { ethdev.reset(); });
    }
    wanted_.clear();
    wanted_lags_.clear();
    for (const auto& [uplink, mtu] : former_mtus_) {
        uplink->mtu = mtu;
        if (uplink->ethdev == nullptr) { continue; }
        asio::post(drivers_, [ethdev = uplink->ethdev, size = mtu] {
            static_cast<void>(ethdev->set_mtu(size));
        });
    }
    former_mtus_.clear();
}

asio::awaitable<void> Uplinks::finish_removal() {
    co_await wait_until([this] { return closing_ == 0; });
}

void Uplinks::stop() {
    timer_.cancel();
    quick_timer_.cancel();
    links_.stop();
    drivers_.join();
    lags_.clear();
    wanted_lags_.clear();
    uplinks_.clear();
    wanted_.clear();
}

UplinkState Uplinks::state(const std::string& uplink) const {
    const auto at = uplinks_.find(uplink);
    if (at == uplinks_.end()) { return {}; }
    UplinkState state;
    state.device = at->second->device;
    state.why = at->second->port->is_up() ? "" : at->second->why;
    if (const Ethdev* ethdev = at->second->ethdev.get()) {
        state.mac = ethdev->mac();
        state.mtu = ethdev->mtu();
        state.figures = ethdev->figures();
        state.speed_mbps =
            link_speed_mbps(std::string(model::device_interface(at->second->device)));
    }
    if (const Lag* lag = find_lag(*at->second)) { state.lag = lag->state(uplink); }
    return state;
}

std::string Uplinks::fault(const std::string& uplink) const {
    const auto at = uplinks_.find(uplink);
    if (at == uplinks_.end()) { return "there is no such uplink"; }
    const Lag* lag = find_lag(*at->second);
    if (lag != nullptr && lag->plan().members.front() == uplink) { return lag->fault(); }
    return at->second->port->is_up() ? "" : at->second->why;
}

asio::awaitable<Uplinks::Opened> Uplinks::open(std::string device, std::uint16_t mtu) {
    std::function<Opened()> work = [this, device = std::move(device), mtu]() -> Opened {
        auto opened = Ethdev::open(device, mtu, pool_);
        if (!opened) { return opened.error(); }
        return std::shared_ptr<Ethdev>(std::move(opened).value());
    };
    co_return co_await on_helper(drivers_, std::move(work));
}

void Uplinks::plug_in(Uplink& uplink, std::shared_ptr<Ethdev> ethdev) {
    uplink.ethdev = std::move(ethdev);
    uplink.port->set_device(uplink.ethdev->port_id(), uplink.ethdev->wants_one_buffer(),
                            !uplink.ethdev->is_over_kernel());
    const std::string fault = link_fault(uplink);
    set_link(uplink, fault);
}

void Uplinks::set_link(Uplink& uplink, const std::string& fault) {
    uplink.port->set_carrier(fault.empty());
    set_why(uplink, fault);
    Lag* lag = find_lag(uplink);
    if (lag == nullptr) { return; }
    lag->set_link(uplink.name, fault.empty(), uplink.ethdev ? uplink.ethdev->mac() : MacAddr{});
}

// Why frames can't be sent though the device is open; empty if they can.
std::string Uplinks::link_fault(const Uplink& uplink) const {
    const std::string interface(model::device_interface(uplink.device));
    if (interface.empty()) { return uplink.ethdev->has_link() ? "" : "its link is down"; }
    const std::string what = "interface \"" + interface + "\" ";
    if (if_nametoindex(interface.c_str()) != uplink.ethdev->interface_index()) {
        return what + "is gone";
    }
    const LinkState* link = links_.find(interface);  // May be a moment behind.
    if (link == nullptr) { return what + "has said nothing of its link yet"; }
    if (!link->is_set_up) { return what + "is set down"; }
    return link->has_carrier && has_carrier(interface) ? "" : what + "has no carrier";
}

void Uplinks::tick() {
    look_after_all();
    timer_.expires_after(kLook);
    timer_.async_wait([this](const relay::error_code& error) {
        if (!error) { tick(); }
    });
}

bool Uplinks::has_link(const Uplink& uplink) {
    const std::string interface(model::device_interface(uplink.device));
    return interface.empty() ? uplink.ethdev->has_link() : has_carrier(interface);
}

// Carriers that changed, and what LACP has to say.
void Uplinks::look_quickly() {
    bool has_changed = false;
    for (const auto& [name, uplink] : uplinks_) {
        if (uplink->is_busy || uplink->ethdev == nullptr) { continue; }
        if (has_link(*uplink) == uplink->port->is_up()) { continue; }
        look_after(uplink);
        has_changed = true;
    }
    for (const auto& [name, lag] : lags_) { has_changed |= lag->tick(); }
    if (has_changed && tell_) { tell_(); }
    quick_timer_.expires_after(uplinks_.empty() ? kLook : kQuickLook);
    quick_timer_.async_wait([this](const relay::error_code& error) {
        if (!error) { look_quickly(); }
    });
}

void Uplinks::look_after_all() {
    for (const auto& [name, uplink] : uplinks_) { look_after(uplink); }
    if (tell_) { tell_(); }
}

void Uplinks::resume() {
    is_held_ = false;
    look_after_all();
}

void Uplinks::open_ahead() {
    for (const auto& [name, uplink] : uplinks_) {
        if (!may_be_shared(uplink->device)) { continue; }
        auto opened = Ethdev::open(uplink->device, uplink->mtu, pool_);
        if (!opened) {
            spdlog::warn("uplink {}: {}", name, opened.error().message);
            continue;
        }
        uplink->ahead = std::move(opened).value();
    }
}

void Uplinks::plug_in_opened() {
    links_.read();
    for (const auto& [name, uplink] : uplinks_) {
        if (uplink->ahead == nullptr) { continue; }
        uplink->ahead->discard_received();
        plug_in(*uplink, std::move(uplink->ahead));
    }
}

asio::awaitable<void> Uplinks::release_exclusive() {
    for (const auto& [name, uplink] : uplinks_) {
        if (uplink->ethdev == nullptr || may_be_shared(uplink->device)) { continue; }
        co_await close(uplink);
    }
}

bool Uplinks::is_open(const std::string& uplink) const {
    const auto at = uplinks_.find(uplink);
    return at == uplinks_.end() || at->second->ethdev != nullptr;
}

std::vector<std::string> Uplinks::up() const {
    std::vector<std::string> names;
    for (const auto& [name, uplink] : uplinks_) {
        if (uplink->port->is_up()) { names.push_back(name); }
    }
    return names;
}

void Uplinks::look_after(const Shared& uplink) {
    if (uplink->is_busy || is_held_) { return; }
    if (uplink->ethdev == nullptr) {
        uplink->is_busy = true;
        asio::awaitable<void> opening = open_again(uplink);
        relay::spawn(io_.get_executor(), std::move(opening));
        return;
    }
    const std::string fault = link_fault(*uplink);
    set_link(*uplink, fault);
    if (!fault.ends_with("is gone")) { return; }
    uplink->is_busy = true;
    asio::awaitable<void> closing = close_lost(uplink);
    relay::spawn(io_.get_executor(), std::move(closing));
}

asio::awaitable<void> Uplinks::withdraw(Shared uplink) {
    uplink->port->set_device(EthdevPort::kNoDevice, false, false);
    const std::uint64_t token = dataplane_.start_grace();
    const datapath::Dataplane* dataplane = &dataplane_;
    co_await wait_until([dataplane, token] { return dataplane->is_settled(token); });
}

// A port that joins a LAG, or leaves it, may be polled by another worker: it is another port, and
// gets the device when nobody uses the first one any more.
asio::awaitable<void> Uplinks::hand_over(Shared from, Shared to) {
    co_await withdraw(from);
    to->former.reset();
    to->is_busy = false;
    --closing_;
    if (auto ethdev = std::move(from->ethdev)) { plug_in(*to, std::move(ethdev)); }
    look_after_all();
}

asio::awaitable<void> Uplinks::close(Shared uplink) {
    co_await withdraw(uplink);
    auto ethdev = std::move(uplink->ethdev);
    std::function<Status()> work = [&ethdev]() -> Status {
        ethdev.reset();
        return Ok{};
    };
    static_cast<void>(co_await on_helper(drivers_, std::move(work)));
}

asio::awaitable<void> Uplinks::close_lost(Shared uplink) {
    co_await close(uplink);
    uplink->is_busy = false;
}

asio::awaitable<void> Uplinks::close_removed(Shared uplink) {
    co_await close(uplink);
    --closing_;
}

asio::awaitable<void> Uplinks::open_again(Shared uplink) {
    const std::uint16_t mtu = uplink->mtu;
    std::string device = uplink->device;
    Opened opened = co_await open(std::move(device), mtu);
    uplink->is_busy = false;
    if (opened && !uplink->is_removed && uplink->mtu != mtu) {  // Changed meanwhile: the next look.
        auto stale = std::move(opened).value();
        asio::post(drivers_, [ethdev = std::move(stale)]() mutable { ethdev.reset(); });
        co_return;
    }
    if (!opened) {
        set_why(*uplink, opened.error().message);
        co_return;
    }
    if (!uplink->is_removed) {
        plug_in(*uplink, std::move(opened).value());
        co_return;
    }
    auto ethdev = std::move(opened).value();  // Never seen by a worker.
    asio::post(drivers_, [ethdev = std::move(ethdev)]() mutable { ethdev.reset(); });
}

void Uplinks::set_why(Uplink& uplink, std::string why) {
    if (uplink.why == why) { return; }
    uplink.why = std::move(why);
    spdlog::info("uplink {}: {}", uplink.name, uplink.why.empty() ? "up" : uplink.why);
}

}  // namespace sluice::daemon
