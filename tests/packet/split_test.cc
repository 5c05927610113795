// SPDX-License-Identifier: Apache-2.0
// The verdict on a datagram does not change with how it is split: each conformance case
// (tests/system/cases) runs again with its datagrams in random fragments, in random order, in
// random segments of buffers, over random bursts. What is itself a fragment, malformed, or nothing
// that may be fragmented (ARP, ND, MLD) is cut into segments only. Seeds are printed.
#include <algorithm>
#include <fstream>
#include <random>

#include "datapath/parse.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr unsigned kSeedsPerCase = 8;
constexpr std::size_t kFragmentHeader = 8;

json read_cases() {
    std::ifstream file(SLUICE_CASES_FILE);
    return json::parse(file).at("cases");
}

Bytes from_hex(const std::string& text) {
    Bytes out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        out.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
    }
    return out;
}

json allow_all() {
    return json_of(R"({"switches": [{"name": "dvs0"}],
        "port_groups": [{"name": "lan", "switch": "dvs0", "limits": {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}}],
        "ports": [{"name": "a", "port_group": "lan", "mac": "02:00:00:00:0a:01", "ips": ["192.0.2.10", "2001:db8:a::10", "fe80::ff:fe00:a01"]},
                  {"name": "b", "port_group": "lan", "mac": "02:00:00:00:0b:01", "ips": ["198.51.100.20", "2001:db8:b::20"]}]})");
}

json firewall() {
    json document = allow_all();
    document["dfw"] =
        json_of(R"({"default": "drop", "exclude": ["b"], "sections": [{"name": "a", "rules": [
        {"name": "out", "action": "allow", "direction": "out", "applied_to": ["a"]},
        {"name": "in", "action": "allow", "direction": "in", "services": ["tcp/80", "udp/53"], "applied_to": ["a"]}]}]})");
    return document;
}

json snooping() {
    json document = allow_all();
    json trusted = document["port_groups"][0];
    document["port_groups"][0]["spoofguard"] = "manual";
    document["port_groups"][0]["guards"] = {{"dhcp_server", true}, {"ra", true}};
    trusted["name"] = "trusted";
    trusted["guards"] = {{"bpdu", false}, {"dhcp_server", false}, {"ra", false}};
    trusted["security"] = {{"promiscuous", true}, {"forged_transmits", true}};
    document["port_groups"].push_back(trusted);
    document["ports"][1] = {{"name", "b"}, {"port_group", "trusted"}, {"mac", "02:00:00:00:0b:01"}};
    return document;
}

/// What may be done to one frame.
struct Anatomy {
    explicit Anatomy(const Bytes& frame) {
        datapath::parse_frame_general(frame.data(), static_cast<std::uint16_t>(frame.size()),
                                      static_cast<std::uint32_t>(frame.size()), PortIndex{1},
                                      parsed);
        const bool is_flow = parsed.frame_class == FrameClass::kFlow;
        const InspectKind kind = parsed.inspect_kind;
        const bool is_gathered = kind == InspectKind::kDhcp4 || kind == InspectKind::kDhcp6 ||
                                 kind == InspectKind::kIcmpError;
        const bool is_datagram = parsed.key.is_ip() && parsed.l4_offset != 0 && !parsed.fragment &&
                                 !parsed.key.has(kKeyTagged);
        // Where a fragment header goes behind other headers is another test's business.
        const std::uint32_t l4_plain = parsed.l3_offset + (parsed.key.has(kKeyIpv4) ? 0U : 40U);
        const bool is_simple = parsed.key.has(kKeyIpv4) || parsed.l4_offset == l4_plain;
        // A UDP head must hold more than its header, or it is too small.
        const std::uint32_t header = parsed.tcp_header_size != 0  ? parsed.tcp_header_size
                                     : parsed.key.protocol == 132 ? 12U
                                     : parsed.key.protocol == 17  ? 9U
                                                                  : 8U;
        head_size = (header + 7U) / 8U * 8U;
        may_split =
            (is_flow || is_gathered) && is_datagram && is_simple && parsed.l4_size > head_size;
        // Headers, and messages that the switch reads, lie in the first buffer.
        first_segment = !is_flow
                            ? frame.size()
                            : std::max<std::size_t>(parsed.l4_offset + std::size_t{header}, 60);
    }
    ParsedFrame parsed;
    std::size_t head_size = 8;
    std::size_t first_segment = SIZE_MAX;
    bool may_split = false;
};

void put16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

/// The bytes [begin, end) of the payload of an IPv4 packet as a fragment.
Bytes piece4(const Bytes& frame, const Anatomy& of, std::size_t begin, std::size_t end,
             std::uint16_t id) {
    const std::size_t l3 = of.parsed.l3_offset;
    const std::size_t l4 = of.parsed.l4_offset;
    Bytes out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(l4));
    put16(out, l3 + 2, l4 - l3 + end - begin);
    put16(out, l3 + 4, id);
    put16(out, l3 + 6, begin / 8 | (end < of.parsed.l4_size ? 0x2000U : 0U));
    put16(out, l3 + 10, 0);
    std::uint32_t sum = 0;
    for (std::size_t i = l3; i < l4; i += 2) { sum += out[i] * 256U + out[i + 1]; }
    sum = (sum & 0xffffU) + (sum >> 16U);
    put16(out, l3 + 10, 0xffffU & ~((sum & 0xffffU) + (sum >> 16U)));
    const auto payload = frame.begin() + static_cast<std::ptrdiff_t>(l4);
    out.insert(out.end(), payload + static_cast<std::ptrdiff_t>(begin),
               payload + static_cast<std::ptrdiff_t>(end));
    return out;
}

