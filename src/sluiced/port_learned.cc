// SPDX-License-Identifier: Apache-2.0
// Port document: learned rows; see port_document.h.
#include <algorithm>

#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/port_network.h"

namespace sluice::daemon {
namespace {

using admin::ParamReader;
using datapath::Domain;
using nlohmann::json;

constexpr std::uint64_t kNsPerMs = 1'000'000;

bool has_mac_key(LearnedKind kind) {
    return kind == LearnedKind::kMac || kind == LearnedKind::kGroupMember;
}

std::optional<LearnedSource> source_of(const std::string& text) {
    for (unsigned i = 0; i <= static_cast<unsigned>(LearnedSource::kMld); ++i) {
        const auto source = static_cast<LearnedSource>(i);
        if (text == source_text(source, "data")) { return source; }
    }
    return std::nullopt;
}

LearnedKey key_of(const PortPlace& place, LearnedKind kind, DomainId domain, const IpAddr& ip,
                  const MacAddr& mac) {
    switch (kind) {
        case LearnedKind::kMac: return LearnedKey::mac(domain, mac);
        case LearnedKind::kGroupMember: return LearnedKey::group_member(domain, place.port, mac);
        case LearnedKind::kPending: return LearnedKey::pending(domain, place.port, ip);
        default: return LearnedKey::binding(domain, place.port, ip);
    }
}

}  // namespace

const char* list_of(LearnedKind kind) noexcept {
    switch (kind) {
        case LearnedKind::kBinding: return "bindings";
        case LearnedKind::kPending: return "pending";
        case LearnedKind::kMac: return "macs";
        case LearnedKind::kGroupMember: return "groups";
        default: return nullptr;
    }
}

json write_learned(const PortPlace& place, const LearnedRow& row) {
    const Domain* domain =
        find_network(place, [&](const Domain& each) { return each.id == row.key.domain; });
    if (domain == nullptr || list_of(row.key.kind) == nullptr) { return nullptr; }
    const auto ago_ms = [&](std::uint64_t then) {
        return (place.now_ns - std::min(place.now_ns, then)) / kNsPerMs;
    };
    json out{{"source", source_text(row.value.source, "data")},
             {"idle_ms", ago_ms(row.value.last_seen_ns)}};
    set_port_network(out, *domain);
    if (row.value.expires_ns != 0) {
        out["expires_ms"] =
            (std::max(row.value.expires_ns, place.now_ns) - place.now_ns) / kNsPerMs;
    }
    if (has_mac_key(row.key.kind)) {
        out["mac"] = to_string(row.key.mac_address());
        return out;
    }
    out["ip"] = to_string(row.key.ip_address());
    out["mac"] = to_string(row.value.mac);
    if (row.key.kind == LearnedKind::kPending) {
        out["count"] = row.value.detail;
        out["rejected"] = (row.value.flags & kPendingRejected) != 0;
    }
    return out;
}

Result<LearnedRow> read_learned(const PortPlace& place, LearnedKind kind, const json& row) {
    const auto invalid = [](const std::string& what) { return Error{Errc::kInvalid, what, ""}; };
    if (!row.is_object()) { return invalid("it is no object"); }
    ParamReader read(row);
    const Result<const Domain*> network = read_network(place, read);
    if (!network) { return network.error(); }
    const std::string mac_text = read.required_text("mac");
    const std::optional<MacAddr> mac = parse_mac(mac_text);
    if (!mac) { return invalid("mac \"" + mac_text + "\" is no MAC address"); }
    std::optional<IpAddr> ip = IpAddr{};
    if (!has_mac_key(kind)) {
        const std::string text = read.required_text("ip");
        ip = parse_ip(text);
        if (!ip) { return invalid("ip \"" + text + "\" is no IP address"); }
    }
    const std::string source_name = read.text("source", "data");
    const std::optional<LearnedSource> source = source_of(source_name);
    if (!source) { return invalid("source \"" + source_name + "\" is unknown"); }
    const std::uint64_t idle_ms = std::min(read.count("idle_ms", 0), kExpiresMsMax);
    const std::uint64_t expires_ms = read.count("expires_ms", 0);
    if (expires_ms > kExpiresMsMax) {
        return invalid("expires_ms " + std::to_string(expires_ms) + " is above " +
                       std::to_string(kExpiresMsMax));
    }
    const bool lasts = read.value("expires_ms") == nullptr;
    LearnedRow out;
    out.key = key_of(place, kind, network.value()->id, *ip, *mac);
    out.value.mac = has_mac_key(kind) ? MacAddr{} : *mac;
    if (kind == LearnedKind::kMac) { out.value.port = place.port; }
    out.value.source = *source;
    out.value.last_seen_ns = place.now_ns - std::min(place.now_ns, idle_ms * kNsPerMs);
    out.value.expires_ns = lasts ? 0 : place.now_ns + expires_ms * kNsPerMs;
    if (kind == LearnedKind::kPending) {
        out.value.detail =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(read.count("count", 0), UINT32_MAX));
        out.value.flags = read.flag("rejected") ? kPendingRejected : std::uint8_t{0};
    }
    if (Status status = read.finish(); !status) { return status.error(); }
    return out;
}

}  // namespace sluice::daemon
