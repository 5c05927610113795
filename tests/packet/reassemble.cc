// SPDX-License-Identifier: Apache-2.0
// Reassemble: see reassemble.h.
#include "tests/packet/reassemble.h"

#include <algorithm>
#include <sstream>

namespace sluice::test {
namespace {

unsigned get16(const Bytes& bytes, std::size_t at) {
    return bytes.at(at) * 256U + bytes.at(at + 1);
}
std::uint32_t get32(const Bytes& bytes, std::size_t at) {
    return get16(bytes, at) * 65536U + get16(bytes, at + 2);
}

std::uint64_t sum_of(const Bytes& bytes, std::size_t begin, std::size_t end) {
    std::uint64_t sum = 0;
    for (std::size_t i = begin; i < end; ++i) {
        sum += (i - begin) % 2 == 0 ? bytes.at(i) * 256U : bytes.at(i);
    }
    return sum;
}
unsigned folded(std::uint64_t sum) {
    while (sum >> 16U != 0) { sum = (sum & 0xffffU) + (sum >> 16U); }
    return static_cast<unsigned>(sum);
}

/// Where things lie in a TCP frame.
struct View {
    explicit View(const Bytes& bytes) : frame(bytes) {
        l3 = get16(frame, 12) == 0x8100 ? 18 : 14;
        v6 = get16(frame, l3 - 2) == 0x86dd;
        if (v6) {
            end = l3 + 40 + get16(frame, l3 + 4);
            l4 = l3 + 40;
            for (unsigned next = frame.at(l3 + 6); next != 6; next = step(next)) {}
        } else {
            end = l3 + get16(frame, l3 + 2);
            l4 = l3 + (frame.at(l3) & 0x0fU) * 4U;
        }
        payload = l4 + (frame.at(l4 + 12) >> 4U) * 4U;
    }
    unsigned step(unsigned) {
        const unsigned next = frame.at(l4);
        l4 += (frame.at(l4 + 1) + 1U) * 8U;
        return next;
    }
    [[nodiscard]] unsigned flags() const { return frame.at(l4 + 13); }
    [[nodiscard]] std::uint64_t pseudo_header() const {
        const std::size_t begin = l3 + (v6 ? 8 : 12);
        return sum_of(frame, begin, begin + (v6 ? 32 : 8)) + 6 + (end - l4);
    }
    /// The headers with zeroes where segments may differ.
    [[nodiscard]] Bytes constant_headers() const {
        Bytes out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(payload));
        const auto clear = [&](std::size_t at, std::size_t size) {
            std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at), size, std::uint8_t{0});
        };
        clear(l3 + (v6 ? 4 : 2), 2);
        if (!v6) {
            clear(l3 + 4, 2);
            clear(l3 + 10, 2);
        }
        clear(l4 + 4, 4);
        clear(l4 + 13, 1);
        clear(l4 + 16, 2);
        return out;
    }
    const Bytes& frame;
    std::size_t l3 = 0, l4 = 0, payload = 0, end = 0;
    bool v6 = false;
};

std::string network_fault(const View& whole, const View& cut, std::size_t index) {
    if (cut.end != cut.frame.size()) { return "IP length"; }
    if (cut.v6) { return ""; }
    if (folded(sum_of(cut.frame, cut.l3, cut.l3 + (cut.frame[cut.l3] & 0x0fU) * 4U)) != 0xffff) {
        return "IPv4 header checksum";
    }
    const auto id = static_cast<std::uint16_t>(get16(whole.frame, whole.l3 + 4) + index);
    return get16(cut.frame, cut.l3 + 4) == id ? "" : "IPv4 id";
}

std::string transport_fault(const View& whole, const View& cut, std::size_t at, bool is_first,
                            bool is_last, Sum sum) {
    const std::uint32_t sequence =
        get32(whole.frame, whole.l4 + 4) + static_cast<std::uint32_t>(at);
    if (get32(cut.frame, cut.l4 + 4) != sequence) { return "sequence number"; }
    unsigned flags = whole.flags();
    if (!is_last) { flags &= ~unsigned{kTcpFin | kTcpPsh}; }
    if (!is_first) { flags &= ~unsigned{kTcpCwr}; }
    if (cut.flags() != flags) { return "TCP flags"; }
    const bool right =
        sum == Sum::kPartial
            ? get16(cut.frame, cut.l4 + 16) == folded(cut.pseudo_header())
            : folded(cut.pseudo_header() + sum_of(cut.frame, cut.l4, cut.end)) == 0xffff;
    return right ? "" : "TCP checksum";
}

}  // namespace

std::string faults_of_cut(const Bytes& whole, const std::vector<Bytes>& segments, std::size_t most,
                          Sum sum) {
    const View all(whole);
    const std::size_t size = all.end - all.payload;
    std::ostringstream out;
    std::size_t at = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const View cut(segments[i]);
        const std::size_t carried = cut.end - cut.payload;
        std::string fault = network_fault(all, cut, i);
        if (fault.empty()) {
            fault = transport_fault(all, cut, at, i == 0, i + 1 == segments.size(), sum);
        }
        if (fault.empty() && cut.constant_headers() != all.constant_headers()) {
            fault = "headers";
        }
        if (fault.empty() && carried != std::min(most, size - std::min(at, size))) {
            fault = "payload size " + std::to_string(carried);
        }
        if (fault.empty() &&
            !std::equal(cut.frame.begin() + static_cast<std::ptrdiff_t>(cut.payload),
                        cut.frame.end(),
                        whole.begin() + static_cast<std::ptrdiff_t>(all.payload + at))) {
            fault = "payload";
        }
        if (!fault.empty()) { out << "segment " << i << ": " << fault << "; "; }
        at += carried;
    }
    if (at != size) { out << at << " of " << size << " bytes of payload; "; }
    return out.str();
}

}  // namespace sluice::test
