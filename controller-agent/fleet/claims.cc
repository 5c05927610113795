// SPDX-License-Identifier: Apache-2.0
// Claims: see claims.h.
#include "controller-agent/fleet/claims.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325ULL, kFnvPrime = 0x100000001b3ULL;
const char* const kRestoredHost = "";  // No host has that name.

void mix(std::uint64_t& digest, const IpAddr& ip) {
    digest = (digest ^ static_cast<std::uint8_t>(ip.family)) * kFnvPrime;
    for (const std::uint8_t byte : ip.bytes) { digest = (digest ^ byte) * kFnvPrime; }
}

// Of what the fleet table is told; never 0.
std::uint64_t digest_of(const IpAddr& vtep, const std::vector<IpAddr>& ips) {
    std::uint64_t digest = kFnvOffset;
    mix(digest, vtep);
    for (const IpAddr& ip : ips) { mix(digest, ip); }
    return digest == 0 ? 1 : digest;
}

std::string_view next_word(std::string_view& text) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

bool read_number(std::string_view word, std::int64_t& value) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return error == std::errc{} && end == word.data() + word.size() && value >= 0;
}

}  // namespace

std::string to_text(const Claim& claim) {
    std::string text = std::to_string(claim.sequence) + ' ' + std::to_string(claim.at_ms);
    for (const IpAddr& ip : claim.ips) { text += ' ' + to_string(ip); }
    return text;
}

std::optional<Claim> parse_claim(std::string_view text) {
    Claim claim;
    if (!read_number(next_word(text), claim.sequence)) { return std::nullopt; }
    if (!read_number(next_word(text), claim.at_ms)) { return std::nullopt; }
    while (!text.empty()) {
        const std::optional<IpAddr> ip = parse_ip(next_word(text));
        if (!ip || claim.ips.size() == kPortIpMax) { return std::nullopt; }
        claim.ips.push_back(*ip);
    }
    std::sort(claim.ips.begin(), claim.ips.end());
    claim.ips.erase(std::unique(claim.ips.begin(), claim.ips.end()), claim.ips.end());
    return claim;
}

std::uint32_t Claims::index_of(const Claimant& who) {
    const auto [at, is_new] =
        indices_.try_emplace(who, static_cast<std::uint32_t>(claimants_.size()));
    if (is_new) { claimants_.push_back(who); }
    return at->second;
}

// What stands before what was withdrawn or restored.
bool Claims::is_before(const Entry& a, const Entry& b) const {
    const Claimant& of_a = claimants_[a.who];
    const Claimant& of_b = claimants_[b.who];
    const auto rank = [](const Entry& entry, const Claimant& who) {
        return who.host == kRestoredHost ? 2 : (entry.deadline_ms != 0 ? 1 : 0);
    };
    const int rank_a = rank(a, of_a), rank_b = rank(b, of_b);
    if (rank_a != rank_b) { return rank_a < rank_b; }
    if (a.claim.sequence != b.claim.sequence) { return a.claim.sequence > b.claim.sequence; }
    if (a.claim.at_ms != b.claim.at_ms) { return a.claim.at_ms > b.claim.at_ms; }
    return of_a < of_b;
}

const Claims::Place* Claims::find(const SegmentMac& place) const {
    const auto macs = segments_.find(place.segment);
    if (macs == segments_.end()) { return nullptr; }
    const auto found = macs->second.find(place.mac);
    return found == macs->second.end() ? nullptr : &found->second;
}

void Claims::set(const SegmentMac& place, const Claimant& who, Claim claim) {
    put(place, {index_of(who), 0, std::move(claim)});
}

void Claims::restore(FleetBinding binding) {
    const SegmentMac place{std::move(binding.segment), binding.mac};
    put(place, {index_of({kRestoredHost, binding.vtep}), 0, {0, 0, std::move(binding.ips)}});
}

void Claims::put(const SegmentMac& place, Entry entry) {
    Macs& macs = segments_[place.segment];
    const auto known = macs.find(place.mac);
    if (known == macs.end() && size_ == kFleetRowMax) {
        ++left_out_;
        return;
    }
    Place& at = known == macs.end() ? macs[place.mac] : known->second;
    if (known == macs.end()) { ++size_; }
    std::erase_if(at.entries, [&](const Entry& old) { return old.who == entry.who; });
    const auto behind = std::find_if(at.entries.begin(), at.entries.end(),
                                     [&](const Entry& other) { return is_before(entry, other); });
    at.entries.insert(behind, std::move(entry));
    if (at.entries.size() > kFleetClaimMax) {
        at.entries.pop_back();
        ++left_out_;
    }
    mark(place);
}

void Claims::withdraw(const SegmentMac& place, const Claimant& who, std::int64_t deadline_ms) {
    const Place* at = find(place);
    if (at == nullptr) { return; }
    const std::uint32_t index = index_of(who);
    const auto found = std::find_if(at->entries.begin(), at->entries.end(),
                                    [&](const Entry& each) { return each.who == index; });
    if (found == at->entries.end()) { return; }
    put(place, {index, deadline_ms, found->claim});
    deadlines_.push_back({deadline_ms, index, place});
}

