// SPDX-License-Identifier: Apache-2.0
// Registries: see registry.h.
#include "src/host/registry.h"

#include <algorithm>
#include <cstdlib>

#include "sluice/base/assert.h"

namespace sluice::host {
namespace {

// Names have no zero byte.
std::string joined(const std::string& a, const std::string& b) { return a + '\0' + b; }

}  // namespace

PortIndex PortRegistry::acquire(const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (const auto at = by_name_.find(name); at != by_name_.end()) { return at->second; }
    PortIndex index = kNoPort;
    if (fresh_ < kPortMax) {
        index = PortIndex{fresh_++};
    } else if (!free_.empty()) {
        index = free_.front();
        free_.pop_front();
    } else {
        return kNoPort;
    }
    by_name_.emplace(name, index);
    changes_.push_back({NameKind::kPort, index.value, name, false});
    return index;
}

PortIndex PortRegistry::find(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? kNoPort : at->second;
}

void PortRegistry::release(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) { return; }
    free_.push_back(at->second);
    changes_.push_back({NameKind::kPort, at->second.value, name, true});
    by_name_.erase(at);
}

void PortRegistry::restore(const NameChange& name) {
    const std::lock_guard lock(mutex_);
    if (name.number >= kPortMax) { return; }
    const PortIndex index{static_cast<std::uint16_t>(name.number)};
    if (index.value < fresh_) {
        const auto at = std::find(free_.begin(), free_.end(), index);
        if (at == free_.end()) { return; }
        free_.erase(at);
    } else {
        for (; fresh_ < index.value; ++fresh_) { free_.push_back(PortIndex{fresh_}); }
        ++fresh_;
    }
    by_name_.emplace(name.key, index);
}

std::vector<NameChange> PortRegistry::take_changes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
}

std::string DomainRegistry::text_of(const Key& key) {
    return joined(key.first,
                  std::to_string(key.second.vni) + '/' + std::to_string(key.second.vlan));
}

DomainId DomainRegistry::acquire(const std::string& switch_name, const model::Segment& segment) {
    const auto [at, is_new] = by_key_.try_emplace({switch_name, segment}, DomainId{fresh_});
    if (is_new) {
        ++fresh_;
        changes_.push_back({NameKind::kDomain, at->second.value, text_of(at->first), false});
    }
    return at->second;
}

void DomainRegistry::restore(const NameChange& name) {
    const std::size_t zero = name.key.find('\0');
    const std::size_t slash = name.key.rfind('/');
    if (zero == std::string::npos || slash == std::string::npos || slash < zero) { return; }
    model::Segment segment;
    segment.vni =
        static_cast<std::uint32_t>(std::strtoul(name.key.c_str() + zero + 1, nullptr, 10));
    segment.vlan =
        static_cast<std::uint16_t>(std::strtoul(name.key.c_str() + slash + 1, nullptr, 10));
    const auto number = static_cast<std::uint32_t>(name.number);
    if (number == 0) { return; }
    by_key_.try_emplace({name.key.substr(0, zero), segment}, DomainId{number});
    fresh_ = std::max(fresh_, number + 1U);
}

RuleId RuleRegistry::acquire(const Key& key) {
    const std::lock_guard lock(mutex_);
    if (const auto at = by_name_.find(key); at != by_name_.end()) { return at->second; }
    constexpr std::size_t kResting = 1U << 14U;  // Freed slots that are left alone.
    RuleId id;
    if (free_.size() <= kResting && fresh_ < (1U << kRuleSlotBits)) {
        id = RuleId{fresh_++};
    } else {
        SLUICE_ASSERT(!free_.empty());  // kRuleMax is far below the number of slots.
        id = RuleId{free_.front().value + (1U << kRuleSlotBits)};
        free_.pop_front();
    }
    by_name_.emplace(key, id);
    by_id_.emplace(id.value, key);
    changes_.push_back({NameKind::kRule, id.value, joined(key.first, key.second), false});
    return id;
}

// The generation of a slot that was free is not known: one that it hardly had.
void RuleRegistry::restore(const NameChange& name) {
    const std::lock_guard lock(mutex_);
    const std::size_t zero = name.key.find('\0');
    const RuleId id{static_cast<std::uint32_t>(name.number)};
    const std::uint32_t slot = rule_slot(id);
    if (zero == std::string::npos || slot == 0 || by_id_.contains(id.value)) { return; }
    constexpr std::uint32_t kGeneration = 1U << (kRuleSlotBits + 8U);
    if (slot < fresh_) {
        std::erase_if(free_, [slot](RuleId free) { return rule_slot(free) == slot; });
    } else {
        for (; fresh_ < slot; ++fresh_) { free_.push_back(RuleId{fresh_ + kGeneration}); }
        ++fresh_;
    }
    Key key{name.key.substr(0, zero), name.key.substr(zero + 1)};
    by_id_.emplace(id.value, key);
    by_name_.emplace(std::move(key), id);
}

std::vector<NameChange> RuleRegistry::take_changes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
}

std::uint32_t RuleRegistry::slot_end() const {
    const std::lock_guard lock(mutex_);
    return fresh_;
}

RuleId RuleRegistry::find(const Key& key) const {
    const std::lock_guard lock(mutex_);
    const auto at = by_name_.find(key);
    return at == by_name_.end() ? RuleId{} : at->second;
}

void RuleRegistry::keep_only(const std::set<RuleId>& kept) {
    const std::lock_guard lock(mutex_);
    if (kept.size() == by_name_.size()) { return; }  // What is kept has a name.
    for (auto at = by_name_.begin(); at != by_name_.end();) {
        if (kept.contains(at->second)) {
            ++at;
            continue;
        }
        free_.push_back(at->second);
        freed_.push_back(rule_slot(at->second));
        changes_.push_back(
            {NameKind::kRule, at->second.value, joined(at->first.first, at->first.second), true});
        by_id_.erase(at->second.value);
        at = by_name_.erase(at);
    }
}

const RuleRegistry::Key* RuleRegistry::name_of(RuleId id) const {
    const std::lock_guard lock(mutex_);
    const auto at = by_id_.find(id.value);
    return at == by_id_.end() ? nullptr : &at->second;
}

}  // namespace sluice::host
