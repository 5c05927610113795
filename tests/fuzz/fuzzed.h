// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share: a promise that aborts, bytes read off an input, frames in mbufs that
// no pool owns. Any bytes are an input; a target ends early on those that it has no use for.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace sluice::fuzz {

using Bytes = std::vector<std::uint8_t>;

inline void require(bool fact, const char* text) {
    if (fact) { return; }
    std::fprintf(stderr, "promise broken: %s\n", text);
    std::abort();
}

/// Takes an input from front to back; zeroes when it has ended.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
    [[nodiscard]] bool is_empty() const noexcept { return rest_.empty(); }
    std::uint8_t byte() {
        if (rest_.empty()) { return 0; }
        const std::uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint16_t word() {
        const unsigned high = byte();
        return static_cast<std::uint16_t>(high << 8U | byte());
    }
    /// At most `size` bytes.
    Bytes bytes(std::size_t size) {
        const auto taken = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return {taken.begin(), taken.end()};
    }

private:
    std::span<const std::uint8_t> rest_;
};

/// A frame in one or two segments, each a block of its own, so that ASan sees every step too far.
class Frame {
public:
    /// @param cut  size of the first segment; more than the frame has: all of it
    explicit Frame(const Bytes& bytes, std::size_t cut = SIZE_MAX) {
        const std::size_t first = std::min(cut, bytes.size());
        fill(segments_[0], std::span(bytes).first(first));
        segments_[0].pkt_len = static_cast<std::uint32_t>(bytes.size());
        segments_[0].nb_segs = 1;
        if (first == bytes.size()) { return; }
        fill(segments_[1], std::span(bytes).subspan(first));
        segments_[0].next = &segments_[1];
        segments_[0].nb_segs = 2;
    }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    [[nodiscard]] rte_mbuf& mbuf() noexcept { return segments_[0]; }

private:
    void fill(rte_mbuf& segment, std::span<const std::uint8_t> bytes) {
        auto& memory = memory_[&segment == segments_.get() ? 0 : 1];
        memory = std::make_unique<std::uint8_t[]>(bytes.size());
        std::copy(bytes.begin(), bytes.end(), memory.get());
        segment.buf_addr = memory.get();
        segment.data_len = static_cast<std::uint16_t>(bytes.size());
    }
    std::unique_ptr<rte_mbuf[]> segments_ = std::make_unique<rte_mbuf[]>(2);
    std::unique_ptr<std::uint8_t[]> memory_[2];
};

inline void put16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

/// 02:00:00:00:00:01 to :02.
inline Bytes ethernet(std::uint16_t type) {
    return {2,
            0,
            0,
            0,
            0,
            2,
            2,
            0,
            0,
            0,
            0,
            1,
            static_cast<std::uint8_t>(type >> 8U),
            static_cast<std::uint8_t>(type)};
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2 with right length and checksum.
inline Bytes ipv4(std::uint8_t protocol, const Bytes& payload, std::uint16_t id = 0,
                  std::uint16_t fragment = 0) {
    Bytes out = ethernet(0x0800);
    Bytes ip = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    put16(ip, 2, 20 + payload.size());
    put16(ip, 4, id);
    put16(ip, 6, fragment);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < ip.size(); i += 2) { sum += ip[i] * 256U + ip[i + 1]; }
    sum = (sum & 0xffffU) + (sum >> 16U);
    put16(ip, 10, 0xffffU & ~((sum & 0xffffU) + (sum >> 16U)));
    out.insert(out.end(), ip.begin(), ip.end());
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

/// An IPv6 packet from 2001:db8::1 to 2001:db8::2 with the right length.
inline Bytes ipv6(std::uint8_t next, const Bytes& payload, std::uint8_t hop_limit = 64) {
    Bytes out = ethernet(0x86dd);
    Bytes ip(40);
    ip[0] = 0x60;
    put16(ip, 4, payload.size());
    ip[6] = next;
    ip[7] = hop_limit;
    for (const std::size_t at : {8U, 24U}) {
        const Bytes prefix = {0x20, 0x01, 0x0d, 0xb8};
        std::copy(prefix.begin(), prefix.end(), ip.begin() + static_cast<std::ptrdiff_t>(at));
        ip[at + 15] = at == 8 ? 1 : 2;
    }
    out.insert(out.end(), ip.begin(), ip.end());
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

}  // namespace sluice::fuzz
