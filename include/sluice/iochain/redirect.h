// SPDX-License-Identifier: Apache-2.0
// Compile input of slots 4 to 12 (redirect), and what they say to a packet that opens a connection:
// which rule of each slot takes it. Everything is resolved. The rules of a slot are compiled once
// for the host. Control thread or its compile helper, ServiceChoices: workers. Implemented in
// iochain/redirect.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/address_expression.h"
#include "sluice/iochain/chain.h"
#include "sluice/model/service_chain.h"

namespace sluice {

/// A rule that redirects, and the slot that said so.
struct ServiceChoice {
    std::uint16_t rule = 0;  ///< RedirectRule::number.
    std::uint8_t slot = 0;
    bool of_receiver = false;  ///< Of the chain of the vNIC that it goes to.
};

/// What both chains want of a connection that is being opened, in the order in which the opener's
/// packets meet it. A rule that is there already is not added: it inspects a connection once.
struct ServiceChoices {
    std::array<ServiceChoice, kServiceHopMax> items;
    std::uint8_t count = 0;

    void add(const ServiceChoice& choice) noexcept {
        for (std::uint8_t i = 0; i < count; ++i) {
            if (items[i].rule == choice.rule) { return; }
        }
        if (count < items.size()) { items[count++] = choice; }
    }
};

/// One rule of a slot, resolved.
struct RedirectRule {
    RuleId id;                 ///< Of its counters. Not 0.
    std::uint16_t number = 0;  ///< Index into Snapshot::service_rules, stable while it has the
                               ///< name. Not 0.
    bool redirects = true;     ///< False: bypass.
    model::Initiator initiator = model::Initiator::kBoth;
    AddressList source;                    ///< Empty = any.
    AddressList destination;               ///< Empty = any.
    std::vector<model::Service> services;  ///< Empty = any.
};

/// Compiles the rules of one slot once, and one program for each distinct set of applied ones.
class RedirectCompiler {
public:
    /// @param slot  4..12, whose rules they are
    /// @param rules  in order of evaluation
    RedirectCompiler(std::uint8_t slot, std::span<const RedirectRule> rules);
    ~RedirectCompiler();
    RedirectCompiler(RedirectCompiler&&) noexcept;
    RedirectCompiler& operator=(RedirectCompiler&&) noexcept;

    /// Program for vNICs to which exactly these rules apply: indices, ascending, without
    /// duplicates. The same object for the same list; nullptr if the list is empty.
    [[nodiscard]] std::shared_ptr<const SlotProgram> compile(
        std::span<const std::uint32_t> applied);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
