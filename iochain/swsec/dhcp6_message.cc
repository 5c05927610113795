// SPDX-License-Identifier: Apache-2.0
// Reader of DHCPv6 messages: see sluice/iochain/dhcp_message.h. Options have a two-byte code and a
// two-byte length (RFC 8415 §21.1) and nest: a relay message holds a message, an IA holds
// addresses, an address holds a status. Each is read in the bounds of what holds it. IA_PD is
// walked past: a delegated prefix is behind the VM, not its own address. Pure, any thread.
#include <algorithm>

#include "sluice/iochain/dhcp_message.h"

namespace sluice {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum : std::uint16_t {
    kOptionClientId = 1,
    kOptionIaNa = 3,
    kOptionIaTa = 4,
    kOptionIaAddress = 5,
    kOptionRelayMessage = 9,
    kOptionStatus = 13,
    kOptionRapidCommit = 14
};
constexpr std::size_t kHeaderSize = 4, kRelayHeaderSize = 34;
constexpr std::size_t kIaNaSize = 12, kIaTaSize = 4, kIaAddressSize = 24;

std::uint32_t be16_at(Bytes bytes, std::size_t at) noexcept {
    return (std::uint32_t{bytes[at]} << 8U) | bytes[at + 1];
}
std::uint32_t be32_at(Bytes bytes, std::size_t at) noexcept {
    return (be16_at(bytes, at) << 16U) | be16_at(bytes, at + 2);
}

struct Option {
    std::uint32_t code = 0;
    Bytes value;
};

/// Takes the first option off `options`, which are not empty. Nothing if it runs past them.
std::optional<Option> take_option(Bytes& options) noexcept {
    if (options.size() < 4) { return std::nullopt; }
    const std::size_t size = be16_at(options, 2);
    if (size > options.size() - 4) { return std::nullopt; }
    const Option option{be16_at(options, 0), options.subspan(4, size)};
    options = options.subspan(4 + size);
    return option;
}

/// Calls visit(const Option&) -> bool for each. False if one runs past the end, or a visit said so.
template <typename Visit>
bool for_each_option(Bytes options, Visit&& visit) noexcept {
    while (!options.empty()) {
        const std::optional<Option> option = take_option(options);
        if (!option || !visit(*option)) { return false; }
    }
    return true;
}

/// False if it is too short to hold a code.
bool read_status(const Option& option, bool& is_success) noexcept {
    if (option.value.size() < 2) { return false; }
    is_success = is_success && be16_at(option.value, 0) == 0;
    return true;
}

bool read_address(const Option& option, Dhcp6Message& message) noexcept {
    if (option.value.size() < kIaAddressSize) { return false; }
    const std::uint32_t preferred_s = be32_at(option.value, 16);
    Dhcp6Lease lease;
    lease.ip.family = IpFamily::kV6;
    std::copy_n(option.value.begin(), 16, lease.ip.bytes.begin());
    lease.valid_s = be32_at(option.value, 20);
    bool is_success = true;
    const bool is_whole =
        for_each_option(option.value.subspan(kIaAddressSize), [&](const Option& inner) {
            return inner.code != kOptionStatus || read_status(inner, is_success);
        });
    if (!is_whole) { return false; }
    const bool counts = is_success && preferred_s <= lease.valid_s;  // RFC 8415 §18.2.10.1
    if (counts && message.lease_count < message.leases.size()) {
        message.leases[message.lease_count++] = lease;
    }
    return true;
}

/// IA_NA (IAID, T1, T2) or IA_TA (IAID).
bool read_association(const Option& option, std::size_t fixed, Dhcp6Message& message) noexcept {
    if (option.value.size() < fixed) { return false; }
    const std::uint8_t before = message.lease_count;
    bool is_success = true;
    const bool is_whole = for_each_option(option.value.subspan(fixed), [&](const Option& inner) {
        if (inner.code == kOptionStatus) { return read_status(inner, is_success); }
        return inner.code != kOptionIaAddress || read_address(inner, message);
    });
    if (!is_success) { message.lease_count = before; }
    return is_whole;
}

/// FNV-1a; never 0.
std::uint32_t digest_of(Bytes duid) noexcept {
    std::uint32_t hash = 0x811c9dc5U;
    for (const std::uint8_t byte : duid) { hash = (hash ^ byte) * 0x01000193U; }
    return hash == 0 ? 1U : hash;
}

bool read_option(const Option& option, Dhcp6Message& message) noexcept {
    switch (option.code) {
        case kOptionClientId:
            if (message.client_digest != 0) { return false; }
            message.client_digest = digest_of(option.value);
            return true;
        case kOptionIaNa: return read_association(option, kIaNaSize, message);
        case kOptionIaTa: return read_association(option, kIaTaSize, message);
        case kOptionStatus: return read_status(option, message.is_success);
        case kOptionRapidCommit: message.rapid_commit = true; return option.value.empty();
        default: return true;
    }
}

constexpr bool is_relayed(std::uint8_t type) noexcept {
    return type == static_cast<std::uint8_t>(Dhcp6Type::kRelayForward) ||
           type == static_cast<std::uint8_t>(Dhcp6Type::kRelayReply);
}

/// The message in a relay message, which has one (RFC 8415 §21.10).
std::optional<Bytes> inner_message(Bytes payload) noexcept {
    if (payload.size() < kRelayHeaderSize) { return std::nullopt; }
    std::optional<Bytes> inner;
    const bool is_whole =
        for_each_option(payload.subspan(kRelayHeaderSize), [&](const Option& option) {
            if (option.code != kOptionRelayMessage) { return true; }
            if (inner) { return false; }
            inner = option.value;
            return true;
        });
    return is_whole ? inner : std::nullopt;
}

}  // namespace

std::optional<Dhcp6Message> read_dhcp6(Bytes payload) noexcept {
    Dhcp6Message message;
    while (!payload.empty() && is_relayed(payload[0])) {
        const std::optional<Bytes> inner = inner_message(payload);
        if (!inner || ++message.relays > kDhcp6RelayMax) { return std::nullopt; }
        payload = *inner;
    }
    if (payload.size() < kHeaderSize || payload[0] == 0) { return std::nullopt; }
    message.type = static_cast<Dhcp6Type>(payload[0]);
    message.transaction = be32_at(payload, 0) & 0xffffffU;
    const bool is_whole = for_each_option(payload.subspan(kHeaderSize), [&](const Option& option) {
        return read_option(option, message);
    });
    return is_whole ? std::optional(message) : std::nullopt;
}

}  // namespace sluice