Bytes piece6(const Bytes& frame, const Anatomy& of, std::size_t begin, std::size_t end,
             std::uint16_t id) {
    const std::size_t l3 = of.parsed.l3_offset;
    Bytes out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(l3) + 40);
    Bytes header(kFragmentHeader);
    header[0] = out[l3 + 6];
    put16(header, 2, begin | (end < of.parsed.l4_size ? 1U : 0U));
    put16(header, 6, id);
    out[l3 + 6] = 44;
    put16(out, l3 + 4, kFragmentHeader + end - begin);
    out.insert(out.end(), header.begin(), header.end());
    const auto payload = frame.begin() + of.parsed.l4_offset;
    out.insert(out.end(), payload + static_cast<std::ptrdiff_t>(begin),
               payload + static_cast<std::ptrdiff_t>(end));
    return out;
}

class Splitter {
public:
    explicit Splitter(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

    /// The frame, or its datagram in pieces, in an order of chance.
    std::vector<Bytes> pieces_of(const Bytes& frame, const Anatomy& of) {
        if (!of.may_split) { return {frame}; }
        std::vector<std::size_t> cuts;
        const std::size_t most = 1 + below(8);
        for (std::size_t i = 0; i < most; ++i) {
            const std::size_t rest = of.parsed.l4_size - of.head_size;
            const std::size_t cut = of.head_size + below((rest + 7) / 8) * 8;
            if (cut < of.parsed.l4_size) { cuts.push_back(cut); }
        }
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        cuts.push_back(of.parsed.l4_size);
        std::vector<Bytes> out;
        std::size_t begin = 0;
        ++id_;
        for (const std::size_t cut : cuts) {
            out.push_back(of.parsed.key.has(kKeyIpv4) ? piece4(frame, of, begin, cut, id_)
                                                      : piece6(frame, of, begin, cut, id_));
            begin = cut;
        }
        std::shuffle(out.begin(), out.end(), random_);
        return out;
    }

    std::vector<std::uint16_t> segments_of(const Bytes& frame, std::size_t first) {
        std::vector<std::uint16_t> cuts;
        if (first >= frame.size() || below(2) == 0) { return cuts; }
        cuts.push_back(static_cast<std::uint16_t>(first + below(frame.size() - first)));
        for (std::size_t i = below(4); i > 0; --i) {
            cuts.push_back(static_cast<std::uint16_t>(1 + below(60)));
        }
        return cuts;
    }

private:
    std::mt19937 random_;
    std::uint16_t id_ = 0x4000;
};

/// Sends the step's datagram in pieces; empty if the verdict is the one that the case demands.
std::string judge(Pipeline& p, const json& step, Splitter& splitter) {
    const std::string from = step.at("dir");
    const std::string to = from == "a" ? "b" : "a";
    const Bytes frame = from_hex(step.at("frame"));
    const Anatomy anatomy(frame);
    std::vector<Bytes> pieces = splitter.pieces_of(frame, anatomy);
    const std::uint64_t drops = p.drops();
    p.port(from).burst_max = 1 + splitter.below(32);
    for (const Bytes& piece : pieces) {
        const std::size_t first = pieces.size() == 1 ? anatomy.first_segment : 14 + 60 + 60;
        p.send(from, piece, splitter.segments_of(piece, first));
        if (splitter.below(3) == 0) { p.step(); }
    }
    p.step();
    std::vector<Bytes> came = p.sent(to);
    const std::string expected = step.at("expect");
    if (expected == "*") { return ""; }
    const bool has_all = std::all_of(pieces.begin(), pieces.end(), [&](const Bytes& piece) {
        return std::find(came.begin(), came.end(), piece) != came.end();
    });
    const std::string what = std::to_string(came.size()) + " came out of " +
                             std::to_string(pieces.size()) + ", dropped " +
                             std::to_string(p.drops() - drops);
    if (expected == "P") { return has_all ? "" : "must pass: " + what; }
    return !has_all && p.drops() > drops ? "" : "must be dropped: " + what;
}

void run_cases(const json& document, const std::string& kinds, bool is_policy_free) {
    static const json cases = read_cases();
    std::size_t judged = 0;
    for (const json& each : cases) {
        const std::string name = each.at("id");
        if (kinds.find(name[0]) == std::string::npos || name == "F22") { continue; }
        for (unsigned seed = 0; seed < kSeedsPerCase; ++seed) {
            SCOPED_TRACE(name + " seed " + std::to_string(seed));
            Pipeline p(document, {.flow_cache = seed % 2 == 0});
            Splitter splitter(seed);
            for (const json& step : each.at("steps")) {
                const bool is_policy = step.value("policy", false);
                const std::string wrong = judge(p, step, splitter);
                if (is_policy_free && (is_policy || step.at("expect") == "P")) { continue; }
                EXPECT_EQ(wrong, "") << step.at("text");
                ++judged;
            }
            EXPECT_TRUE(p.forget_fragments().packets_conserved());
        }
    }
    EXPECT_GT(judged, 100u) << "the cases were read";
}

TEST(Split, VerdictsOfTheFirewallHold) { run_cases(firewall(), "TWFUIGX", false); }
TEST(Split, WhatIsDroppedAnywayIsDroppedInPieces) { run_cases(allow_all(), "TWFUIGX", true); }
TEST(Split, VerdictsOfSwitchSecurityHold) { run_cases(snooping(), "DANS", false); }

}  // namespace
}  // namespace sluice::test
