// SPDX-License-Identifier: Apache-2.0
// An entry of FragmentTable: one datagram in pieces, how it is known and what is known of it. Only
// fragment.cc and fragment_gather.cc include this. Thread: the worker that owns the table.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "datapath/fragment.h"
#include "datapath/fragment_extents.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {

inline constexpr std::uint16_t kNoEntry = 0xffff;

/// How far a datagram has come.
enum class DatagramState : std::uint8_t {
    kOpen,       ///< Head seen or not yet; pieces are added.
    kRefused,    ///< The head was dropped.
    kCondemned,  ///< Pieces are malformed, or contradict each other.
    kComplete,
};

struct FragmentTable::Identity {
    std::uint8_t source_ip[16];
    std::uint8_t destination_ip[16];
    std::uint32_t id;
    std::uint32_t tunnel;
    PortIndex port;
    std::uint16_t vlan;
    std::uint8_t flags;  // Family and tag.
    std::uint8_t
        protocol;  // IPv4 only: in IPv6 it may differ from fragment to fragment (RFC 8200 §4.5).
    std::uint16_t reserved;

    [[nodiscard]] static Identity of(const ParsedFrame& frame) noexcept {
        const FlowKey& key = frame.key;
        Identity identity{};
        std::memcpy(identity.source_ip, key.source_ip, 16);
        std::memcpy(identity.destination_ip, key.destination_ip, 16);
        identity.id = frame.fragment_id;
        identity.tunnel = key.tunnel;
        identity.port = key.port;
        identity.vlan = key.vlan;
        identity.flags = key.flags & (kKeyTagged | kKeyIpv4 | kKeyIpv6);
        identity.protocol = key.has(kKeyIpv4) ? key.protocol : std::uint8_t{0};
        return identity;
    }

    [[nodiscard]] std::uint32_t hash(std::uint64_t seed) const noexcept {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(this);
        std::uint64_t h = seed ^ 0x9e3779b97f4a7c15ULL;
        for (unsigned i = 0; i < sizeof *this; i += 16) {
            h = mix(load<std::uint64_t>(bytes + i) ^ h,
                    load<std::uint64_t>(bytes + i + 8) ^ 0xe7037ed1a0b428dbULL);
        }
        return static_cast<std::uint32_t>(h >> 32U);
    }

private:
    [[nodiscard]] static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
        const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    }
};

struct FragmentTable::Entry {
    static constexpr std::uint32_t kHeadOffset = 4;    // Of the header in its copy: 0 means none.
    static constexpr std::uint32_t kHeadSizeMax = 60;  // Largest TCP header.

    Identity identity;
    std::uint64_t expires_ns = 0;
    std::uint32_t generation = 1;
    std::uint32_t bucket = 0;
    std::uint16_t next_in_bucket = kNoEntry;
    Links in_port;  // Free entries are a queue by these, too.
    Links in_time;
    bool in_use = false;
    DatagramState state = DatagramState::kOpen;
    bool has_head = false;
    InspectKind gathered_as = InspectKind::kNone;  // Not kNone: all pieces wait for the last.
    bool any_sum = false;  // Source-routed: only the sender knows what its checksum is over.
    HeldList held;
    FragmentExtents extents;
    std::uint64_t sum = 0;  // Of raw_sum()s over what came, from the transport header on.
    FlowKey head_key;
    std::uint16_t start = 0;     // Of the fragmentable part in the head's frame.
    std::uint16_t l4_begin = 0;  // Of the transport header in the fragmentable part.
    std::uint8_t head_size = 0;  // Bytes of the header kept.
    std::uint8_t tcp_flags = 0, tcp_header_size = 0;
    L4Checksum l4_checksum = L4Checksum::kUnknown;
    std::array<std::uint8_t, kHeadOffset + kHeadSizeMax> head{};

    [[nodiscard]] bool is_over(std::uint64_t now_ns) const noexcept { return now_ns > expires_ns; }
    [[nodiscard]] bool is_v6() const noexcept { return (identity.flags & kKeyIpv6) != 0; }
    [[nodiscard]] std::uint32_t l4_size() const noexcept {
        return std::uint32_t{extents.total()} - l4_begin;
    }

    void end(std::uint64_t now_ns) noexcept {
        state = DatagramState::kComplete;
        expires_ns = now_ns;
    }

    void keep_head(const ParsedFrame& frame, std::uint32_t begin) noexcept {
        has_head = true;
        gathered_as = frame.inspect_kind;
        head_key = frame.key;
        l4_begin = static_cast<std::uint16_t>(begin);
        start = static_cast<std::uint16_t>(frame.l4_offset - begin);
        tcp_flags = frame.tcp_flags;
        tcp_header_size = frame.tcp_header_size;
        l4_checksum = frame.l4_checksum;
        const std::uint32_t here = std::min<std::uint32_t>(
            frame.l4_size, frame.data_size - std::uint32_t{frame.l4_offset});
        head_size = frame.l4_offset == 0 ? std::uint8_t{0}
                                         : static_cast<std::uint8_t>(std::min(here, kHeadSizeMax));
        std::memcpy(head.data() + kHeadOffset, frame.data + frame.l4_offset, head_size);
    }

    /// Gives a later fragment what rules ask of its head.
    void complete(ParsedFrame& frame) const noexcept {
        FlowKey& key = frame.key;
        key.source_port = head_key.source_port;
        key.destination_port = head_key.destination_port;
        key.protocol = head_key.protocol;
        key.flags |= head_key.flags & kKeyPorts;
        frame.tcp_flags = tcp_flags;
    }

    /// UDP's own length says more than what came (as parse refuses it in a whole datagram).
    [[nodiscard]] bool overstates() const noexcept {
        if (head_key.protocol != kProtocolUdp || head_size < kUdpSize) { return false; }
        return load_be16(head.data() + kHeadOffset + 4) > l4_size();
    }
};

}  // namespace sluice::datapath
