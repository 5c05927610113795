// SPDX-License-Identifier: Apache-2.0
// See generations.h. Number n was in use until n + 1 was taken: n may come again in an epoch that
// began later than that.
#include "controller-agent/keys/generations.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller-agent/keys/key_files.h"

namespace sluice::keys {
namespace {

using nlohmann::json;

constexpr const char* kWhom = "encryption generations";

}  // namespace

Generations::Generations(std::string state_dir)
    : path_(std::move(state_dir) + "/encryption-generation") {}

Result<Generations::State> Generations::load(std::uint16_t first) const {
    Result<std::string> text = read_private_file(path_, kWhom);
    if (!text && text.error().code == Errc::kNotFound) { return State{first, {}}; }
    if (!text) { return text.error(); }
    const json read = json::parse(text.value(), nullptr, false);
    const bool is_whole = read.is_object() && read.contains("count") &&
                          read["count"].is_number_unsigned() && read.contains("times") &&
                          read["times"].is_array() && read["times"].size() <= kGenerationCount &&
                          std::all_of(read["times"].begin(), read["times"].end(),
                                      [](const json& each) { return each.is_number_unsigned(); });
    if (!is_whole) {
        return Error{Errc::kInvalid,
                     std::string(kWhom) + ": " + path_ +
                         " is damaged: rotate the group keys of this host's key policies, then "
                         "delete it",
                     kWhom};
    }
    return State{read["count"].get<std::uint64_t>(),
                 read["times"].get<std::vector<std::uint64_t>>()};
}

Result<std::uint16_t> Generations::take(std::uint64_t now_s, std::uint64_t longest_s,
                                        std::uint16_t first) {
    Result<State> loaded = load(first);
    if (!loaded) { return loaded.error(); }
    State& state = loaded.value();
    const std::uint64_t epoch_begin = now_s - now_s % longest_s;
    // times[0] is when the number that would come again was let go of.
    const bool is_full = state.times.size() >= kGenerationCount - 1;
    if (is_full && state.times[state.times.size() - (kGenerationCount - 1)] >= epoch_begin) {
        return Error{Errc::kLimit,
                     std::string(kWhom) + ": all " + std::to_string(kGenerationCount) +
                         " were used since the epoch began, nothing more is sealed in it",
                     kWhom};
    }
    const auto number = static_cast<std::uint16_t>(state.count % kGenerationCount);
    ++state.count;
    state.times.push_back(now_s);
    if (state.times.size() > kGenerationCount) { state.times.erase(state.times.begin()); }
    const std::string text = json{{"count", state.count}, {"times", state.times}}.dump() + "\n";
    if (Status written = replace_private_file(path_, text); !written) { return written.error(); }
    return number;
}

}  // namespace sluice::keys
