// SPDX-License-Identifier: Apache-2.0
// Announcer: see announcer.h. Its coroutine runs while something waits, and ends then.
#include "src/sluiced/announcer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "sluice/base/limits.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using datapath::kNoDomain;
using std::chrono::milliseconds;

constexpr std::array<milliseconds, 4> kRounds{milliseconds{0}, milliseconds{100},
                                              milliseconds{1000}, milliseconds{3000}};
constexpr milliseconds kPause{20};
constexpr std::size_t kFramesAtOnce = kAnnouncementsPerS * 20 / 1000;

// Where a vNIC is to be announced: a trunk in its first VLANs only.
std::vector<DomainId> domains_of(const datapath::Snapshot& snapshot, PortIndex vnic) {
    const datapath::PortConfig& port = *snapshot.port(vnic);
    const datapath::PortVlan& vlan = port.vlan;
    std::vector<DomainId> ids;
    const auto add = [&](std::uint16_t index) {
        if (index == kNoDomain || ids.size() == kAnnouncedVlanMax) { return; }
        ids.push_back(snapshot.domains[index].id);
    };
    add(vlan.untagged_domain);
    const bool is_leg = port.leg_of != datapath::kNoService;  // Its tags are no VLANs.
    if (vlan.tagged_domains && !is_leg) {
        for (const std::uint16_t index : *vlan.tagged_domains) { add(index); }
    }
    return ids;
}

}  // namespace

Announcer::Announcer(asio::io_context& io, datapath::Dataplane& dataplane)
    : io_(io), timer_(io), dataplane_(dataplane) {}

void Announcer::stop() {
    is_stopped_ = true;
    timer_.cancel();
}

void Announcer::note(PortIndex vnic, bool once) {
    if (is_stopped_) { return; }
    rounds_[vnic.value] = {0, once, Clock::now()};
    start();
}

void Announcer::router_moved(DomainId domain, const MacAddr& pmac) {
    if (is_stopped_) { return; }
    waiting_.push_front({kNoPort, domain, pmac, {}});
    start();
}

void Announcer::start() {
    if (std::exchange(is_running_, true)) { return; }
    auto task = run();
    asio::co_spawn(io_, std::move(task), asio::detached);
}

asio::awaitable<void> Announcer::run() {
    while (!is_stopped_ && !(rounds_.empty() && waiting_.empty())) {
        if (std::vector<PortIndex> due = take_due(); !due.empty()) {
            co_await fill(std::move(due));
        }
        co_await send_some();
        boost::system::error_code ignored;
        timer_.expires_after(kPause);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    is_running_ = false;
}

std::vector<PortIndex> Announcer::take_due() {
    std::vector<PortIndex> due;
    if (!waiting_.empty()) { return due; }  // What was due before is not all out yet.
    const auto now = Clock::now();
    for (auto at = rounds_.begin(); at != rounds_.end();) {
        auto& [vnic, rounds] = *at;
        if (rounds.due > now) {
            ++at;
            continue;
        }
        due.push_back(PortIndex{vnic});
        ++rounds.done;
        if (rounds.is_last || rounds.done == kRounds.size()) {
            at = rounds_.erase(at);
            continue;
        }
        rounds.due = now + kRounds[rounds.done] - kRounds[rounds.done - 1];
        ++at;
    }
    return due;
}

asio::awaitable<void> Announcer::fill(std::vector<PortIndex> due) {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    std::erase_if(due, [&](PortIndex vnic) { return snapshot.port(vnic) == nullptr; });
    Announcements addresses;
    for (const PortIndex vnic : due) {
        const datapath::PortConfig& config = *snapshot.port(vnic);
        const std::vector<DomainId> domains = domains_of(snapshot, vnic);
        for (const DomainId id : domains) { waiting_.push_back({vnic, id, config.mac, {}}); }
        if (domains.size() != 1) { continue; }  // In which of them they are nobody says.
        for (const IpAddr& ip : config.ips) {
            addresses.push_back({vnic, domains.front(), config.mac, ip});
        }
    }
    waiting_.insert(waiting_.end(), addresses.begin(), addresses.end());
    co_await add_learned(std::move(due));
}

asio::awaitable<void> Announcer::add_learned(std::vector<PortIndex> due) {
    LearnedTable& learned = dataplane_.learned();
    std::erase_if(due,
                  [&](PortIndex vnic) { return learned.count(vnic, LearnedKind::kBinding) == 0; });
    if (due.empty()) { co_return; }
    const auto visit = [&](const LearnedRow& row) {
        if (row.key.kind != LearnedKind::kBinding) { return; }
        if (!std::binary_search(due.begin(), due.end(), row.key.port)) { return; }
        const datapath::PortConfig* config = dataplane_.snapshot().port(row.key.port);
        if (config == nullptr || row.value.mac.is_zero()) { return; }
        const IpAddr ip = row.key.ip_address();
        if (std::count(config->ips.begin(), config->ips.end(), ip) > 0) { return; }
        waiting_.push_back({row.key.port, row.key.domain, row.value.mac, ip});
    };
    co_await for_each_learned(learned, visit);
}

asio::awaitable<void> Announcer::send_some() {
    const std::size_t count = std::min(waiting_.size(), kFramesAtOnce);
    if (count == 0) { co_return; }
    Announcements now(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    sent_count_ += count;
    datapath::SendAnnouncements command(std::move(now));
    co_await run_on_worker(dataplane_, 0, command);
}

}  // namespace sluice::daemon
