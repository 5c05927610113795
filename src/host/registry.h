// SPDX-License-Identifier: Apache-2.0
// Registries: numbers for names, stable as long as the name lives, so that flows, connections and
// counters keep their meaning over changes. One change at a time, but what compiles it is a helper
// thread, while the control thread looks names up: acquire() and lookups are locked against each
// other. What removes names runs on the control thread, when nothing compiles. Each remembers what
// it gave out and took back, for the NameLog, whose next process gives the same numbers.
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

/// What a number of the arena's records stands for. The values are the NameLog's.
enum class NameKind : std::uint8_t {
    kPort = 1,
    kDomain,
    kRule,
    kServiceInstance,
    kServiceRule,
    kRemote,
};
inline constexpr std::uint8_t kNameKindMin = 1;
inline constexpr std::uint8_t kNameKindMax = 6;

/// A name got a number, or lost it.
struct NameChange {
    NameKind kind = NameKind::kPort;
    std::uint64_t number = 0;
    std::string key;
    bool is_gone = false;
};

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
    /// A name of the process before, before any other. Ignored if the number is none, or taken.
    void restore(const NameChange& name);
    [[nodiscard]] std::vector<NameChange> take_changes();

private:
    mutable std::mutex mutex_;
    std::map<std::string, PortIndex> by_name_;
    std::deque<PortIndex> free_;
    std::vector<NameChange> changes_;
    std::uint16_t fresh_ = 0;
};

/// (switch, VLAN or VNI) -> DomainId, never used again.
class DomainRegistry {
public:
    [[nodiscard]] DomainId acquire(const std::string& switch_name, const model::Segment& segment);
    /// Of what is no layer-2 domain of a switch: "vtep tep0", the underlay of a VTEP; "router
    /// ldr1", what connections across a router are found by.
    [[nodiscard]] DomainId acquire_named(const std::string& what) { return acquire(what, {}); }

    /// As PortRegistry's.
    void restore(const NameChange& name);
    [[nodiscard]] std::vector<NameChange> take_changes() { return std::exchange(changes_, {}); }

private:
    using Key = std::pair<std::string, model::Segment>;
    [[nodiscard]] static std::string text_of(const Key& key);
    std::map<Key, DomainId> by_key_;
    std::vector<NameChange> changes_;
    std::uint32_t fresh_ = 1;
};

/// Section and name of a rule; ACLs as "acl NAME".
using RuleName = std::pair<std::string, std::string>;
/// Rules with `log`, by id.
using LoggedRules = std::map<RuleId, RuleName>;

/// (section, rule) -> RuleId. A slot is used again with another generation, the one that is free
/// longest first, and not while few are free: a late count for a deleted rule is not taken for
/// another's, and whoever renames rules for ever does not use all counters' memory.
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
    /// As PortRegistry's.
    void restore(const NameChange& name);
    [[nodiscard]] std::vector<NameChange> take_changes();
    /// Counters of slots from here on were never used.
    [[nodiscard]] std::uint32_t slot_end() const;

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
    std::vector<NameChange> changes_;
    std::uint32_t fresh_ = 1;
};

}  // namespace sluice::host
