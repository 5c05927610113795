// SPDX-License-Identifier: Apache-2.0
// PortMigration: where VMs are, who has arrived, what still comes for those that have left; see
// port_migration.h.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "controller-agent/on_helper.h"
#include "src/host/connection_walk.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/port_migration.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using ImportRow = datapath::ImportConnections::Row;

constexpr std::chrono::milliseconds kLook{10};
constexpr std::chrono::milliseconds kStragglerLook{500};

}  // namespace

asio::awaitable<void> PortMigration::set_place(std::string name, std::optional<host::MovedTo> to) {
    const auto at = placed_.find(name);
    const bool is_same = at == placed_.end() ? !to : to && at->second == *to;
    if (is_same) { co_return; }
    if (to) {
        placed_[name] = *to;
    } else {
        placed_.erase(at);
    }
    co_await publish(name);
}

// What runs, with `changed` and every other VM where it is. The copy is large: the helper makes it.
asio::awaitable<void> PortMigration::publish(std::string changed) {
    std::function<std::unique_ptr<datapath::Snapshot>()> copy = [this, &changed] {
        auto next = std::make_unique<datapath::Snapshot>(dataplane_.snapshot());
        ++next->generation;
        const host::PortRegistry& ports = config_.registries().ports;
        if (!placed_.contains(changed)) {
            host::place_port(*next, ports.find(changed), std::nullopt);
        }
        for (const auto& [name, to] : placed_) { host::place_port(*next, ports.find(name), to); }
        return next;
    };
    auto next = co_await agent::on_helper(helper_, std::move(copy));
    generation_ = next->generation;
    const std::uint64_t token = dataplane_.publish(std::move(next));
    co_await wait_until([&] { return dataplane_.is_settled(token); });
    auto doomed = std::make_shared<datapath::Dataplane::Snapshots>(dataplane_.take_reclaimable());
    asio::post(helper_, [doomed = std::move(doomed)] { doomed->clear(); });
}

// A new document was put in force: its snapshot knows of no moves.
asio::awaitable<void> PortMigration::look_at_snapshot() {
    if (placed_.empty() || dataplane_.snapshot().generation == generation_) { co_return; }
    const auto turn = co_await changes_->enter();
    std::erase_if(placed_, [this](const auto& each) {
        return config_.registries().ports.find(each.first) == kNoPort;
    });
    const std::string nobody;
    if (!placed_.empty()) { co_await publish(nobody); }
}

void PortMigration::announce(const std::string& port) {
    const PortIndex index = config_.registries().ports.find(port);
    if (index != kNoPort && dataplane_.snapshot().port(index) != nullptr) {
        announcer_.moved(index);
    }
}

void PortMigration::start_watch() {
    if (std::exchange(is_running_, true)) { return; }
    auto task = watch();
    asio::co_spawn(io_, std::move(task), asio::detached);
}

// Runs while the VM of some port is elsewhere, or was and has not come up here yet.
asio::awaitable<void> PortMigration::watch() {
    const auto is_awaited = [](const auto& each) { return each.second.is_awaited; };
    while (!is_stopped_) {
        co_await look_at_snapshot();
        co_await look_for_arrivals();
        if (!stragglers_.empty() && Clock::now() - counted_ >= kStragglerLook) {
            counted_ = Clock::now();
            co_await look_for_stragglers();
        }
        const bool awaits = std::any_of(arrivals_.begin(), arrivals_.end(), is_awaited);
        if (!awaits && placed_.empty()) { break; }
        boost::system::error_code ignored;
        timer_.expires_after(kLook);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    is_running_ = false;
}

bool PortMigration::has_arrived(const std::string& port) const {
    const PortIndex index = config_.registries().ports.find(port);
    const datapath::PortConfig* config = dataplane_.snapshot().port(index);
    return config != nullptr && config->device->is_up();
}

// A port that has gone from the document is nobody's concern any more.
asio::awaitable<void> PortMigration::look_for_arrivals() {
    std::erase_if(arrivals_, [this](const auto& each) {
        return config_.registries().ports.find(each.first) == kNoPort;
    });
    std::vector<std::string> arrived;
    for (auto& [name, arrival] : arrivals_) {
        if (!arrival.is_awaited || !has_arrived(name)) { continue; }
        arrival.is_awaited = false;
        arrived.push_back(name);
    }
    for (const std::string& name : arrived) {
        if (placed_.contains(name)) {
            const auto turn = co_await changes_->enter();
            const std::optional<host::MovedTo> here;
            co_await set_place(name, here);
            co_await take_home(name);
        }
        announce(name);
    }
}

// Connections between a VM that has just come and those of this host: its side was in the fabric.
asio::awaitable<void> PortMigration::take_home(std::string name) {
    const Result<PortPlace> found = place_of(name);
    if (!found) { co_return; }
    const PortPlace& place = found.value();
    const auto& own = place.snapshot.port(place.port)->ips;
    std::set<IpAddr> addresses(own.begin(), own.end());
    const auto add = [&](const LearnedRow& row) {
        const bool is_its = row.key.kind == LearnedKind::kBinding && row.key.port == place.port;
        if (is_its) { addresses.insert(row.key.ip_address()); }
    };
    co_await for_each_learned(std::as_const(dataplane_).learned(), add);
    host::ConnectionWalk::Options options;
    options.now_ns = place.now_ns;
    host::ConnectionWalk walk(dataplane_.connections(), host::ConnectionFilter{}, options);
    std::vector<ImportRow> rows;
    const auto take = [&](const Connection& record, const host::ConnectionView& view) {
        if (is_closed(record.state) || fabric_of(place, record.tuple.domain) == kNoPort) { return; }
        const bool is_opener = addresses.contains(view.source);
        const PortIndex there = is_opener ? record.opener_port : record.responder_port;
        const PortIndex other = is_opener ? record.responder_port : record.opener_port;
        const bool is_its = is_opener || addresses.contains(view.destination);
        if (!is_its || is_local(place, there) || !is_local(place, other)) { return; }
        PortConnection row{record, {}};
        if (record.redirected != 0) {
            row.pins = dataplane_.pins().of(ConnectionHandle{walk.cursor() - 1U, 0});
        }
        rows.push_back(row_moved(place, row,
                                 is_opener ? ConnectionSide::kOpener : ConnectionSide::kResponder,
                                 place.port, true));
    };
    while (walk.step(take)) { co_await breathe(); }
    datapath::ImportConnections command(std::move(rows), {});
    co_await run_on_worker(dataplane_, 0, command);
}

asio::awaitable<void> PortMigration::look_for_stragglers() {
    std::vector<std::string> names;
    for (const auto& [name, each] : stragglers_) { names.push_back(name); }
    for (const std::string& name : names) {
        const PortIndex index = config_.registries().ports.find(name);
        const datapath::PortConfig* config = dataplane_.snapshot().port(index);
        if (config == nullptr || !placed_.contains(name)) {
            stragglers_.erase(name);
            left_.erase(name);
            continue;
        }
        const MacAddr mac = config->mac;
        const auto looks = co_await run_on_workers<datapath::CountStragglers>(dataplane_, mac);
        const auto at = stragglers_.find(name);
        if (at == stragglers_.end()) { continue; }
        at->second.flows = at->second.packets = 0;
        for (const auto& look : looks) {
            at->second.flows += look->flows;
            at->second.packets += look->packets;
            if (look->flows == 0) { continue; }
            const auto last = Clock::now() - std::chrono::milliseconds(look->idle_ms);
            at->second.last = std::max(at->second.last, last);
        }
    }
}

}  // namespace sluice::daemon
