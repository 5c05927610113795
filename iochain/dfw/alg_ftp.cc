// SPDX-License-Identifier: Apache-2.0
// Reading of FTP lines, see alg_ftp.h. What is not exactly as the RFCs have it announces nothing.
#include "iochain/dfw/alg_ftp.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>

namespace sluice::iochain {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Takes `word` and one space off the front, in any case of letters.
bool take_word(std::string_view& line, std::string_view word) noexcept {
    if (line.size() <= word.size() || line[word.size()] != ' ') { return false; }
    for (std::size_t i = 0; i < word.size(); ++i) {
        const char c = line[i];
        const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        if (upper != word[i]) { return false; }
    }
    line.remove_prefix(word.size() + 1);
    return true;
}

template <typename Number>
bool take_number(std::string_view& text, Number& out) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{}) { return false; }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_char(std::string_view& text, char c) noexcept {
    if (text.empty() || text.front() != c) { return false; }
    text.remove_prefix(1);
    return true;
}

// h1,h2,h3,h4,p1,p2
std::optional<FtpEndpoint> six_numbers(std::string_view& text) noexcept {
    std::array<std::uint8_t, 6> part{};
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (i > 0 && !take_char(text, ',')) { return std::nullopt; }
        if (!take_number(text, part[i])) { return std::nullopt; }
    }
    FtpEndpoint endpoint;
    endpoint.address.family = IpFamily::kV4;
    for (std::size_t i = 0; i < 4; ++i) { endpoint.address.bytes[12 + i] = part[i]; }
    endpoint.port = static_cast<std::uint16_t>(part[4] << 8U | part[5]);
    return endpoint;
}

std::optional<FtpEndpoint> read_port(std::string_view text) noexcept {
    const auto endpoint = six_numbers(text);
    return text.empty() ? endpoint : std::nullopt;
}

// The text before the numbers is the server's affair, parentheses too (RFC 1123 §4.1.2.6).
std::optional<FtpEndpoint> read_227(std::string_view text) noexcept {
    while (!text.empty() && !is_digit(text.front())) { text.remove_prefix(1); }
    const auto endpoint = six_numbers(text);
    return text.empty() || !is_digit(text.front()) ? endpoint : std::nullopt;
}

// Dotted quad or RFC 4291 text, by the family that was named (1 or 2, RFC 2428 §2).
std::optional<IpAddr> read_address(std::string_view text, unsigned family) noexcept {
    char copy[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof copy || (family != 1 && family != 2)) { return std::nullopt; }
    std::memcpy(copy, text.data(), text.size());
    IpAddr address;
    address.family = family == 1 ? IpFamily::kV4 : IpFamily::kV6;
    std::uint8_t* const to = address.bytes.data() + (family == 1 ? 12 : 0);
    if (inet_pton(family == 1 ? AF_INET : AF_INET6, copy, to) != 1) { return std::nullopt; }
    return address;
}

// <d>1|2<d>address<d>port<d>
std::optional<FtpEndpoint> read_eprt(std::string_view text) noexcept {
    if (text.empty() || is_digit(text.front())) { return std::nullopt; }
    const char mark = text.front();
    unsigned family = 0;
    if (!take_char(text, mark) || !take_number(text, family) || !take_char(text, mark)) {
        return std::nullopt;
    }
    const std::size_t size = text.find(mark);
    if (size == std::string_view::npos) { return std::nullopt; }
    const std::optional<IpAddr> address = read_address(text.substr(0, size), family);
    text.remove_prefix(size + 1);
    FtpEndpoint endpoint;
    if (!address || !take_number(text, endpoint.port) || !take_char(text, mark) || !text.empty()) {
        return std::nullopt;
    }
    endpoint.address = *address;
    return endpoint;
}

// text (<d><d><d>port<d>)
std::optional<FtpEndpoint> read_229(std::string_view text) noexcept {
    const std::size_t open = text.find('(');
    if (open == std::string_view::npos) { return std::nullopt; }
    text.remove_prefix(open + 1);
    if (text.empty() || is_digit(text.front())) { return std::nullopt; }
    const char mark = text.front();
    FtpEndpoint endpoint;
    const bool is_whole = take_char(text, mark) && take_char(text, mark) && take_char(text, mark) &&
                          take_number(text, endpoint.port) && take_char(text, mark) &&
                          take_char(text, ')');
    return is_whole ? std::optional(endpoint) : std::nullopt;
}

}  // namespace

std::optional<FtpEndpoint> ftp_endpoint(std::string_view line, bool from_client) noexcept {
    if (from_client) {
        if (take_word(line, "PORT")) { return read_port(line); }
        return take_word(line, "EPRT") ? read_eprt(line) : std::nullopt;
    }
    if (take_word(line, "227")) { return read_227(line); }
    return take_word(line, "229") ? read_229(line) : std::nullopt;
}

bool is_epsv_all(std::string_view line) noexcept {
    if (!take_word(line, "EPSV")) { return false; }
    return line.size() == 3 && (line[0] | 0x20) == 'a' && (line[1] | 0x20) == 'l' &&
           (line[2] | 0x20) == 'l';
}

}  // namespace sluice::iochain
