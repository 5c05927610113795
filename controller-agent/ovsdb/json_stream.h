// SPDX-License-Identifier: Apache-2.0
// JsonStream: where the messages of a JSON-RPC connection end. RFC 7047 §4 sends JSON objects one
// after the other, without delimiter or length: an object ends where its braces close. Each byte is
// looked at once, then once more by the parser; nothing is moved when a message is taken.
// One owner, no I/O.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/base/limits.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

class JsonStream {
public:
    /// @param message_max  bytes of one message; of the parsed value kParsedFactor times as many
    explicit JsonStream(std::size_t message_max = kOvsdbMessageMax) : message_max_(message_max) {}

    /// Takes bytes off the front of `bytes` up to the end of a message, and returns that; nullopt:
    /// all were taken, and the message goes on. After an error (no object, bad syntax, too deep,
    /// too large) the stream is useless: what follows has no beginning.
    [[nodiscard]] Result<std::optional<nlohmann::json>> next(std::string_view& bytes);

    /// An estimate: what short numbers and empty arrays cost more parsed than as text is refused
    /// beyond it, whatever a server sends.
    static constexpr std::size_t kParsedFactor = 4;

private:
    [[nodiscard]] std::size_t scan(std::string_view bytes);
    [[nodiscard]] Result<std::optional<nlohmann::json>> take();

    std::size_t message_max_;
    std::string text_;  ///< Of the message that is not whole yet.
    std::size_t depth_ = 0;
    bool is_in_string_ = false;
    bool is_escaped_ = false;
    bool is_too_deep_ = false;
};

/// One JSON value that fills `text`, taking no more than about `parsed_max` bytes of memory. Depth
/// is bounded by kOvsdbDepthMax. Throws nothing but std::bad_alloc.
[[nodiscard]] Result<nlohmann::json> parse_bounded(std::string_view text, std::size_t parsed_max);

}  // namespace sluice::ovsdb
