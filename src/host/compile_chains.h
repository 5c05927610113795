// SPDX-License-Identifier: Apache-2.0
// Compile chains: ACLs, switch security and the firewall of a document become one ChainProgram a
// port, shared by ports with the same policy. Runs on the compile helper thread.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "datapath/snapshot.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/policy_difference.h"
#include "sluice/model/document.h"
#include "sluice/model/resolve.h"
#include "src/host/registry.h"

namespace sluice::host {

struct ChainSet {
    std::vector<std::shared_ptr<const ChainProgram>> of_port;  ///< In the order of document.ports.
    std::set<RuleId> rules;                                    ///< In use.
    LoggedRules logged;
    bool reads_dscp = false;
    bool follows_bindings = false;             ///< Some rule names what follows learned addresses.
    std::shared_ptr<const PolicyImage> image;  ///< What the next generation is compared with.
};

/// Section name of the default rule, whose own name is the same.
inline constexpr const char* kDefaultRule = "default";

/// @param indices  by port, in the order of document.ports
/// @param service_rules  numbered; get their ids
[[nodiscard]] ChainSet compile_chains(const model::Document& document,
                                      const model::Resolver& resolver, RuleRegistry& registry,
                                      const std::vector<PortIndex>& indices,
                                      std::vector<datapath::ServiceRuleConfig>& service_rules);

}  // namespace sluice::host