void Claims::withdraw_restored(std::int64_t deadline_ms) {
    std::vector<std::pair<SegmentMac, std::uint32_t>> restored;
    for (const auto& [segment, macs] : segments_) {
        for (const auto& [mac, place] : macs) {
            const Entry& last = place.entries.back();
            if (claimants_[last.who].host == kRestoredHost) {
                restored.push_back({{segment, mac}, last.who});
            }
        }
    }
    for (const auto& [place, who] : restored) { withdraw(place, claimants_[who], deadline_ms); }
}

std::optional<std::int64_t> Claims::expire(std::int64_t now_ms) {
    while (!deadlines_.empty() && deadlines_.front().at_ms <= now_ms) {
        const Deadline due = std::move(deadlines_.front());
        deadlines_.pop_front();
        remove(due.place, due.who, due.at_ms);
    }
    if (deadlines_.empty()) { return std::nullopt; }
    return deadlines_.front().at_ms;
}

// Unless it was claimed again meanwhile.
void Claims::remove(const SegmentMac& place, std::uint32_t who, std::int64_t deadline_ms) {
    const auto macs = segments_.find(place.segment);
    if (macs == segments_.end()) { return; }
    const auto at = macs->second.find(place.mac);
    if (at == macs->second.end()) { return; }
    const auto gone = std::erase_if(at->second.entries, [&](const Entry& each) {
        return each.who == who && each.deadline_ms == deadline_ms;
    });
    if (gone != 0) { mark(place); }
}

void Claims::set_own(std::set<SegmentMac> own) {
    if (own == own_) { return; }
    for (const SegmentMac& place : own_) {
        if (!own.contains(place)) { mark(place); }
    }
    for (const SegmentMac& place : own) {
        if (!own_.contains(place)) { mark(place); }
    }
    own_ = std::move(own);
}

FleetBinding Claims::binding_of(const SegmentMac& place, const Entry& entry) const {
    return {place.segment, place.mac, entry.claim.ips, claimants_[entry.who].vtep};
}

std::vector<BindingChange> Claims::take_changes() {
    std::vector<BindingChange> changes;
    for (const SegmentMac& each : std::exchange(changed_, {})) {
        const auto macs = segments_.find(each.segment);
        if (macs == segments_.end()) { continue; }
        const auto at = macs->second.find(each.mac);
        if (at == macs->second.end()) { continue; }
        Place& place = at->second;
        const bool is_elsewhere = !place.entries.empty() && !own_.contains(each);
        std::uint64_t digest = 0;
        if (is_elsewhere) {
            const Entry& first = place.entries.front();
            digest = digest_of(claimants_[first.who].vtep, first.claim.ips);
        }
        if (digest != std::exchange(place.told, digest)) {
            changes.push_back(is_elsewhere
                                  ? BindingChange{binding_of(each, place.entries.front()), false}
                                  : BindingChange{{each.segment, each.mac, {}, {}}, true});
        }
        if (!place.entries.empty()) { continue; }
        macs->second.erase(at);
        --size_;
        if (macs->second.empty()) { segments_.erase(macs); }
    }
    return changes;
}

std::optional<std::int64_t> Claims::highest(const SegmentMac& place) const {
    std::optional<std::int64_t> highest;
    const Place* at = find(place);
    if (at == nullptr) { return highest; }
    for (const Entry& each : at->entries) {
        if (each.deadline_ms != 0 || claimants_[each.who].host == kRestoredHost) { continue; }
        highest = std::max(highest.value_or(each.claim.sequence), each.claim.sequence);
    }
    return highest;
}

std::vector<std::string> Claims::hosts(const SegmentMac& place) const {
    std::vector<std::string> names;
    const Place* at = find(place);
    if (at == nullptr) { return names; }
    for (const Entry& each : at->entries) {
        const std::string& host = claimants_[each.who].host;
        const bool stands = each.deadline_ms == 0 && host != kRestoredHost;
        if (stands && std::count(names.begin(), names.end(), host) == 0) { names.push_back(host); }
    }
    return names;
}

std::vector<FleetBinding> Claims::bindings(const std::optional<SegmentMac>& after,
                                           std::size_t count) const {
    std::vector<FleetBinding> out;
    auto macs = after ? segments_.lower_bound(after->segment) : segments_.begin();
    for (; macs != segments_.end() && out.size() < count; ++macs) {
        const bool resumes = after && macs->first == after->segment;
        auto at = resumes ? macs->second.upper_bound(after->mac) : macs->second.begin();
        for (; at != macs->second.end() && out.size() < count; ++at) {
            if (at->second.entries.empty()) { continue; }
            out.push_back(binding_of({macs->first, at->first}, at->second.entries.front()));
        }
    }
    return out;
}

}  // namespace sluice::fleet
