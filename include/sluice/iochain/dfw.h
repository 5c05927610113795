// SPDX-License-Identifier: Apache-2.0
// Compile input of slot 2 (dfw). Everything is resolved: no names are left to look up. The rules of
// the whole host are compiled once into one table; a vNIC's program is that table and one bit a
// rule that applies to it, so 500 policies over 100 000 rules cost 25 kB each and not 500 tables.
// Control thread or its compile helper. Implemented in iochain/dfw.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/iochain/address_expression.h"
#include "sluice/iochain/chain.h"
#include "sluice/model/alg.h"
#include "sluice/model/service.h"

namespace sluice {

/// One firewall rule of the host, resolved.
struct DfwRule {
    RuleId id;  ///< Stable for the rule's name. Not 0.
    bool allow = true;
    bool reject = false;  ///< With !allow: the sender is told (DropReason::kDfwReject).
    bool log = false;     ///< What it lets open, and what it refuses, is logged.
    model::RuleDirection direction = model::RuleDirection::kBoth;  ///< Seen from the VM.
    AddressList
        source;  ///< Empty = any. Share one expression among all rules that name the same thing.
    AddressList destination;  ///< Empty = any.
    bool negate_source = false;
    bool negate_destination = false;
    std::vector<model::Service> services;  ///< Empty = any.
    bool stateful = true;                  ///< Of the section.
    bool tcp_strict = true;                ///< Of the section.
    model::Alg alg = model::Alg::kNone;    ///< With allow and stateful only.
};

/// The firewall of the host.
struct DfwInput {
    std::vector<DfwRule> rules;   ///< In order of evaluation. At most 262 144.
    bool default_allow = true;    ///< The default rule: stateful, tcp_strict.
    bool default_reject = false;  ///< With !default_allow: the sender is told.
    RuleId default_rule;          ///< Not 0.
};

/// Compiles the host's rules once and then one program for each distinct set of applied rules. A
/// vNIC in `dfw.exclude` gets no program (null slot).
class DfwCompiler {
public:
    /// Compiles the table. 100 000 rules and 1 M prefixes take about a second: run it on the
    /// compile helper.
    explicit DfwCompiler(const DfwInput& input);
    ~DfwCompiler();
    DfwCompiler(DfwCompiler&&) noexcept;
    DfwCompiler& operator=(DfwCompiler&&) noexcept;

    /// Program for the vNICs to which exactly these rules apply.
    /// @param applied  indices into DfwInput::rules, ascending, without duplicates.
    /// @return the same object for the same list. It keeps the table alive, not the compiler.
    [[nodiscard]] std::shared_ptr<const SlotProgram> compile(
        std::span<const std::uint32_t> applied);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
