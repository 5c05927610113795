// SPDX-License-Identifier: Apache-2.0
// Registries: see registry.h.
#include "src/host/registry.h"

#include "sluice/base/assert.h"

namespace sluice::host {

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
    by_name_.erase(at);
}

DomainId DomainRegistry::acquire(const std::string& switch_name, const model::Segment& segment) {
    const auto [at, is_new] = by_key_.try_emplace({switch_name, segment}, DomainId{fresh_});
    if (is_new) { ++fresh_; }
    return at->second;
}

RuleId RuleRegistry::acquire(const Key& key) {
    const std::lock_guard lock(mutex_);
    if (const auto at = by_name_.find(key); at != by_name_.end()) { return at->second; }
    RuleId id;
    if (fresh_ < (1U << kRuleSlotBits)) {
        id = RuleId{fresh_++};
    } else {
        SLUICE_ASSERT(!free_.empty());  // kRuleMax is far below the number of slots.
        id = RuleId{free_.front().value + (1U << kRuleSlotBits)};
        free_.pop_front();
    }
    by_name_.emplace(key, id);
    by_id_.emplace(id.value, key);
    return id;
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
