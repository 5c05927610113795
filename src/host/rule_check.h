// SPDX-License-Identifier: Apache-2.0
// Rule check: which rules of a document can't do what they look like: they never match, or rules
// before them take all that they would match. A pure function of a checked document; seconds for
// 100 000 rules, so for a helper thread. `sluice rule check` shows it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sluice/model/document.h"

namespace sluice::host {

/// What is wrong with a rule, in the words of the interface.
enum class RuleFault : std::uint8_t {
    kNeverMatches,  ///< "never_matches": nothing can match it, whatever stands before.
    kDuplicate,     ///< "duplicate": an earlier rule matches the same and says the same.
    kRedundant,     ///< "redundant": earlier rules match all that it does, and say the same.
    kShadowed,  ///< "shadowed": earlier rules match all that it does, and one says another thing.
    kNeverHit,  ///< "never_hit": nothing has matched it so far.
};
[[nodiscard]] const char* to_text(RuleFault fault) noexcept;

struct RuleFinding {
    std::string section;  ///< ACLs are "acl NAME", as in `show rules`.
    std::string rule;
    RuleFault fault = RuleFault::kShadowed;
    std::vector<std::string> by;  ///< "SECTION/RULE" of the earlier rules.
    std::string detail;           ///< A sentence's rest.
};

struct RuleCheckOptions {
    std::string section, rule;  ///< Only this; empty = all.
    /// Of a rule that nothing has hit: since when it could have been, as text; nullopt for others.
    /// May be empty. Called on the thread of check_rules().
    std::function<std::optional<std::string>(const std::string& section, const std::string& rule)>
        never_hit;
};

/// In the document's order, ACLs first; at most one finding a rule, the worst. Covering is found
/// exactly where one earlier rule does it; of several together, where they do by splitting one of
/// the rule's lists (services, source, destination) by its items, 16 at most. A list that names
/// ports (a group, a port group, a port) is covered by the same name only, since what it stands for
/// may be learned.
[[nodiscard]] std::vector<RuleFinding> check_rules(const model::Document& document,
                                                   const RuleCheckOptions& options);

}  // namespace sluice::host
