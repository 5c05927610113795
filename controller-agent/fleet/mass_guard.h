// SPDX-License-Identifier: Apache-2.0
// MassGuard: holds a document that takes away more than half, and more than kFleetGuardRows, of the
// objects that ran when the epoch began. Pure, control thread or its helper.
//
// What goes in several commits adds up, until kFleetCalmMs pass without a removal.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace sluice::fleet {

/// Identities of everything in a document that has a name, at any depth: digests, ascending.
using ObjectSet = std::vector<std::uint64_t>;
[[nodiscard]] ObjectSet objects_of(const nlohmann::json& document);

class MassGuard {
public:
    /// What ran before the database was asked.
    explicit MassGuard(ObjectSet running = {}) : baseline_(running), running_(std::move(running)) {}

    /// The sentence why `next` is held; nullopt: it may run.
    /// @param epoch_grew  a controller has said that it is meant
    [[nodiscard]] std::optional<std::string> check(const ObjectSet& next, bool epoch_grew) const;
    /// Before check(): removals count no more if the last is kFleetCalmMs ago.
    void rest(std::int64_t now_ms);
    /// `next` runs now.
    void accept(ObjectSet next, bool epoch_grew, std::int64_t now_ms);
    [[nodiscard]] bool has_objects() const noexcept { return !running_.empty(); }

private:
    ObjectSet baseline_;
    ObjectSet running_;
    std::int64_t removed_at_ms_ = 0;  // 0: nothing since the baseline.
};

}  // namespace sluice::fleet
