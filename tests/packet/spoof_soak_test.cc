// SPDX-License-Identifier: Apache-2.0
// A vNIC that lies in every way we know, in ARP, ND, IP and DHCP, behind tags, extension headers,
// fragments and mbuf segments: under SpoofGuard nothing of it leaves, all of it has a reason, and
// what is true in between passes unchanged and in order. Repeat a run with SLUICE_SEED, its length
// with SLUICE_FRAMES.
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

constexpr std::uint64_t kFrames = 60'000;
constexpr std::size_t kBatch = 48;
constexpr std::uint16_t kVlan = 10;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

const IpAddr kLocal6 = ip("fe80::ff:fe00:1"), kAny4 = ip("0.0.0.0"), kAny6 = ip("::");

/// vm1, a trunk under SpoofGuard; vm2, a trunk that hears everything.
nlohmann::json document_of(const char* spoofguard) {
    nlohmann::json document = json_of(R"({"switches": [{"name": "dvs0"}], "port_groups": [
        {"name": "guarded", "switch": "dvs0", "arp_suppression": false,
         "vlan": {"mode": "trunk", "ranges": ["10-11"]},
         "limits": {"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0}},
        {"name": "open", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["10-11"]},
         "security": {"promiscuous": true, "forged_transmits": true},
         "guards": {"bpdu": false, "dhcp_server": false, "ra": false}}]})");
    document["port_groups"][0]["spoofguard"] = spoofguard;
    document["ports"] = {port_of("vm1", "guarded", kVm1), port_of("vm2", "open", kVm2)};
    document["ports"][0].erase("ips");
    if (std::string(spoofguard) == "manual") {
        document["ports"][0]["ips"] = {"10.0.0.1", "2001:db8::1", "fe80::ff:fe00:1"};
    }
    return document;
}

void set16(Bytes& frame, std::size_t at, unsigned value) {
    frame[at] = static_cast<std::uint8_t>(value >> 8U);
    frame[at + 1] = static_cast<std::uint8_t>(value);
}

/// Puts an extension header of eight bytes between the IPv6 header of an untagged frame and what
/// follows.
Bytes extended(Bytes frame, std::uint8_t type) {
    constexpr std::uint8_t kRouting = 43;  // Of type 4, with nowhere left to go; else padding.
    const auto first = static_cast<std::uint8_t>(type == kRouting ? 4 : 1);
    const Bytes header = {frame[20], 0, first, static_cast<std::uint8_t>(type == kRouting ? 0 : 4),
                          0,         0, 0,     0};
    frame[20] = type;
    frame.insert(frame.begin() + 54, header.begin(), header.end());
    set16(frame, 18, (unsigned{frame[18]} << 8U | frame[19]) + 8U);
    return frame;
}

bool is_ipv6(const Bytes& frame) { return frame[12] == 0x86 && frame[13] == 0xdd; }
bool is_ip(const Bytes& frame) { return is_ipv6(frame) || (frame[12] == 8 && frame[13] == 0); }

class Liar {
public:
    explicit Liar(std::uint64_t seed) : random_(seed) {}

    [[nodiscard]] unsigned below(unsigned bound) {
        return static_cast<unsigned>(random_() % bound);
    }
    [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }

    /// A frame that vm1 may send.
    Bytes truth();
    /// A frame that it may not, perhaps in pieces.
    Frames lie();
    std::vector<std::uint16_t> cuts();

private:
    IpAddr foreign4();
    IpAddr foreign6();
    MacAddr foreign_mac();
    Path towards(const IpAddr& source);
    Bytes dhcp(const Path& path, std::uint8_t operation, std::uint8_t type, const MacAddr& client,
               const IpAddr& client_ip, std::uint16_t from_port);
    Path discovery() { return {kVm1.mac, kBroadcast, kAny4, ip("255.255.255.255")}; }
    Bytes lying_arp();
    Bytes lying_nd();
    Bytes lying_ip();
    Bytes lying_dhcp();
    Bytes transport(const Path& path);
    void dress(Frames& pieces);

    std::mt19937_64 random_;
};

