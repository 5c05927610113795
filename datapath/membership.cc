// SPDX-License-Identifier: Apache-2.0
// Membership: see membership.h.
#include "datapath/membership.h"

#include <algorithm>
#include <cstring>

namespace sluice::datapath {
namespace {

using Message = std::span<const std::uint8_t>;

constexpr std::uint8_t kIgmpQuery = 0x11, kIgmpV1Report = 0x12, kIgmpV2Report = 0x16,
                       kIgmpLeave = 0x17, kIgmpV3Report = 0x22;
constexpr std::uint8_t kMldQuery = 130, kMldReport = 131, kMldDone = 132, kMldV2Report = 143;
// Record types (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
constexpr std::uint8_t kIsInclude = 1, kIsExclude = 2, kToInclude = 3, kToExclude = 4, kAllow = 5,
                       kBlock = 6;

std::uint16_t be16(Message m, std::size_t at) noexcept {
    return static_cast<std::uint16_t>(m[at] << 8U | m[at + 1]);
}

/// What differs between the two protocols.
struct Form {
    std::size_t address_size;  // Of a group or source.
    std::size_t header_size;   // Of a query or old report, group included.
    IpFamily family;
    [[nodiscard]] std::size_t group_at() const noexcept { return header_size - address_size; }
};
constexpr Form kIgmp{4, 8, IpFamily::kV4};
constexpr Form kMld{16, 24, IpFamily::kV6};

IpAddr address_at(Message m, std::size_t at, const Form& form) noexcept {
    IpAddr ip;
    ip.family = form.family;
    std::memcpy(ip.bytes.data() + (16U - form.address_size), m.data() + at, form.address_size);
    return ip;
}

bool is_group(const IpAddr& ip) noexcept {
    return ip.is_v4() ? (ip.bytes[12] & 0xf0U) == 0xe0U : ip.bytes[0] == 0xff;
}

bool add(Membership& out, const IpAddr& group, bool joins) noexcept {
    if (!is_group(group)) { return false; }
    if (out.record_count < out.records.size()) {
        out.records[out.record_count++] = {group_mac(group), joins};
    }
    return true;
}

// Floating-point code of intervals (RFC 3376 §4.1.1 and 4.1.7).
std::uint32_t interval_of(std::uint8_t code) noexcept {
    return code < 128 ? code : (std::uint32_t{code & 0x0fU} | 0x10U) << ((code >> 4U & 7U) + 3U);
}

// A longer query than the first version's carries sources, which must be all there.
bool read_query(Message m, const Form& form, Membership& out) noexcept {
    out.kind = MembershipKind::kQuery;
    if (m.size() < form.header_size) { return false; }
    const IpAddr group = address_at(m, form.group_at(), form);
    if (group.bytes != IpAddr{}.bytes && !is_group(group)) { return false; }
    if (m.size() < form.header_size + 4) { return m.size() == form.header_size; }
    const std::size_t sources = be16(m, form.header_size + 2);
    if (m.size() < form.header_size + 4 + sources * form.address_size) { return false; }
    out.query_interval_s = interval_of(m[form.header_size + 1]);
    return true;
}

bool read_one(Message m, const Form& form, MembershipKind kind, Membership& out) noexcept {
    out.kind = kind;
    if (m.size() < form.header_size) { return false; }
    return add(out, address_at(m, form.group_at(), form), kind == MembershipKind::kReport);
}

// "Exclude these" wants the rest of the group; "include these" wants it if there are any; blocking
// some leaves it as it is.
bool read_record(Message m, std::uint8_t type, std::size_t sources, const Form& form,
                 Membership& out) noexcept {
    const IpAddr group = address_at(m, 4, form);
    switch (type) {
        case kIsExclude:
        case kToExclude: return add(out, group, true);
        case kIsInclude:
        case kToInclude: return add(out, group, sources > 0);
        case kAllow: return sources == 0 ? is_group(group) : add(out, group, true);
        case kBlock: return is_group(group);
        default: return true;  // To be ignored (RFC 3376 §4.2.12).
    }
}

bool read_records(Message m, const Form& form, Membership& out) noexcept {
    out.kind = MembershipKind::kReport;
    constexpr std::size_t kHead = 8;
    if (m.size() < kHead) { return false; }
    std::size_t left = be16(m, 6);
    std::size_t at = kHead;
    for (; left > 0; --left) {
        const std::size_t fixed = 4 + form.address_size;
        if (m.size() - at < fixed) { return false; }
        const Message record = m.subspan(at);
        const std::size_t sources = be16(record, 2);
        const std::size_t size = fixed + sources * form.address_size + record[1] * std::size_t{4};
        if (record.size() < size) { return false; }
        if (!read_record(record, record[0], sources, form, out)) { return false; }
        at += size;
    }
    return true;
}

}  // namespace

IpAddr solicited_node(const IpAddr& ip) noexcept {
    IpAddr group;
    group.family = IpFamily::kV6;
    group.bytes = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    std::copy(ip.bytes.begin() + 13, ip.bytes.end(), group.bytes.begin() + 13);
    return group;
}

MacAddr group_mac(const IpAddr& group) noexcept {
    const auto& b = group.bytes;
    if (group.is_v4()) {
        return MacAddr{{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[13] & 0x7fU), b[14], b[15]}};
    }
    return MacAddr{{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

bool read_igmp(std::span<const std::uint8_t> message, Membership& out) noexcept {
    out.kind = MembershipKind::kOther;
    out.query_interval_s = 0;
    out.record_count = 0;
    if (message.size() < kIgmp.header_size) { return false; }
    switch (message[0]) {
        case kIgmpQuery: return read_query(message, kIgmp, out);
        case kIgmpV1Report:
        case kIgmpV2Report: return read_one(message, kIgmp, MembershipKind::kReport, out);
        case kIgmpLeave: return read_one(message, kIgmp, MembershipKind::kLeave, out);
        case kIgmpV3Report: return read_records(message, kIgmp, out);
        default: return true;
    }
}

bool read_mld(std::span<const std::uint8_t> message, Membership& out) noexcept {
    out.kind = MembershipKind::kOther;
    out.query_interval_s = 0;
    out.record_count = 0;
    if (message.size() < 8) { return false; }
    switch (message[0]) {
        case kMldQuery: return read_query(message, kMld, out);
        case kMldReport: return read_one(message, kMld, MembershipKind::kReport, out);
        case kMldDone: return read_one(message, kMld, MembershipKind::kLeave, out);
        case kMldV2Report: return read_records(message, kMld, out);
        default: return true;
    }
}

}  // namespace sluice::datapath
