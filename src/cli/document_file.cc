// SPDX-License-Identifier: Apache-2.0
// A line break is legal in JSON only between tokens, so replacing each by a space changes nothing;
// and the daemon still sees what a parse and a print would hide, such as a key that is there twice.
#include "document_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr std::size_t kDocumentSizeMax =
    (std::size_t{256} << 20U) - 4096;  // Leaves room for the call around it.
constexpr std::size_t kDepthMax = 60;  // The daemon's limit is 64, the call included.

// Looks only for the first error; builds nothing.
class SyntaxCheck final : public nlohmann::json_sax<json> {
public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(std::int64_t) override { return true; }
    bool number_unsigned(std::uint64_t) override { return true; }
    bool number_float(double, const std::string&) override { return true; }
    bool string(std::string&) override { return true; }
    bool binary(json::binary_t&) override { return true; }
    bool key(std::string&) override { return true; }
    bool start_object(std::size_t) override { return deeper(); }
    bool end_object() override { return shallower(); }
    bool start_array(std::size_t) override { return deeper(); }
    bool end_array() override { return shallower(); }
    bool parse_error(std::size_t position, const std::string&,
                     const json::exception& what) override {
        position_ = position;
        const std::string text =
            what.what();  // "[...] parse error at line 1, column 5: syntax error ..."
        const auto column = text.find("column ");
        const auto colon = column == std::string::npos ? column : text.find(": ", column);
        why_ = colon == std::string::npos ? text : text.substr(colon + 2);
        return false;
    }

    [[nodiscard]] std::size_t position() const noexcept { return position_; }
    [[nodiscard]] const std::string& why() const noexcept { return why_; }

private:
    bool deeper() {
        if (++depth_ <= kDepthMax) { return true; }
        why_ = "nested deeper than " + std::to_string(kDepthMax) + " levels";
        return false;
    }
    bool shallower() {
        --depth_;
        return true;
    }

    std::size_t depth_ = 0;
    std::size_t position_ = 0;  // Bytes read when it failed, the bad one included.
    std::string why_;
};

std::string place(const std::string& text, std::size_t position) {
    if (position == 0) { return ""; }
    const std::size_t bad = std::min(position - 1, text.size());
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(bad);
    const auto line = 1 + std::count(text.begin(), end, '\n');
    const std::size_t start = bad == 0 ? std::string::npos : text.rfind('\n', bad - 1);
    const std::size_t column = start == std::string::npos ? bad + 1 : bad - start;
    return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
}

std::string slurp(std::istream& stream) {
    std::string text;
    std::vector<char> chunk(std::size_t{1} << 20U);
    while (stream && text.size() <= kDocumentSizeMax) {
        stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
        text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
    }
    return text;
}

}  // namespace

Outcome<std::string> check_document(std::string text, const std::string& name) {
    const std::string object = "file " + name;
    if (text.size() > kDocumentSizeMax) {
        return Failure{"limit", name + ": larger than 256 MiB", object};
    }
    if (text.rfind("\xef\xbb\xbf", 0) == 0) { text.erase(0, 3); }  // Byte order mark.
    SyntaxCheck check;
    if (!json::sax_parse(text, &check)) {
        const std::string where = place(text, check.position());
        return Failure{"invalid", name + ": " + where + "not valid JSON: " + check.why(), object};
    }
    if (text[text.find_first_not_of(" \t\r\n")] != '{') {
        return Failure{"invalid", name + ": not a document: expected a JSON object", object};
    }
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text;
}

Outcome<std::string> read_document(const std::string& path, std::istream& in) {
    if (path == "-") { return check_document(slurp(in), "standard input"); }
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string text = slurp(file);
    if (!file.is_open() || file.bad()) {
        const int why = errno;
        return Failure{why == ENOENT ? "not_found" : "io",
                       path + ": cannot be read: " + std::strerror(why), "file " + path};
    }
    return check_document(std::move(text), path);
}

}  // namespace sluice::cli