IpAddr Liar::foreign4() {
    switch (below(16)) {
        case 0: return kVm2.ip4;
        case 1: return kAny4;
        case 2: return ip("255.255.255.255");
        case 3: return ip("224.0.0.1");
        case 4:
        case 5:
        case 6:
        case 7: return IpAddr::v4(0x0a000002U + below(250));
        default: return IpAddr::v4(static_cast<std::uint32_t>(random_()) | 0x0b000000U);
    }
}

IpAddr Liar::foreign6() {
    IpAddr out = below(2) == 0 ? kVm2.ip6 : kLocal6;
    switch (below(16)) {
        case 0: return kVm2.ip6;
        case 1: return kAny6;
        case 2: return ip("ff02::1");
        default: out.bytes[8 + below(7)] ^= static_cast<std::uint8_t>(1 + below(255));
    }
    return out;
}

MacAddr Liar::foreign_mac() {
    MacAddr out = chance(50) ? kVm2.mac : kVm1.mac;
    if (out == kVm1.mac) { out.bytes[1 + below(5)] ^= static_cast<std::uint8_t>(1 + below(255)); }
    return out;
}

Path Liar::towards(const IpAddr& source) {
    Path path = source.is_v6() ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
    path.source = source;
    return path;
}

Bytes Liar::transport(const Path& path) {
    const auto port = static_cast<std::uint16_t>(1 + below(4));
    switch (below(3)) {
        case 0: return udp(path, port, 9, below(1200));
        case 1: return tcp(path, port, 80, {.flags = kTcpSyn});
        default: return ping(path, port);
    }
}

Bytes Liar::dhcp(const Path& path, std::uint8_t operation, std::uint8_t type, const MacAddr& client,
                 const IpAddr& client_ip, std::uint16_t from_port) {
    Bytes l4(8 + 236, 0);
    set16(l4, 0, from_port);
    set16(l4, 2, from_port == 68 ? 67 : 68);
    l4[8] = operation;
    l4[9] = 1;
    l4[10] = 6;
    std::copy(client_ip.bytes.begin() + 12, client_ip.bytes.end(), l4.begin() + 8 + 12);
    std::copy(client.bytes.begin(), client.bytes.end(), l4.begin() + 8 + 28);
    for (const int byte : {0x63, 0x82, 0x53, 0x63, 53, 1, int{type}, 255}) {
        l4.push_back(static_cast<std::uint8_t>(byte));
    }
    l4.resize(l4.size() + 60, 0);
    set16(l4, 4, static_cast<unsigned>(l4.size()));
    return packet(path, 17, l4);
}

Bytes Liar::truth() {
    const auto request = [](const IpAddr& sender, const IpAddr& target) {
        return arp(kVm1.mac, kBroadcast, {1, kVm1.mac, sender, {}, target});
    };
    switch (below(12)) {
        case 0: return request(kVm1.ip4, kVm2.ip4);
        case 1: return request(kVm1.ip4, kVm1.ip4);
        case 2: return request(kAny4, kVm1.ip4);
        case 3: return arp(kVm1.mac, kVm2.mac, {2, kVm1.mac, kVm1.ip4, kVm2.mac, kVm2.ip4});
        case 4: return neighbour(towards(kVm1.ip6), 135, kVm2.ip6);
        case 5: return neighbour(towards(kLocal6), 136, kVm1.ip6);
        case 6: return detection(kVm1.mac, chance(50) ? kLocal6 : kVm1.ip6);
        case 7: return dhcp(discovery(), 1, 1, kVm1.mac, kAny4, 68);
        case 8: return udp(towards(kLocal6), 1, 9, below(100));
        case 9: return udp(towards(kVm1.ip6), 1, 9, below(100));
        default:
            return udp(towards(kVm1.ip4), static_cast<std::uint16_t>(1 + below(4)), 9, below(100));
    }
}

Bytes Liar::lying_arp() {
    const MacAddr to = chance(60) ? kBroadcast : kVm2.mac;
    const auto operation = static_cast<std::uint16_t>(1 + below(2));
    switch (below(4)) {
        case 0: return arp(foreign_mac(), to, {operation, foreign_mac(), kVm1.ip4, {}, kVm2.ip4});
        case 1: return arp(kVm1.mac, to, {operation, foreign_mac(), kVm1.ip4, {}, kVm2.ip4});
        case 2: {
            IpAddr target = foreign4();
            if (target == kAny4) { target = kVm2.ip4; }
            return arp(kVm1.mac, to, {1, kVm1.mac, kAny4, {}, target});
        }
        default: {
            IpAddr sender = foreign4();
            if (sender == kAny4) { sender = kVm2.ip4; }
            const IpAddr target = chance(50) ? sender : kVm2.ip4;
            return arp(kVm1.mac, to, {operation, kVm1.mac, sender, {}, target});
        }
    }
}

