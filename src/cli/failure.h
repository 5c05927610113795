// SPDX-License-Identifier: Apache-2.0
// How a command fails: the daemon's error, or one of the same shape made here. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

namespace sluice::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  ///< The command was understood and did not succeed.
inline constexpr int kExitUsage = 2;   ///< The command line made no sense.

/// Printed as one sentence, or with -o json as {"error": {...}}.
struct Failure {
    std::string code;  ///< A word of Errc, or "usage".
    std::string message;
    std::string object;
};

/// Either a T or a Failure.
template <typename T>
class [[nodiscard]] Outcome {
public:
    Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Outcome(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    [[nodiscard]] T& value() { return std::get<0>(state_); }
    [[nodiscard]] const Failure& failure() const { return std::get<1>(state_); }

private:
    std::variant<T, Failure> state_;
};

}  // namespace sluice::cli
