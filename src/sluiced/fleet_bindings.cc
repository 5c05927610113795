// SPDX-License-Identifier: Apache-2.0
// Fleet bindings: see fleet_bindings.h.
#include "src/sluiced/fleet_bindings.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "controller-agent/fleet/segment_name.h"
#include "datapath/remote_index.h"
#include "src/sluiced/worker_clock.h"

namespace sluice::daemon {
namespace {

MacAddr mac_of(std::uint64_t number) noexcept {
    MacAddr mac;
    for (std::size_t i = mac.bytes.size(); i > 0; --i, number >>= 8U) {
        mac.bytes[i - 1] = static_cast<std::uint8_t>(number);
    }
    return mac;
}

template <typename T>
bool contains(const std::vector<T>& items, const T& item) {
    return std::find(items.begin(), items.end(), item) != items.end();
}

/// Whether some key of `map` is in `set`: the smaller one is walked.
bool meet(const std::map<IpAddr, std::size_t>& map, const std::set<IpAddr>& set) {
    if (map.size() < set.size()) {
        return std::any_of(map.begin(), map.end(),
                           [&](const auto& each) { return set.contains(each.first); });
    }
    return std::any_of(set.begin(), set.end(), [&](const IpAddr& ip) { return map.contains(ip); });
}

}  // namespace

FleetBindings::FleetBindings(datapath::Dataplane& dataplane, boost::asio::any_io_executor executor)
    : dataplane_(dataplane), executor_(std::move(executor)) {
    note_domains();
    static_cast<void>(take_changed_remotes());
}

void FleetBindings::change(std::vector<fleet::BindingChange> changes) {
    if (changes.empty()) { return; }
    queue_.push_back(std::move(changes));
    run_changes();
    end_turn();
}

void FleetBindings::on_snapshot() {
    note_domains();
    const std::set<IpAddr> changed = take_changed_remotes();
    for (auto& [name, segment] : segments_) {
        const bool was_here = segment.is_here;
        place(name, segment);
        if (segment.is_here != was_here || (segment.has_vni && meet(segment.vteps, changed))) {
            stale_[name] = 0;
        }
    }
    run_stale();
    end_turn();
}

void FleetBindings::turn() {
    left_ = kFleetBindingSlice;
    run_stale();
    run_changes();
    end_turn();
}

// What was taken of the turn's budget is given back by the next one.
void FleetBindings::end_turn() {
    if (std::exchange(has_written_, false)) { dataplane_.note_fleet_change(); }
    if (is_posted_ || (is_settled() && left_ == kFleetBindingSlice)) { return; }
    is_posted_ = true;
    boost::asio::post(executor_, [this, alive = std::weak_ptr<char>(alive_)] {
        if (alive.expired()) { return; }
        is_posted_ = false;
        turn();
    });
}

void FleetBindings::run_changes() {
    for (; left_ > 0 && !queue_.empty(); --left_) {
        std::vector<fleet::BindingChange>& batch = queue_.front();
        const fleet::BindingChange change = std::move(batch[queue_at_++]);
        make(change);
        if (queue_at_ < batch.size()) { continue; }
        queue_.pop_front();
        queue_at_ = 0;
    }
}

void FleetBindings::run_stale() {
    while (left_ > 0 && !stale_.empty()) {
        const auto first = stale_.begin();
        const Segment& segment = segments_.at(first->first);
        auto at = segment.entries.lower_bound(first->second);
        for (; left_ > 0 && at != segment.entries.end(); ++at, --left_) {
            put(segment, mac_of(at->first), at->second);
        }
        if (at != segment.entries.end()) {
            first->second = at->first;
        } else {
            stale_.erase(first);
        }
    }
}

void FleetBindings::make(const fleet::BindingChange& change) {
    const fleet::FleetBinding& binding = change.binding;
    const bool is_mac = !binding.mac.is_group() && !binding.mac.is_zero();
    Segment* segment = is_mac ? segment_of(binding.segment) : nullptr;
    if (segment == nullptr) {
        ++refused_;
    } else if (change.is_gone) {
        remove(*segment, binding.mac);
    } else {
        set(*segment, binding);
    }
}

void FleetBindings::set(Segment& segment, const fleet::FleetBinding& binding) {
    const auto at = segment.entries.find(binding.mac.number());
    if (at == segment.entries.end() && size_ >= kFleetRowMax) {
        ++refused_;
        return;
    }
    Entry& entry = segment.entries[binding.mac.number()];
    ++segment.vteps[binding.vtep];
    if (at == segment.entries.end()) {
        ++size_;
    } else {
        const auto behind = segment.vteps.find(entry.vtep);
        if (--behind->second == 0) { segment.vteps.erase(behind); }
    }
    for (const IpAddr& ip : entry.ips) {
        if (!contains(binding.ips, ip)) { release(segment.domain, ip, binding.mac); }
    }
    entry = {binding.vtep, binding.ips};
    put(segment, binding.mac, entry);
}

void FleetBindings::remove(Segment& segment, const MacAddr& mac) {
    const auto at = segment.entries.find(mac.number());
    if (at == segment.entries.end()) { return; }
    const auto behind = segment.vteps.find(at->second.vtep);
    if (--behind->second == 0) { segment.vteps.erase(behind); }
    forget(LearnedKey::mac(segment.domain, mac));
    for (const IpAddr& ip : at->second.ips) { release(segment.domain, ip, mac); }
    segment.entries.erase(at);
    --size_;
}

void FleetBindings::put(const Segment& segment, const MacAddr& mac, const Entry& entry) {
    if (segment.domain.value == 0) { return; }
    const std::uint16_t remote = segment.has_vni ? remote_of(entry.vtep) : std::uint16_t{0};
    const bool counts = segment.is_here && (!segment.has_vni || remote != 0);
    if (counts && segment.has_vni) {
        LearnedValue value;
        value.remote = remote;
        write(LearnedKey::mac(segment.domain, mac), value);
    } else {
        forget(LearnedKey::mac(segment.domain, mac));
    }
    for (const IpAddr& ip : entry.ips) {
        counts ? claim(segment.domain, ip, mac) : release(segment.domain, ip, mac);
    }
}

void FleetBindings::claim(DomainId domain, const IpAddr& ip, const MacAddr& mac) {
    const LearnedKey key = LearnedKey::neighbour(domain, ip);
    const auto row = dataplane_.fleet().find(key, 0);
    if (row && row->mac == mac) { return; }
    if (row) {
        std::vector<MacAddr>& others = waiting_[{domain, ip}];
        if (contains(others, mac)) { return; }
        others.push_back(row->mac);
    }
    LearnedValue value;
    value.mac = mac;
    write(key, value);
}

void FleetBindings::release(DomainId domain, const IpAddr& ip, const MacAddr& mac) {
    const LearnedKey key = LearnedKey::neighbour(domain, ip);
    const auto others = waiting_.find({domain, ip});
    const bool has_waited = others != waiting_.end() && std::erase(others->second, mac) > 0;
    const auto row = dataplane_.fleet().find(key, 0);
    if (!has_waited && row && row->mac == mac) {
        if (others == waiting_.end()) { return forget(key); }
        LearnedValue value;
        value.mac = others->second.back();
        others->second.pop_back();
        write(key, value);
    }
    if (others != waiting_.end() && others->second.empty()) { waiting_.erase(others); }
}

void FleetBindings::write(const LearnedKey& key, const LearnedValue& value) {
    const LearnResult result = dataplane_.fleet().learn(key, value, 0, worker_now_ns());
    if (result == LearnResult::kFull) { ++refused_; }
    has_written_ = has_written_ || result == LearnResult::kNew || result == LearnResult::kMoved;
}

void FleetBindings::forget(const LearnedKey& key) {
    if (dataplane_.fleet().forget(key)) { has_written_ = true; }
}

std::uint16_t FleetBindings::remote_of(const IpAddr& vtep) const noexcept {
    const datapath::RemoteIndex* index = dataplane_.snapshot().remote_index.get();
    if (index == nullptr || vtep.family == IpFamily::kNone) { return 0; }
    return index->find(vtep.family, vtep.is_v6() ? vtep.bytes.data() : &vtep.bytes[12]);
}

FleetBindings::Segment* FleetBindings::segment_of(const std::string& name) {
    const auto known = segments_.find(name);
    if (known != segments_.end()) { return &known->second; }
    const auto parsed = fleet::parse_segment_name(name);
    if (!parsed) { return nullptr; }
    Segment& segment = segments_[name];
    segment.has_vni = parsed->segment.vni != 0;
    place(name, segment);
    return &segment;
}

// The id of a domain is its own for good: rows are found again after it was gone for a while.
void FleetBindings::place(const std::string& name, Segment& segment) const {
    const auto at = domains_.find(name);
    segment.is_here = at != domains_.end();
    if (segment.is_here) { segment.domain = at->second; }
}

void FleetBindings::note_domains() {
    domains_.clear();
    for (const datapath::Domain& domain : dataplane_.snapshot().domains) {
        domains_.emplace(fleet::segment_name(domain.switch_name, {domain.vni, domain.vlan}),
                         domain.id);
    }
}

// VTEPs that came, went, or have another number than before.
std::set<IpAddr> FleetBindings::take_changed_remotes() {
    const auto& remotes = dataplane_.snapshot().remotes;
    std::vector<IpAddr> now(remotes.size());
    for (std::size_t i = 1; i < remotes.size(); ++i) {
        if (remote_of(remotes[i].ip) == i) { now[i] = remotes[i].ip; }
    }
    std::set<IpAddr> changed;
    for (std::size_t i = 0; i < std::max(now.size(), remotes_.size()); ++i) {
        const IpAddr before = i < remotes_.size() ? remotes_[i] : IpAddr{};
        const IpAddr after = i < now.size() ? now[i] : IpAddr{};
        if (!(before == after)) { changed.insert({before, after}); }
    }
    remotes_ = std::move(now);
    return changed;
}

}  // namespace sluice::daemon
