// SPDX-License-Identifier: Apache-2.0
// ConnectionRig: a connection table and what the datapath does around it for one packet (find,
// policy, open, track), for unit tests. `a` is the protected VM, which may open anything; `b` may
// open tcp/80 and udp/53 only.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "sluice/iochain/chain.h"

namespace sluice::test {

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;
inline constexpr DomainId kDomain{7};
inline constexpr PortIndex kPortOfA{3};
inline constexpr std::uint16_t kPortA = 40000;
inline constexpr std::uint16_t kPortB = 443;

enum class From : std::uint8_t { kA, kB };

inline constexpr ConnectionTimeouts kTimeouts{120 * kSecondNs, 60 * kSecondNs,  86400 * kSecondNs,
                                              120 * kSecondNs, 240 * kSecondNs, 30 * kSecondNs,
                                              120 * kSecondNs, 10 * kSecondNs,  30 * kSecondNs,
                                              180 * kSecondNs, 60 * kSecondNs,  60 * kSecondNs};

/// One TCP segment between a:40000 and b:443.
struct Segment {
    From from = From::kA;
    std::uint8_t flags = 0;
    std::uint32_t sequence = 0;
    std::uint32_t ack = 0;
    std::uint32_t data_size = 0;
    std::uint16_t window = 65535;
    std::vector<std::uint8_t> options = {};
    std::uint16_t port_a = kPortA;
    std::uint16_t port_b = kPortB;
};

/// A frame that owns its bytes.
struct Frame {
    std::vector<std::uint8_t> bytes;
    ParsedFrame parsed;
};

inline void put16(std::vector<std::uint8_t>& out, std::size_t at, std::uint32_t value) {
    out[at] = static_cast<std::uint8_t>(value >> 8U);
    out[at + 1] = static_cast<std::uint8_t>(value);
}
inline void put32(std::vector<std::uint8_t>& out, std::size_t at, std::uint32_t value) {
    put16(out, at, value >> 16U);
    put16(out, at + 2, value & 0xffffU);
}

inline constexpr std::size_t kL4 = 34;  // Ethernet and an IPv4 header.

inline FlowKey key_of(From from, std::uint8_t protocol, std::uint16_t source_port,
                      std::uint16_t destination_port) {
    const std::array<std::uint8_t, 4> a{192, 0, 2, 10};
    const std::array<std::uint8_t, 4> b{198, 51, 100, 20};
    FlowKey key;
    key.flags = kKeyIpv4 | kKeyPorts;
    key.protocol = protocol;
    std::memcpy(key.source_ip + 12, from == From::kA ? a.data() : b.data(), 4);
    std::memcpy(key.destination_ip + 12, from == From::kA ? b.data() : a.data(), 4);
    key.source_port = Be16::from_host(source_port);
    key.destination_port = Be16::from_host(destination_port);
    return key;
}

/// Headers only: the payload is counted, not carried.
inline Frame tcp_frame(const Segment& s) {
    Frame f;
    const std::size_t header = 20 + (s.options.size() + 3) / 4 * 4;
    f.bytes.resize(kL4 + header);
    put32(f.bytes, kL4 + 4, s.sequence);
    put32(f.bytes, kL4 + 8, s.ack);
    f.bytes[kL4 + 12] = static_cast<std::uint8_t>(header / 4 << 4U);
    f.bytes[kL4 + 13] = s.flags;
    put16(f.bytes, kL4 + 14, s.window);
    std::ranges::copy(s.options, f.bytes.begin() + kL4 + 20);
    const bool from_a = s.from == From::kA;
    f.parsed.key = key_of(s.from, 6, from_a ? s.port_a : s.port_b, from_a ? s.port_b : s.port_a);
    f.parsed.data = f.bytes.data();
    f.parsed.data_size = static_cast<std::uint16_t>(f.bytes.size());
    f.parsed.l4_offset = kL4;
    f.parsed.l4_size = static_cast<std::uint32_t>(header) + s.data_size;
    f.parsed.tcp_flags = s.flags;
    f.parsed.tcp_header_size = static_cast<std::uint8_t>(header);
    return f;
}

inline Frame datagram(From from, std::uint8_t protocol, std::uint16_t source_port,
                      std::uint16_t destination_port) {
    Frame f;
    f.bytes.resize(kL4 + 8);
    f.parsed.key = key_of(from, protocol, source_port, destination_port);
    f.parsed.data = f.bytes.data();
    f.parsed.data_size = static_cast<std::uint16_t>(f.bytes.size());
    f.parsed.l4_offset = kL4;
    f.parsed.l4_size = 8;
    return f;
}
inline Frame udp(From from, std::uint16_t source_port, std::uint16_t destination_port) {
    return datagram(from, 17, source_port, destination_port);
}
inline Frame icmp(From from, unsigned type, unsigned code, std::uint16_t id) {
    return datagram(from, 1, static_cast<std::uint16_t>(type << 8U | code), id);
}

/// Untouched pages for an arena.
class Arena {
public:
    explicit Arena(std::uint32_t capacity) : size_(ConnectionTable::arena_bytes(capacity)) {
        data_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    ~Arena() { munmap(data_, size_); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    [[nodiscard]] void* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    std::size_t size_;
    void* data_;
};

class ConnectionRig {
public:
    explicit ConnectionRig(std::uint32_t capacity = 256, ConnectionLimits limits = {},
                           unsigned workers = 1)
        : arena_(capacity), table(arena_.data(), capacity, workers, 0x5eed) {
        table.configure(kTimeouts, limits);
    }

    /// What the datapath does with one packet. kNone: it passed.
    DropReason send(const ParsedFrame& frame) {
        const TupleOfFrame tuple = tuple_of(frame.key, kDomain);
        ConnectionHandle handle = table.find(tuple, now_ns);
        for (int round = 0; round < 2; ++round) {
            if (!handle.is_set()) {
                if (!policy_allows(frame.key)) { return DropReason::kDfwDeny; }
                const OpenResult opened = table.open(0, request_of(tuple), frame, now_ns);
                if (!opened.handle.is_set()) { return opened.reason; }
                handle = opened.handle;
            }
            const TrackOutcome outcome =
                table.track(frame, handle, table.side_of(handle, tuple), now_ns);
            last = handle;
            if (outcome.result != TrackResult::kStale) { return outcome.reason; }
            handle = {};
        }
        return DropReason::kTcpState;
    }
    DropReason send(const Frame& frame) { return send(frame.parsed); }
    DropReason send(const Segment& segment) { return send(tcp_frame(segment)); }

    [[nodiscard]] OpenRequest request_of(const TupleOfFrame& tuple) const {
        OpenRequest request;
        request.tuple = tuple;
        request.opener_port = kPortOfA;
        request.opener_stateful = true;
        request.tcp_strict = tcp_strict;
        request.judged_generation = 1;
        return request;
    }
    [[nodiscard]] ConnectionState state() {
        Connection record;
        return table.snapshot(last, record) ? record.state : ConnectionState::kClosed;
    }
    [[nodiscard]] Connection record() {
        Connection copy;
        (void)table.snapshot(last, copy);
        return copy;
    }

private:
    static bool policy_allows(const FlowKey& key) {
        if (key.source_ip[12] == 192) { return true; }
        const std::uint16_t port = key.destination_port.host();
        return (key.protocol == 6 && port == 80) || (key.protocol == 17 && port == 53) ||
               key.protocol == 1;
    }
    Arena arena_;

public:
    ConnectionTable table;
    std::uint64_t now_ns = 1000 * kSecondNs;
    ConnectionHandle last;
    bool tcp_strict = true;
};

}  // namespace sluice::test
