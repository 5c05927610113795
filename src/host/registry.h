// SPDX-License-Identifier: Apache-2.0
// Registries: numbers for names, stable as long as the name lives, so that flows, connections and
// counters keep their meaning over changes. One change at a time, but what compiles it is a helper
// thread, while the control thread looks names up: acquire() and lookups are locked against each
// other. What removes names runs on the control thread, when nothing compiles.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/base/result.h"
#include "sluice/model/segment.h"

namespace sluice::host {

/// Port name -> PortIndex. A freed index is used again last of all, and only after release() said
/// that workers and connections have forgotten it.
class PortRegistry {
public:
    /// Index of `name`, a new one if it has none. kNoPort if all are taken.
    [[nodiscard]] PortIndex acquire(const std::string& name);
    /// Index of `name`, kNoPort if it has none.
    [[nodiscard]] PortIndex find(const std::string& name) const;
    void release(const std::string& name);
    /// Names that have an index.
    [[nodiscard]] const std::map<std::string, PortIndex>& names() const noexcept {
        return by_name_;
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, PortIndex> by_name_;
    std::deque<PortIndex> free_;
    std::uint16_t fresh_ = 0;
};

/// (switch, VLAN or VNI) -> DomainId, never used again.
class DomainRegistry {
public:
    [[nodiscard]] DomainId acquire(const std::string& switch_name, const model::Segment& segment);
    /// Of what is no layer-2 domain of a switch: "vtep tep0", the underlay of a VTEP; "router
    /// ldr1", what connections across a router are found by.
    [[nodiscard]] DomainId acquire_named(const std::string& what) { return acquire(what, {}); }

private:
    std::map<std::pair<std::string, model::Segment>, DomainId> by_key_;
    std::uint32_t fresh_ = 1;
};

/// Section and name of a rule; ACLs as "acl NAME".
using RuleName = std::pair<std::string, std::string>;
/// Rules with `log`, by id.
using LoggedRules = std::map<RuleId, RuleName>;

/// (section, rule) -> RuleId. A slot is used again with another generation, oldest first, so that a
/// late count for a deleted rule can't be taken for another's soon.
class RuleRegistry {
public:
    using Key = RuleName;
    [[nodiscard]] RuleId acquire(const Key& key);
    /// Id of a rule, 0 if it has none.
    [[nodiscard]] RuleId find(const Key& key) const;
    /// Frees every rule that is not in `kept`.
    void keep_only(const std::set<RuleId>& kept);
    /// Section and rule of an id; nullptr if it is free.
    [[nodiscard]] const Key* name_of(RuleId id) const;
    /// Slots freed since the last call: their counters start from zero.
    [[nodiscard]] std::vector<std::uint32_t> take_freed_slots() {
        return std::exchange(freed_, {});
    }

private:
    mutable std::mutex mutex_;
    struct Hash {
        std::size_t operator()(const Key& key) const noexcept {
            const std::hash<std::string> hash;
            return hash(key.first) * 31U + hash(key.second);
        }
    };
    std::unordered_map<Key, RuleId, Hash> by_name_;
    std::unordered_map<std::uint32_t, Key> by_id_;
    std::deque<RuleId> free_;
    std::vector<std::uint32_t> freed_;
    std::uint32_t fresh_ = 1;
};

}  // namespace sluice::host
