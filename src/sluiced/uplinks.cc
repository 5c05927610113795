// SPDX-License-Identifier: Apache-2.0
// Uplinks: see uplinks.h. A device that workers may use is taken away first (set_device), and
// closed after a grace period.
#include "src/sluiced/uplinks.h"

#include <net/if.h>
#include <spdlog/spdlog.h>

#include "sluice/model/resolve.h"
#include "src/sluiced/on_helper.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = relay::asio;
using datapath::Ethdev;
using datapath::EthdevPort;

constexpr std::chrono::milliseconds kLook{1000};
constexpr std::uint16_t kMtuUnused = model::Switch{}.mtu;  // Of an uplink without a switch.

std::uint16_t mtu_of(const model::Document& document, const std::string& uplink) {
    for (const model::Switch& each : document.switches) {
        for (const std::string& name : each.uplinks) {
            if (name == uplink) { return each.mtu; }
        }
    }
    return kMtuUnused;
}

}  // namespace

Uplinks::Uplinks(asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool)
    : io_(io),
      dataplane_(dataplane),
      pool_(pool),
      links_(io, [this] { look_after_all(); }),
      timer_(io) {
    tick();
}

// `wanted_` holds the present object of an uplink whose device stays, and new ones.
asio::awaitable<Status> Uplinks::prepare(const model::Document& document) {
    wanted_.clear();
    for (const model::Uplink& uplink : document.uplinks) {
        auto wanted = std::make_shared<Uplink>();
        wanted->name = uplink.name;
        wanted->device = uplink.device;
        wanted->mtu = mtu_of(document, uplink.name);
        const Status done = co_await prepare_one(std::move(wanted));
        if (done) { continue; }
        discard();
        co_return Error{done.error().code, "uplink " + uplink.name + ": " + done.error().message,
                        "uplink " + uplink.name};
    }
    co_return Ok{};
}

asio::awaitable<Status> Uplinks::prepare_one(Shared wanted) {
    const auto at = uplinks_.find(wanted->name);
    if (at != uplinks_.end() && at->second->device == wanted->device) {
        const Shared present = at->second;
        wanted_.emplace(wanted->name, present);
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
        auto wanted = std::make_shared<Uplink>();
        wanted->name = uplink.name;
        wanted->device = uplink.device;
        wanted->mtu = mtu_of(document, uplink.name);
        wanted_.emplace(uplink.name, std::move(wanted));
    }
}

std::shared_ptr<datapath::Port> Uplinks::device(const std::string& uplink) const {
    const auto at = wanted_.find(uplink);
    return at == wanted_.end() ? nullptr : at->second->port;
}

void Uplinks::commit() {
    for (const auto& [name, uplink] : uplinks_) {
        const auto kept = wanted_.find(name);
        if (kept != wanted_.end() && kept->second == uplink) { continue; }
        uplink->is_removed = true;
        ++closing_;
        asio::awaitable<void> closing = close_removed(uplink);
        relay::spawn(io_.get_executor(), std::move(closing));
    }
    uplinks_ = std::move(wanted_);
    wanted_.clear();
    former_mtus_.clear();
    look_after_all();
}

// What is only prepared was never seen by a worker.
void Uplinks::discard() {
    for (auto& [name, uplink] : wanted_) {
        if (uplinks_.contains(name) && uplinks_.at(name) == uplink) { continue; }
        asio::post(drivers_, [ethdev = std::move(uplink->ethdev)]() mutable { ethdev.reset(); });
    }
    wanted_.clear();
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
    links_.stop();
    drivers_.join();
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
    return state;
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
    uplink.port->set_carrier(fault.empty());
    set_why(uplink, fault);
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
    return link->has_carrier ? "" : what + "has no carrier";
}

void Uplinks::tick() {
    look_after_all();
    timer_.expires_after(kLook);
    timer_.async_wait([this](const relay::error_code& error) {
        if (!error) { tick(); }
    });
}

void Uplinks::look_after_all() {
    for (const auto& [name, uplink] : uplinks_) { look_after(uplink); }
}

void Uplinks::look_after(const Shared& uplink) {
    if (uplink->is_busy) { return; }
    if (uplink->ethdev == nullptr) {
        uplink->is_busy = true;
        asio::awaitable<void> opening = open_again(uplink);
        relay::spawn(io_.get_executor(), std::move(opening));
        return;
    }
    const std::string fault = link_fault(*uplink);
    uplink->port->set_carrier(fault.empty());
    set_why(*uplink, fault);
    if (!fault.ends_with("is gone")) { return; }
    uplink->is_busy = true;
    asio::awaitable<void> closing = close_lost(uplink);
    relay::spawn(io_.get_executor(), std::move(closing));
}

asio::awaitable<void> Uplinks::close(Shared uplink) {
    uplink->port->set_device(EthdevPort::kNoDevice, false, false);
    const std::uint64_t token = dataplane_.start_grace();
    const datapath::Dataplane* dataplane = &dataplane_;
    co_await wait_until([dataplane, token] { return dataplane->is_settled(token); });
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
