// SPDX-License-Identifier: Apache-2.0
// Compile input of slot 15 (encrypt). Everything is resolved. A rule matches the packets of both
// directions of a conversation: the program looks for a key and for the key that answers it, and
// the earlier rule counts. Control thread or its compile helper. Implemented in iochain/encrypt.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/iochain/address_expression.h"
#include "sluice/iochain/chain.h"
#include "sluice/model/encryption.h"

namespace sluice {

/// One rule of slot 15, resolved.
struct EncryptRule {
    RuleId id;                             ///< Of its counters. Not 0.
    std::uint8_t key_policy = 0;           ///< What SPIs name; 0: clear.
    bool required = false;                 ///< With a key policy.
    AddressList source;                    ///< Empty = any.
    AddressList destination;               ///< Empty = any.
    std::vector<model::Service> services;  ///< Empty = any.
};

/// Compiles the host's rules once, and one program for each distinct set of applied ones.
class EncryptCompiler {
public:
    /// @param rules  in order of evaluation
    explicit EncryptCompiler(std::span<const EncryptRule> rules);
    ~EncryptCompiler();
    EncryptCompiler(EncryptCompiler&&) noexcept;
    EncryptCompiler& operator=(EncryptCompiler&&) noexcept;

    /// Program for vNICs to which exactly these rules apply: indices, ascending, without
    /// duplicates. The same object for the same list; nullptr if the list is empty.
    [[nodiscard]] std::shared_ptr<const SlotProgram> compile(
        std::span<const std::uint32_t> applied);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