Bytes Liar::lying_nd() {
    const auto type = static_cast<std::uint8_t>(135 + below(2));
    IpAddr other = foreign6();
    if (other == kAny6) { other = kVm2.ip6; }
    Path path = towards(chance(50) ? kVm1.ip6 : kLocal6);
    switch (below(5)) {
        case 0: path.source = other; return neighbour(path, type, kVm1.ip6);
        case 1: return neighbour(path, 136, other);
        case 2: return detection(kVm1.mac, other);
        case 3: {  // Another's link-layer address inside.
            path.source_mac = foreign_mac();
            Bytes frame = neighbour(path, type, type == 136 ? kVm1.ip6 : kVm2.ip6);
            std::copy(kVm1.mac.bytes.begin(), kVm1.mac.bytes.end(), frame.begin() + 6);
            return frame;
        }
        default: {  // A router's advertisement or redirect, as long as they are without options.
            const bool advertises = chance(50);
            path.source = kLocal6;
            Bytes frame = icmp(path, advertises ? 134 : 137, 0, advertises ? 8 : 32);
            frame[21] = 255;  // Hop limit.
            return frame;
        }
    }
}

Bytes Liar::lying_ip() {
    if (chance(15)) {
        Path path = towards(chance(50) ? kVm1.ip4 : kVm1.ip6);
        path.source_mac = foreign_mac();
        return transport(path);
    }
    return transport(towards(chance(50) ? foreign4() : foreign6()));
}

Bytes Liar::lying_dhcp() {
    IpAddr other = foreign4();
    if (other == kAny4) { other = kVm2.ip4; }
    Path path = discovery();
    switch (below(5)) {
        case 0: return dhcp(path, 1, 1, foreign_mac(), kAny4, 68);
        case 1: return dhcp(path, 1, 3, kVm1.mac, other, 68);
        case 2:
            return dhcp(path, 2, static_cast<std::uint8_t>(chance(50) ? 2 : 5), kVm1.mac, kAny4,
                        67);
        case 3: path.source = other; return dhcp(path, 1, 3, kVm1.mac, other, 68);
        default: {
            IpAddr source = foreign6();
            return udp({kVm1.mac, mac("33:33:00:01:00:02"), source, ip("ff02::1:2")}, 546, 547, 40);
        }
    }
}

/// Pieces, headers and tags, as no honest stack has them.
void Liar::dress(Frames& pieces) {
    if (is_ip(pieces[0]) && chance(25)) {
        const Bytes whole = pieces[0];
        pieces = fragments(whole, 8U * (1 + below(20)), static_cast<std::uint32_t>(random_()));
        if (chance(50)) { std::shuffle(pieces.begin(), pieces.end(), random_); }
        if (chance(20)) {
            pieces.erase(pieces.begin() + below(static_cast<unsigned>(pieces.size())));
        }
        if (pieces.empty()) { pieces = {whole}; }
    }
    for (Bytes& piece : pieces) {
        if (!is_ipv6(piece)) { continue; }
        for (unsigned count = chance(30) ? 1 + below(3) : 0; count > 0; --count) {
            piece = extended(piece, chance(70) ? 60 : 43);
        }
        if (chance(10)) { piece = extended(piece, 0); }
    }
    const unsigned tag = below(20);
    for (Bytes& piece : pieces) {
        if (tag == 0) { continue; }
        piece =
            tagged(piece, static_cast<std::uint16_t>(tag == 1 ? 1 + below(4094) : kVlan + tag % 2));
        if (tag == 2) { piece = tagged(piece, kVlan); }
    }
}

Frames Liar::lie() {
    Frames pieces;
    switch (below(4)) {
        case 0: pieces = {lying_arp()}; break;
        case 1: pieces = {lying_nd()}; break;
        case 2: pieces = {lying_dhcp()}; break;
        default: pieces = {lying_ip()};
    }
    dress(pieces);
    return pieces;
}

