// SPDX-License-Identifier: Apache-2.0
// MassGuard: see mass_guard.h.
#include "controller-agent/fleet/mass_guard.h"

#include <algorithm>
#include <string_view>

#include "sluice/base/limits.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

std::uint64_t mix(std::uint64_t digest, std::string_view text) {
    for (const char c : text) {
        digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;  // FNV-1a, 64 bits.
    }
    return (digest ^ 0xffU) * 0x100000001b3ULL;
}

void collect(const json& value, std::uint64_t digest, ObjectSet& out) {
    for (const auto& [key, list] : value.items()) {
        if (list.is_object()) { collect(list, mix(digest, key), out); }
        if (!list.is_array()) { continue; }
        for (const json& item : list) {
            if (!item.is_object()) { continue; }
            const auto name = item.find("name");
            if (name == item.end() || !name->is_string()) { continue; }
            const auto& text = name->get_ref<const std::string&>();
            const std::uint64_t identity = mix(mix(digest, key), text);
            out.push_back(identity);
            collect(item, identity, out);
        }
    }
}

std::size_t count_missing(const ObjectSet& from, const ObjectSet& in) {
    std::size_t missing = 0;
    auto at = in.begin();
    for (const std::uint64_t each : from) {
        at = std::lower_bound(at, in.end(), each);
        if (at == in.end() || *at != each) { ++missing; }
    }
    return missing;
}

}  // namespace

ObjectSet objects_of(const json& document) {
    ObjectSet out;
    if (document.is_object()) { collect(document, 0xcbf29ce484222325ULL, out); }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::optional<std::string> MassGuard::check(const ObjectSet& next, bool epoch_grew) const {
    if (epoch_grew) { return std::nullopt; }
    const std::size_t gone = count_missing(baseline_, next);
    if (gone <= kFleetGuardRows || gone * 2 <= baseline_.size()) { return std::nullopt; }
    return std::to_string(gone) + " of " + std::to_string(baseline_.size()) +
           " objects would go: held until the epoch grows or they are back";
}

void MassGuard::rest(std::int64_t now_ms) {
    if (removed_at_ms_ == 0 || now_ms - removed_at_ms_ <= kFleetCalmMs) { return; }
    baseline_ = running_;
    removed_at_ms_ = 0;
}

void MassGuard::accept(ObjectSet next, bool epoch_grew, std::int64_t now_ms) {
    rest(now_ms);
    const bool removes = count_missing(running_, next) != 0;
    const bool is_calm = removed_at_ms_ == 0;
    // The baseline stays where removals began.
    if (epoch_grew || (is_calm && !removes)) {
        baseline_ = next;
        removed_at_ms_ = 0;
    } else if (is_calm) {
        baseline_ = running_;
    }
    if (removes && !epoch_grew) { removed_at_ms_ = now_ms; }
    running_ = std::move(next);
}

}  // namespace sluice::fleet
