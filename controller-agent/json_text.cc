// SPDX-License-Identifier: Apache-2.0
// The SAX handler behind parse_json: builds the value bottom-up on an explicit stack, so that depth
// is bounded by a check and not by the machine's stack, and so that a doubled key is seen before it
// overwrites the first.
#include "controller-agent/json_text.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/limits.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

/// Line and column, from 1, of the byte before `offset` (the library counts bytes it has read).
std::string place_of(std::string_view text, std::size_t offset) {
    const std::size_t end = std::min(offset == 0 ? 0 : offset - 1, text.size());
    const std::string_view before = text.substr(0, end);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    const std::size_t column = newline == std::string_view::npos ? end + 1 : end - newline;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// The library's own words without its "[json.exception...] parse error at line L, column C: ".
std::string reason_of(const std::string& what) {
    constexpr std::string_view kMark = "column ";
    const std::size_t mark = what.find(kMark);
    const std::size_t colon = mark == std::string::npos ? mark : what.find(": ", mark);
    return colon == std::string::npos ? what : what.substr(colon + 2);
}

/// Builds a value; returns false from an event to stop the library.
class Builder {
public:
    explicit Builder(std::string_view text) : text_(text) {}

    bool null() { return put(json(nullptr)); }
    bool boolean(bool value) { return put(json(value)); }
    bool number_integer(json::number_integer_t value) { return put(json(value)); }
    bool number_unsigned(json::number_unsigned_t value) { return put(json(value)); }
    bool number_float(json::number_float_t value, const std::string&) { return put(json(value)); }
    bool string(std::string& value) { return put(json(std::move(value))); }
    bool binary(json::binary_t&) { return refuse(Errc::kInvalid, "binary data is not JSON"); }
    bool start_object(std::size_t) { return open(json::object()); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(std::string& name) {
        json& object = stack_.back().value;
        if (object.contains(name)) {
            return refuse(Errc::kInvalid, "the key \"" + name + "\" is given twice in one object");
        }
        stack_.back().key = std::move(name);
        return true;
    }

    bool parse_error(std::size_t offset, const std::string&, const nlohmann::detail::exception& e) {
        return refuse(Errc::kInvalid,
                      "is not JSON: " + place_of(text_, offset) + ": " + reason_of(e.what()));
    }

    Result<json> take() && {
        if (error_) { return *std::move(error_); }
        return std::move(root_);
    }

private:
    struct Level {
        json value;
        std::string key;  // Of the member that comes next, in an object.
    };

    bool open(json value) {
        if (stack_.size() >= kDocumentDepthMax) {
            return refuse(Errc::kLimit,
                          "is nested deeper than " + std::to_string(kDocumentDepthMax) + " levels");
        }
        stack_.push_back(Level{std::move(value), {}});
        return true;
    }

    bool close() {
        json value = std::move(stack_.back().value);
        stack_.pop_back();
        return put(std::move(value));
    }

    bool put(json value) {
        if (stack_.empty()) {
            root_ = std::move(value);
        } else if (Level& level = stack_.back(); level.value.is_array()) {
            level.value.push_back(std::move(value));
        } else {
            level.value.emplace(std::move(level.key), std::move(value));
        }
        return true;
    }

    bool refuse(Errc code, const std::string& why) {
        if (!error_) { error_ = Error{code, "document: " + why, "document"}; }
        return false;
    }

    std::string_view text_;
    std::vector<Level> stack_;
    json root_;
    std::optional<Error> error_;
};

}  // namespace

Result<json> parse_json(std::string_view text) {
    if (text.size() > kDocumentBytesMax) {
        return Error{Errc::kLimit,
                     "document: " + std::to_string(text.size()) + " bytes are more than " +
                         std::to_string(kDocumentBytesMax),
                     "document"};
    }
    Builder builder(text);
    json::sax_parse(text, &builder);
    return std::move(builder).take();
}

}  // namespace sluice::agent
