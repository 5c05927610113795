// SPDX-License-Identifier: Apache-2.0
// JSON-RPC 2.0 as text: one line in, one line out. Pure functions, so that large texts can be
// handled on the helper thread and tests need no socket. Batches are refused; positional parameters
// too (every method takes an object). Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "sluice/base/result.h"

namespace sluice::admin {

// Codes of the JSON-RPC 2.0 specification, section 5.1.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
/// The method was called and answered with an `Error`, which is in `error.data`.
inline constexpr int kMethodFailed = -32000;

/// A well-formed call.
struct Request {
    std::string method;
    nlohmann::json params = nlohmann::json::object();  ///< Always an object.
    std::optional<nlohmann::json> id;  ///< Absent: a notification, which gets no answer.
};

/// Why a line is no call.
struct Refusal {
    int code = kInvalidRequest;
    Error error;
    nlohmann::json id;     ///< Null where the line did not give one.
    bool answered = true;  ///< False for a notification.
};

/// Reads one line. Refuses text that is no JSON, too deep, too large, or has one key twice in an
/// object.
[[nodiscard]] std::variant<Request, Refusal> parse_request(std::string_view line);

/// `{"jsonrpc":"2.0","result":...,"id":...}` and a newline. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string result_line(const nlohmann::json& id, const nlohmann::json& result);

/// `{"jsonrpc":"2.0","error":{"code","message","data":{"code","message","object"}},"id":...}` and a
/// newline.
[[nodiscard]] std::string error_line(const nlohmann::json& id, int code, const Error& error);

/// True if `value` holds at least `count` values. Looks at no more than that many.
[[nodiscard]] bool has_values(const nlohmann::json& value, std::size_t count);

}  // namespace sluice::admin
