// SPDX-License-Identifier: Apache-2.0
// AclTrail: the rules of slot 0 that matched on a frame's way, in order, those that count and go on
// among them: who is to be credited with its packets. Filled by decide() and inspect(), kept beside
// a flow, paid by account.cc. Plain data, a worker's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"

namespace sluice {

/// Two vNICs' rules, each rule once: at most kAclCountMax that go on and one that ends, a vNIC.
/// Zero bytes are an empty trail.
class AclTrail {
public:
    void clear() noexcept { count_ = from_count_ = 0; }
    void add(RuleId rule) noexcept {
        const auto known = all();
        if (std::find(known.begin(), known.end(), rule) != known.end()) { return; }
        if (count_ < rules_.size()) { rules_[count_++] = rule; }
    }
    /// What is there now is the source vNIC's; what comes is the destination's.
    void end_source() noexcept { from_count_ = count_; }

    /// Forgets the destination's.
    void keep_source() noexcept { count_ = from_count_; }
    /// Forgets the source's.
    void drop_source() noexcept {
        std::copy(rules_.begin() + from_count_, rules_.begin() + count_, rules_.begin());
        count_ = static_cast<std::uint8_t>(count_ - from_count_);
        from_count_ = 0;
    }

    [[nodiscard]] std::span<const RuleId> all() const noexcept { return {rules_.data(), count_}; }
    [[nodiscard]] std::span<const RuleId> of_source() const noexcept {
        return {rules_.data(), from_count_};
    }
    /// Copies the rules that are there, and no more.
    void assign(const AclTrail& other) noexcept {
        count_ = other.count_;
        from_count_ = other.from_count_;
        std::copy_n(other.rules_.begin(), count_, rules_.begin());
    }

private:
    std::uint8_t count_ = 0;
    std::uint8_t from_count_ = 0;
    std::array<RuleId, 2 * (kAclCountMax + 1)> rules_{};
};
static_assert(sizeof(AclTrail) == 124);

}  // namespace sluice
