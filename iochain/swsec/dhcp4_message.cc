// SPDX-License-Identifier: Apache-2.0
// Reader of DHCPv4 messages: see sluice/iochain/dhcp_message.h. An option that occurs several times
// is one option cut in pieces (RFC 3396 §7): pieces are joined in the order of the option field,
// `file`, `sname`, and judged when all have been read. Pure, any thread.
#include <algorithm>

#include "sluice/iochain/dhcp_message.h"

namespace sluice {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kUdpHeaderSize = 8;
constexpr std::size_t kBootpSize = 236;  // RFC 951.
constexpr std::size_t kSnameAt = 44, kSnameSize = 64, kFileAt = 108, kFileSize = 128;
constexpr std::array<std::uint8_t, 4> kMagicCookie = {0x63, 0x82, 0x53, 0x63};  // RFC 2131 §3.

enum : std::uint8_t {
    kOptionPad = 0,
    kOptionRouter = 3,
    kOptionRequestedIp = 50,
    kOptionLeaseTime = 51,
    kOptionOverload = 52,
    kOptionMessageType = 53,
    kOptionServer = 54,
    kOptionRapidCommit = 80,
    kOptionEnd = 255
};

/// An option's joined value: its length, and as much of it as anybody reads.
struct Joined {
    bool is_present = false;
    std::size_t size = 0;
    std::array<std::uint8_t, 4> head{};

    void append(Bytes piece) noexcept {
        is_present = true;
        for (std::size_t i = 0; i < piece.size() && size + i < head.size(); ++i) {
            head[size + i] = piece[i];
        }
        size += piece.size();
    }
};

struct Options {
    Joined router, requested_ip, lease_time, overload, message_type, server, rapid_commit;

    [[nodiscard]] Joined* find(std::uint8_t code) noexcept {
        switch (code) {
            case kOptionRouter: return &router;
            case kOptionRequestedIp: return &requested_ip;
            case kOptionLeaseTime: return &lease_time;
            case kOptionOverload: return &overload;
            case kOptionMessageType: return &message_type;
            case kOptionServer: return &server;
            case kOptionRapidCommit: return &rapid_commit;
            default: return nullptr;
        }
    }
};

IpAddr ipv4_at(const std::uint8_t* wire) noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV4;
    std::copy_n(wire, 4, ip.bytes.begin() + 12);
    return ip;
}

/// @return false if an option runs past the field
bool collect(Bytes field, Options& options) noexcept {
    while (!field.empty() && field[0] != kOptionEnd) {
        if (field[0] == kOptionPad) {
            field = field.subspan(1);
            continue;
        }
        if (field.size() < 2 || field.size() - 2 < field[1]) { return false; }
        if (Joined* option = options.find(field[0])) { option->append(field.subspan(2, field[1])); }
        field = field.subspan(2U + field[1]);
    }
    return true;
}

/// The option field, then what it says is overloaded: 1 = file, 2 = sname, 3 = both (RFC 2132
/// §9.3). Overloading can't be overloaded.
bool collect_all(Bytes payload, Options& options) noexcept {
    if (!collect(payload.subspan(kBootpSize + kMagicCookie.size()), options)) { return false; }
    if (!options.overload.is_present) { return true; }
    const unsigned fields = options.overload.head[0];
    if (options.overload.size != 1 || fields == 0 || fields > 3) { return false; }
    if ((fields & 1U) != 0 && !collect(payload.subspan(kFileAt, kFileSize), options)) {
        return false;
    }
    if ((fields & 2U) != 0 && !collect(payload.subspan(kSnameAt, kSnameSize), options)) {
        return false;
    }
    return options.overload.size == 1;
}

/// False if an address option that is there hasn't four bytes.
bool set_ip(const Joined& option, std::optional<IpAddr>& ip) noexcept {
    if (!option.is_present) { return true; }
    ip = ipv4_at(option.head.data());
    return option.size == 4;
}

/// Reads what was collected. @return false if a length is wrong
bool interpret(const Options& options, Dhcp4Message& message) noexcept {
    const Joined& type = options.message_type;
    if (type.size != 1 || type.head[0] == 0 ||
        type.head[0] > static_cast<std::uint8_t>(Dhcp4Type::kInform)) {
        return false;
    }
    message.type = static_cast<Dhcp4Type>(type.head[0]);
    if (!set_ip(options.requested_ip, message.requested_ip)) { return false; }
    if (!set_ip(options.server, message.server_ip)) { return false; }
    if (options.router.is_present) {
        if (options.router.size == 0 || options.router.size % 4 != 0) { return false; }
        message.router_ip = ipv4_at(options.router.head.data());
    }
    if (options.lease_time.is_present) {
        if (options.lease_time.size != 4) { return false; }
        message.lease_s = ipv4_at(options.lease_time.head.data()).v4_host();
    }
    message.rapid_commit = options.rapid_commit.is_present;
    return true;
}

/// Types that only a server sends.
constexpr bool is_server_type(Dhcp4Type type) noexcept {
    return type == Dhcp4Type::kOffer || type == Dhcp4Type::kAck || type == Dhcp4Type::kNak;
}

}  // namespace

std::optional<Bytes> dhcp_payload(const ParsedFrame& frame) noexcept {
    if (frame.fragment || frame.l4_offset == 0 || frame.l4_offset > frame.data_size) {
        return std::nullopt;
    }
    const std::size_t available =
        std::min<std::size_t>(frame.l4_size, frame.data_size - frame.l4_offset);
    if (available < kUdpHeaderSize) { return std::nullopt; }
    const std::uint8_t* udp = frame.data + frame.l4_offset;
    const std::size_t size = (std::size_t{udp[4]} << 8U) | udp[5];  // What receivers go by.
    if (size < kUdpHeaderSize || size > available) { return std::nullopt; }
    return Bytes(udp, size).subspan(kUdpHeaderSize);
}

std::optional<Dhcp4Message> read_dhcp4(Bytes payload) noexcept {
    if (payload.size() < kBootpSize + kMagicCookie.size()) { return std::nullopt; }
    if (payload[0] != 1 && payload[0] != 2) { return std::nullopt; }
    if (payload[1] != 1 || payload[2] != 6) { return std::nullopt; }  // Ethernet, six bytes.
    if (!std::equal(kMagicCookie.begin(), kMagicCookie.end(), payload.begin() + kBootpSize)) {
        return std::nullopt;
    }
    Dhcp4Message message;
    message.operation = static_cast<Dhcp4Operation>(payload[0]);
    std::memcpy(&message.xid, payload.data() + 4, sizeof message.xid);
    message.client_ip = ipv4_at(payload.data() + 12);
    message.your_ip = ipv4_at(payload.data() + 16);
    message.relay_ip = ipv4_at(payload.data() + 24);
    std::copy_n(payload.begin() + 28, 6, message.client_mac.bytes.begin());
    Options options;
    if (!collect_all(payload, options) || !interpret(options, message)) { return std::nullopt; }
    const bool from_server = message.operation == Dhcp4Operation::kReply;
    if (from_server != is_server_type(message.type)) { return std::nullopt; }
    return message;
}

}  // namespace sluice
