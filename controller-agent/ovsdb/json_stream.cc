// SPDX-License-Identifier: Apache-2.0
// The scanner counts braces outside of strings; the parser is the library's, fed by events, so that
// what it builds can be counted while it is built.
#include "controller-agent/ovsdb/json_stream.h"

#include <utility>

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

constexpr std::size_t kNodeBytes = 16;         // One json value.
constexpr std::size_t kContainerBytes = 64;    // Of an array: its vector and the allocations.
constexpr std::size_t kStringBytes = 48;       // A string and its allocation.
constexpr std::size_t kMemberBytes = 96;       // A key's tree node.
constexpr std::size_t kTextKeptBytes = 65536;  // A larger buffer is given back after a message.

Error bad(std::string message) { return Error{Errc::kInvalid, std::move(message), {}}; }

// Builds the value as the library does, but stops at a bound.
class BoundedBuilder {
public:
    using number_integer_t = json::number_integer_t;
    using number_unsigned_t = json::number_unsigned_t;
    using number_float_t = json::number_float_t;
    using string_t = json::string_t;
    using binary_t = json::binary_t;

    explicit BoundedBuilder(std::size_t bytes_max) : builder_(root_, false), left_(bytes_max) {}

    bool null() { return take(kNodeBytes) && builder_.null(); }
    bool boolean(bool value) { return take(kNodeBytes) && builder_.boolean(value); }
    bool number_integer(number_integer_t value) {
        return take(kNodeBytes) && builder_.number_integer(value);
    }
    bool number_unsigned(number_unsigned_t value) {
        return take(kNodeBytes) && builder_.number_unsigned(value);
    }
    bool number_float(number_float_t value, const string_t& text) {
        return take(kNodeBytes) && builder_.number_float(value, text);
    }
    bool string(string_t& value) {
        return take(kNodeBytes + kStringBytes + value.size()) && builder_.string(value);
    }
    bool binary(binary_t& value) { return builder_.binary(value); }
    bool start_object(std::size_t count) { return open() && builder_.start_object(count); }
    bool key(string_t& value) { return take(kMemberBytes + value.size()) && builder_.key(value); }
    bool end_object() {
        --depth_;
        return builder_.end_object();
    }
    bool start_array(std::size_t count) { return open() && builder_.start_array(count); }
    bool end_array() {
        --depth_;
        return builder_.end_array();
    }
    bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) {
        if (why_.empty()) { why_ = "bad syntax at byte " + std::to_string(at); }
        return false;
    }

    [[nodiscard]] json&& root() && { return std::move(root_); }
    [[nodiscard]] const std::string& why() const { return why_; }

private:
    bool take(std::size_t bytes) {
        if (bytes > left_) {
            why_ = "more than a message may hold";
            return false;
        }
        left_ -= bytes;
        return true;
    }
    bool open() {
        if (++depth_ > kOvsdbDepthMax) {
            why_ = "nested deeper than " + std::to_string(kOvsdbDepthMax);
            return false;
        }
        return take(kNodeBytes + kContainerBytes);
    }

    json root_;
    nlohmann::detail::json_sax_dom_parser<json> builder_;
    std::size_t left_;
    std::size_t depth_ = 0;
    std::string why_;
};

}  // namespace

Result<json> parse_bounded(std::string_view text, std::size_t parsed_max) {
    BoundedBuilder builder(parsed_max);
    const bool is_good = json::sax_parse(text.begin(), text.end(), &builder);
    if (!is_good) { return bad("a message is not JSON: " + builder.why()); }
    return std::move(builder).root();
}

Result<std::optional<json>> JsonStream::next(std::string_view& bytes) {
    if (text_.empty()) {
        bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
        if (bytes.empty()) { return std::optional<json>(); }
        if (bytes.front() != '{') { return bad("a message does not begin with {"); }
    }
    const std::size_t count = scan(bytes);
    if (is_too_deep_) {
        return bad("a message is nested deeper than " + std::to_string(kOvsdbDepthMax));
    }
    if (count > message_max_ - text_.size()) {
        return Error{Errc::kLimit,
                     "a message is larger than " + std::to_string(message_max_) + " bytes",
                     {}};
    }
    text_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    if (depth_ > 0) { return std::optional<json>(); }
    return take();
}

// Bytes up to and with the brace that closes the message, or all.
std::size_t JsonStream::scan(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const char c = bytes[i];
        if (is_in_string_) {
            if (is_escaped_) {
                is_escaped_ = false;
            } else if (c == '\\') {
                is_escaped_ = true;
            } else if (c == '"') {
                is_in_string_ = false;
            }
        } else if (c == '"') {
            is_in_string_ = true;
        } else if (c == '{' || c == '[') {
            is_too_deep_ = ++depth_ > kOvsdbDepthMax;
            if (is_too_deep_) { return i; }
        } else if ((c == '}' || c == ']') && --depth_ == 0) {
            return i + 1;
        }
    }
    return bytes.size();
}

Result<std::optional<json>> JsonStream::take() {
    auto parsed = parse_bounded(text_, message_max_ * kParsedFactor);
    text_.clear();
    if (text_.capacity() > kTextKeptBytes) { text_.shrink_to_fit(); }
    if (!parsed.ok()) { return parsed.error(); }
    return std::optional<json>(std::move(parsed).value());
}

}  // namespace sluice::ovsdb
