// SPDX-License-Identifier: Apache-2.0
// Whether one rule matches all that another does, list by list. Private to the rule check; any
// thread, no shared state.
#pragma once

#include <bitset>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/limits.h"
#include "sluice/iochain/address_expression.h"
#include "sluice/model/acl.h"
#include "sluice/model/service.h"

namespace sluice::host {

/// What a `source` or `destination` list stands for.
struct NamedAddresses {
    bool any = false;
    AddressList items;  ///< All of them, ports' own addresses included.
    std::shared_ptr<const AddressExpression> fixed;  ///< What does not hang on ports.
    std::vector<std::string> ports;  ///< Names of groups, port groups, ports; sorted.
    bool may_learn = false;          ///< One of those has ports.
};

/// A rule of either kind.
struct CoverRule {
    std::string section, name, action;
    model::RuleDirection direction = model::RuleDirection::kBoth;
    std::shared_ptr<const NamedAddresses> source, destination;
    bool negate_source = false, negate_destination = false;
    std::vector<model::Service> services;                     ///< Empty = any.
    std::shared_ptr<const std::bitset<kPortMax>> applied_to;  ///< By index in the document.
    const model::AclRule* acl = nullptr;                      ///< What else it matches on.
};

/// True if every frame that `b` matches, `a` matches too. Exact but for lists that are negated on
/// one side and for services that only several of the other's cover: false there.
[[nodiscard]] bool covers(const CoverRule& a, const CoverRule& b);

/// Why a rule can't match anything; empty if it can.
[[nodiscard]] std::string why_never(const CoverRule& rule);

}  // namespace sluice::host