std::vector<std::uint16_t> Liar::cuts() {
    std::vector<std::uint16_t> out;
    if (!chance(20)) { return out; }
    out.push_back(static_cast<std::uint16_t>(160 + below(200)));  // The headers are in one piece.
    for (unsigned count = below(3); count > 0; --count) {
        out.push_back(static_cast<std::uint16_t>(1 + below(60)));
    }
    return out;
}

/// vm1 under SpoofGuard, and what it has sent.
class Soak {
public:
    Soak(const char* spoofguard, std::uint64_t seed)
        : liar_(seed), p_(document_of(spoofguard), {.buffer_count = 8191}) {
        for (const Bytes& frame : {arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm1.ip4}),
                                   detection(kVm1.mac, kLocal6), detection(kVm1.mac, kVm1.ip6),
                                   // The third of IPv6: no room is left under `auto`.
                                   detection(kVm1.mac, ip("2001:db8::77"))}) {
            p_.send("vm1", tagged(frame, kVlan));
        }
        p_.step().port("vm2").clear_sent();
        before_ = p_.drops();
    }

    /// False: something left that should not, or did not that should.
    bool run_batch() {
        expected_.clear();
        for (std::size_t i = 0; i < kBatch; ++i) { liar_.chance(15) ? tell_truth() : tell_lie(); }
        p_.step();
        const bool is_right = p_.sent("vm2") == expected_ && p_.sent("vm1").empty();
        p_.advance(kMillisecond * (1 + liar_.below(200)));
        return is_right;
    }

    /// What the last batch sent, for the message.
    [[nodiscard]] std::uint64_t lie_count() const noexcept { return lie_count_; }
    [[nodiscard]] std::uint64_t truth_count() const noexcept { return truth_count_; }
    [[nodiscard]] std::uint64_t frame_count() const noexcept { return lie_count_ + truth_count_; }
    [[nodiscard]] std::uint64_t dropped() const { return p_.drops() - before_; }
    Pipeline& pipeline() noexcept { return p_; }

    /// Lets the pieces that wait time out.
    void settle() {
        for (int i = 0; i < 200; ++i) { p_.advance(kSecond).step(); }
    }

private:
    void tell_truth() {
        const Bytes frame = tagged(liar_.truth(), kVlan);
        expected_.push_back(frame);
        ++truth_count_;
        p_.send("vm1", frame);
    }
    void tell_lie() {
        for (const Bytes& piece : liar_.lie()) {
            ++lie_count_;
            std::vector<std::uint16_t> cuts = liar_.cuts();
            std::size_t size = 0;
            for (const std::uint16_t cut : cuts) { size += cut; }
            if (size >= piece.size()) { cuts.clear(); }
            p_.send("vm1", piece, cuts);
        }
    }

    Liar liar_;
    Pipeline p_;
    Frames expected_;
    std::uint64_t before_ = 0, lie_count_ = 0, truth_count_ = 0;
};

void run(const char* spoofguard) {
    const std::uint64_t seed = from_environment("SLUICE_SEED", std::random_device{}());
    const std::uint64_t frames = from_environment("SLUICE_FRAMES", kFrames);
    std::cout << "seed " << seed << "; repeat with SLUICE_SEED=" << seed
              << " SLUICE_FRAMES=" << frames << std::endl;
    Soak soak(spoofguard, seed);
    while (soak.frame_count() < frames) {
        ASSERT_TRUE(soak.run_batch()) << "seed " << seed << ", frame " << soak.frame_count();
    }
    soak.settle();
    EXPECT_EQ(soak.dropped(), soak.lie_count()) << "seed " << seed;
    EXPECT_TRUE(soak.pipeline().packets_conserved()) << "seed " << seed;
    std::cout << soak.lie_count() << " lies, " << soak.truth_count() << " truths;";
    for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
        const std::uint64_t count = soak.pipeline().drops(static_cast<DropReason>(reason));
        if (count > 0) {
            std::cout << " " << to_string(static_cast<DropReason>(reason)) << " " << count;
        }
    }
    std::cout << std::endl;
}

TEST(SpoofSoak, NothingFalseLeavesUnderManual) { run("manual"); }
TEST(SpoofSoak, NothingFalseLeavesUnderAuto) { run("auto"); }

}  // namespace
}  // namespace sluice::test
