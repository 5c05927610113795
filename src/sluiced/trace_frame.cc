// SPDX-License-Identifier: Apache-2.0
// Trace frame: see trace_frame.h.
#include "src/sluiced/trace_frame.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "sluice/iochain/frame.h"

namespace sluice::daemon {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132;
constexpr std::int64_t kSourcePort = 40000;  // Of a client that does not say.
constexpr std::array<std::string_view, 8> kFlagWords{"fin", "syn", "rst", "psh",
                                                     "ack", "urg", "ece", "cwr"};

Error invalid(std::string_view key, const std::string& value, const std::string& expected) {
    return {Errc::kInvalid, "trace: " + std::string(key) + " " + value + " is not " + expected,
            "trace"};
}

std::optional<std::uint8_t> protocol_of(std::string_view text, bool is_v6) {
    if (text == "tcp") { return kTcp; }
    if (text == "udp") { return kUdp; }
    if (text == "sctp") { return kSctp; }
    if (text == "icmp") { return is_v6 ? kIcmp6 : kIcmp; }
    if (text == "icmpv6") { return kIcmp6; }
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number > 255) {
        return std::nullopt;
    }
    return static_cast<std::uint8_t>(number);
}

std::optional<std::uint8_t> flags_of(std::string_view text) {
    std::uint8_t flags = 0;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const auto at = std::find(kFlagWords.begin(), kFlagWords.end(), text.substr(0, comma));
        if (at == kFlagWords.end()) { return std::nullopt; }
        flags = static_cast<std::uint8_t>(flags | 1U << (at - kFlagWords.begin()));
        if (comma == std::string_view::npos) { break; }
        text.remove_prefix(comma + 1);
    }
    return flags;
}

/// A number of the question, or its default.
class Numbers {
public:
    std::uint16_t take(std::string_view key, std::int64_t value, std::int64_t otherwise,
                       std::int64_t max) {
        if (value < 0) { value = otherwise; }
        if (value > max && !fault_) {
            fault_ = invalid(key, std::to_string(value), "0.." + std::to_string(max));
        }
        return static_cast<std::uint16_t>(value);
    }
    [[nodiscard]] const std::optional<Error>& fault() const noexcept { return fault_; }

private:
    std::optional<Error> fault_;
};

/// Bytes in wire order.
class Writer {
public:
    void put(std::uint64_t value, unsigned bytes) {
        while (bytes-- > 0) { out_.push_back(static_cast<std::uint8_t>(value >> (8U * bytes))); }
    }
    template <typename Range>
    void append(const Range& range, std::size_t from = 0) {
        out_.insert(out_.end(), range.begin() + static_cast<std::ptrdiff_t>(from), range.end());
    }
    void mend_ipv4(std::size_t at) {
        std::uint32_t sum = 0;
        for (std::size_t i = at; i < at + 20; i += 2) { sum += out_[i] << 8U | out_[i + 1]; }
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = ~(sum + (sum >> 16U));
        out_[at + 10] = static_cast<std::uint8_t>(sum >> 8U);
        out_[at + 11] = static_cast<std::uint8_t>(sum);
    }
    [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
    [[nodiscard]] std::vector<std::uint8_t> take() && { return std::move(out_); }

private:
    std::vector<std::uint8_t> out_;
};

std::vector<std::uint8_t> transport_of(const TraceFrame& frame) {
    Writer out;
    const bool is_icmp = frame.protocol == kIcmp || frame.protocol == kIcmp6;
    if (is_icmp) {  // Type, code, checksum, identifier, sequence number.
        out.put(frame.icmp_type, 1);
        out.put(frame.icmp_code, 1);
        out.put(0, 6);
        return std::move(out).take();
    }
    if (frame.protocol != kTcp && frame.protocol != kUdp && frame.protocol != kSctp) {
        out.put(0, 8);
        return std::move(out).take();
    }
    out.put(frame.source_port, 2);
    out.put(frame.destination_port, 2);
    if (frame.protocol == kTcp) {
        out.put(1, 4);
        out.put((frame.tcp_flags & kTcpAck) != 0 ? 1 : 0, 4);
        out.put(5U << 4U, 1);
        out.put(frame.tcp_flags, 1);
        out.put(65535, 2);
        out.put(0, 4);
    } else if (frame.protocol == kUdp) {
        out.put(8, 2);
        out.put(1, 2);  // 0 is illegal in IPv6 (RFC 8200 §8.1).
    } else {            // Verification tag, checksum, an empty INIT chunk's head (RFC 9260 §3).
        out.put(0, 8);
        out.put(0x01000004U, 4);
    }
    return std::move(out).take();
}

}  // namespace

Result<TraceFrame> frame_of(const TraceQuestion& question, bool is_v6) {
    TraceFrame frame;
    const bool has_ports = question.sport >= 0 || question.dport >= 0 || !question.flags.empty();
    const std::string proto = !question.proto.empty() ? question.proto : has_ports ? "tcp" : "icmp";
    const auto protocol = protocol_of(proto, is_v6);
    if (!protocol) { return invalid("proto", proto, "tcp, udp, sctp, icmp, icmpv6 or 0..255"); }
    frame.protocol = *protocol;
    const auto flags = flags_of(question.flags.empty() ? "syn" : question.flags);
    if (!flags) {
        return invalid("flags", question.flags, "a list of fin, syn, rst, psh, ack, urg, ece, cwr");
    }
    frame.tcp_flags = *flags;
    const std::int64_t echo = frame.protocol == kIcmp6 ? 128 : 8;
    Numbers numbers;
    frame.source_port = numbers.take("sport", question.sport, kSourcePort, 65535);
    frame.destination_port = numbers.take("dport", question.dport, 0, 65535);
    frame.icmp_type =
        static_cast<std::uint8_t>(numbers.take("icmp_type", question.icmp_type, echo, 255));
    frame.icmp_code =
        static_cast<std::uint8_t>(numbers.take("icmp_code", question.icmp_code, 0, 255));
    frame.dscp = static_cast<std::uint8_t>(numbers.take("dscp", question.dscp, 0, 63));
    if (question.vlan >= 0) { frame.vlan = numbers.take("vlan", question.vlan, 0, 4094); }
    if (numbers.fault()) { return *numbers.fault(); }
    return frame;
}

std::vector<std::uint8_t> bytes_of(const TraceFrame& frame) {
    const std::vector<std::uint8_t> transport = transport_of(frame);
    const bool is_v6 = frame.source.is_v6();
    Writer out;
    out.append(frame.destination_mac.bytes);
    out.append(frame.source_mac.bytes);
    if (frame.vlan) { out.put(0x81000000U | *frame.vlan, 4); }
    out.put(is_v6 ? 0x86dd : 0x0800, 2);
    const std::size_t ip = out.size();
    if (is_v6) {
        out.put(0x60000000U | std::uint32_t{frame.dscp} << 22U, 4);
        out.put(transport.size(), 2);
        out.put(frame.protocol, 1);
        out.put(64, 1);
        out.append(frame.source.bytes);
        out.append(frame.destination.bytes);
    } else {
        out.put(0x4500U | frame.dscp << 2U, 2);
        out.put(20 + transport.size(), 2);
        out.put(0x00004000U, 4);
        out.put(64U << 8U | frame.protocol, 2);
        out.put(0, 2);
        out.append(frame.source.bytes, 12);
        out.append(frame.destination.bytes, 12);
        out.mend_ipv4(ip);
    }
    out.append(transport);
    return std::move(out).take();
}

}  // namespace sluice::daemon
