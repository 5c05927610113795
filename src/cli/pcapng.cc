// SPDX-License-Identifier: Apache-2.0
// See pcapng.h. A block: type, length, body, length again; everything padded to 32 bits.
#include "pcapng.h"

#include <algorithm>

namespace sluice::cli {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kInterfaceStatistics = 5;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kLinkEthernet = 1;
constexpr std::size_t kOptionSizeMax = 0xfff0;  // Its length has 16 bits.

// Option codes of their blocks.
constexpr std::uint16_t kOptComment = 1;
constexpr std::uint16_t kShbUserApplication = 4;
constexpr std::uint16_t kIfName = 2, kIfDescription = 3, kIfTimeResolution = 9, kIfFilter = 11;
constexpr std::uint16_t kEpbFlags = 2;
constexpr std::uint16_t kIsbStart = 2, kIsbEnd = 3, kIsbReceived = 4, kIsbDropped = 5;

template <typename Number>
void put(std::string& out, Number value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void pad(std::string& out) { out.append((4 - out.size() % 4) % 4, '\0'); }

void put_time(std::string& out, std::uint64_t time_ns) {
    put(out, static_cast<std::uint32_t>(time_ns >> 32U));
    put(out, static_cast<std::uint32_t>(time_ns));
}

void put_option(std::string& out, std::uint16_t code, const std::string& value) {
    const std::size_t size = std::min(value.size(), kOptionSizeMax);
    put(out, code);
    put(out, static_cast<std::uint16_t>(size));
    out.append(value, 0, size);
    pad(out);
}

void put_text(std::string& out, std::uint16_t code, const std::string& value) {
    if (!value.empty()) { put_option(out, code, value); }
}

void put_number(std::string& out, std::uint16_t code, std::uint64_t value) {
    std::string bytes;
    put(bytes, value);
    put_option(out, code, bytes);
}

void put_moment(std::string& out, std::uint16_t code, std::uint64_t time_ns) {
    std::string bytes;
    put_time(bytes, time_ns);
    put_option(out, code, bytes);
}

void end_options(std::string& out) { put(out, std::uint32_t{0}); }

}  // namespace

void PcapngWriter::write_block(std::uint32_t type, const std::string& body) {
    const auto size = static_cast<std::uint32_t>(body.size() + 12);
    std::string block;
    block.reserve(size);
    put(block, type);
    put(block, size);
    block += body;
    put(block, size);
    out_.write(block.data(), static_cast<std::streamsize>(block.size()));
}

void PcapngWriter::begin(const PcapngInterface& interface, const std::string& application) {
    std::string section;
    put(section, kByteOrderMagic);
    put(section, std::uint16_t{1});  // Version 1.0.
    put(section, std::uint16_t{0});
    put(section, std::uint64_t{UINT64_MAX});  // Length of the section: not known.
    put_text(section, kShbUserApplication, application);
    end_options(section);
    write_block(kSectionHeader, section);

    std::string body;
    put(body, kLinkEthernet);
    put(body, std::uint16_t{0});
    put(body, interface.snap_size);
    put_text(body, kIfName, interface.name);
    put_text(body, kIfDescription, interface.description);
    put_option(body, kIfTimeResolution, std::string(1, '\x09'));  // 10^-9 s.
    // First byte 0: the filter is text.
    if (!interface.filter.empty()) {
        put_option(body, kIfFilter, std::string(1, '\0') + interface.filter);
    }
    end_options(body);
    write_block(kInterfaceDescription, body);
}

void PcapngWriter::write(const PcapngPacket& packet) {
    std::string body;
    body.reserve(packet.bytes.size() + packet.comment.size() + 64);
    put(body, std::uint32_t{0});  // Interface.
    put_time(body, packet.time_ns);
    put(body, static_cast<std::uint32_t>(packet.bytes.size()));
    put(body, packet.frame_size);
    body.append(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
    pad(body);
    // A whole line, as the format allows: scapy's reader takes no other comment.
    if (!packet.comment.empty()) { put_option(body, kOptComment, packet.comment + '\n'); }
    std::string flags;
    put(flags, std::uint32_t{packet.is_inbound ? 1U : 2U});
    put_option(body, kEpbFlags, flags);
    end_options(body);
    write_block(kEnhancedPacket, body);
}

void PcapngWriter::end(const PcapngTotals& totals) {
    std::string body;
    put(body, std::uint32_t{0});
    put_time(body, totals.end_ns);
    put_moment(body, kIsbStart, totals.start_ns);
    put_moment(body, kIsbEnd, totals.end_ns);
    put_number(body, kIsbReceived, totals.received);
    put_number(body, kIsbDropped, totals.missed);
    end_options(body);
    write_block(kInterfaceStatistics, body);
}

}  // namespace sluice::cli
