// SPDX-License-Identifier: Apache-2.0
// Reads a method's parameters and collects the first complaint, so that a handler is three lines:
//     ParamReader read(params);
//     const auto port = read.text("port");  const auto top = read.count("top", 10);
//     if (const auto status = read.finish(); !status.ok()) { co_return status.error(); }
// Any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "sluice/base/result.h"

namespace sluice::admin {

/// `Error::object` of a wrong parameter; the server answers those with -32602.
inline constexpr const char* kParamsObject = "parameters";

/// One pass over one params object, which it refers to and does not copy.
class ParamReader {
public:
    explicit ParamReader(const nlohmann::json& params) : params_(params) {}

    /// Text of an optional key, `absent` without it.
    [[nodiscard]] std::string text(const char* key, std::string absent = "");
    /// Text of a key that must be there and not be empty.
    [[nodiscard]] std::string required_text(const char* key);
    /// A whole number from 0 on, `absent` without the key.
    [[nodiscard]] std::uint64_t count(const char* key, std::uint64_t absent);
    /// A key of any kind; nullptr without it.
    [[nodiscard]] const nlohmann::json* value(const char* key) { return find(key); }
    /// A boolean, `absent` without the key.
    [[nodiscard]] bool flag(const char* key, bool absent = false);

    /// The first thing that was wrong: a type, a missing key, or a key that nobody asked for.
    [[nodiscard]] Status finish();

private:
    const nlohmann::json* find(const char* key);
    void complain(std::string what);

    const nlohmann::json& params_;
    std::set<std::string, std::less<>> known_;
    std::string complaint_;
};

}  // namespace sluice::admin
