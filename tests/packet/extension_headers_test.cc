// SPDX-License-Identifier: Apache-2.0
// IPv6 extension headers hide nothing: what stands behind them is judged as if it stood in front
// (RFC 7112, RFC 7113, RFC 8200 §4.1).
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;

/// A header of eight bytes: padding, or a routing header of type 2 that has arrived.
Bytes header(std::uint8_t kind, std::uint8_t next) {
    if (kind == kRouting) { return {next, 0, 2, 0, 0, 0, 0, 0}; }
    if (kind == kFragment) { return {next, 0, 0, 0, 0, 0, 0, 9}; }
    return {next, 0, 1, 4, 0, 0, 0, 0};
}

/// `frame` (IPv6, no extension headers) with these headers before its transport header.
Bytes behind(const std::vector<std::uint8_t>& kinds, const Bytes& frame, std::uint8_t hop_limit) {
    Bytes out(frame.begin(), frame.begin() + 54);
    std::uint8_t next = frame[20];
    Bytes headers;
    for (std::size_t i = kinds.size(); i > 0; --i) {
        Bytes one = header(kinds[i - 1], next);
        for (const std::uint8_t byte : headers) { one.push_back(byte); }
        headers = one;
        next = kinds[i - 1];
    }
    out[20] = next;
    out[21] = hop_limit;
    const std::size_t size = headers.size() + frame.size() - 54;
    out[18] = static_cast<std::uint8_t>(size >> 8U);
    out[19] = static_cast<std::uint8_t>(size);
    for (const std::uint8_t byte : headers) { out.push_back(byte); }
    for (std::size_t i = 54; i < frame.size(); ++i) { out.push_back(frame[i]); }
    return out;
}

const std::vector<std::vector<std::uint8_t>> kChains = {
    {kDestinationOptions},
    {kHopByHop},
    {kHopByHop, kDestinationOptions, kRouting, kDestinationOptions},
};

TEST(ExtensionHeaders, HideNoRouterAdvertisement) {
    Pipeline p(two_vms());
    std::uint64_t count = 0;
    for (const auto& chain : kChains) {
        for (const std::uint8_t type : Bytes{134, 137}) {
            const Bytes message = icmp(v6(kVm1, kVm2), type, 0, type == 134 ? 8 : 32);
            p.send("vm1", behind(chain, message, 255)).step();
            EXPECT_EQ(p.drops("vm1", DropReason::kGuardRa), ++count);
        }
    }
    EXPECT_TRUE(p.sent("vm2").empty());
}

TEST(ExtensionHeaders, AndAFragmentHeaderMakeNoNeighbourDiscovery) {
    Pipeline p(two_vms());
    const Bytes message = icmp(v6(kVm1, kVm2), 134, 0, 40);
    p.send("vm1", behind({kFragment}, message, 255));
    p.send("vm1", behind({kHopByHop, kFragment, kDestinationOptions}, message, 255)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kBadNd), 2u) << "atomic fragments (RFC 6980)";
    EXPECT_TRUE(p.sent("vm2").empty());
}

/// The head's chain ends in options, the advertisement begins in the second fragment (RFC 7113
/// §2.2).
TEST(ExtensionHeaders, ThatFillTheHeadAreDroppedWithTheRest) {
    Pipeline p(two_vms());
    const Bytes whole = behind({kDestinationOptions}, icmp(v6(kVm1, kVm2), 134, 0, 40), 255);
    const auto piece = [&](std::size_t begin, std::size_t end, bool more) {
        Bytes out(whole.begin(), whole.begin() + 54);
        out[20] = kFragment;
        out[19] = static_cast<std::uint8_t>(8 + end - begin);
        for (const unsigned byte :
             {60U, 0U, 0U, unsigned(begin) | (more ? 1U : 0U), 0U, 0U, 0U, 5U}) {
            out.push_back(static_cast<std::uint8_t>(byte));
        }
        for (std::size_t i = 54 + begin; i < 54 + end; ++i) { out.push_back(whole[i]); }
        return out;
    };
    p.send("vm1", piece(8, whole.size() - 54, false)).step();
    EXPECT_EQ(p.drops(), 0u) << "it waits";
    p.send("vm1", piece(0, 8, true)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kBadFragment), 2u);
    EXPECT_TRUE(p.sent("vm2").empty());
    EXPECT_TRUE(p.packets_conserved());
}

TEST(ExtensionHeaders, HideNoDhcpServer) {
    Pipeline p(two_vms());
    std::uint64_t count = 0;
    for (const auto& chain : kChains) {
        p.send("vm1", behind(chain, udp(v6(kVm1, kVm2), 547, 546, 40), 64)).step();
        EXPECT_EQ(p.drops("vm1", DropReason::kGuardDhcpServer), ++count);
    }
    EXPECT_TRUE(p.sent("vm2").empty());
}

TEST(ExtensionHeaders, HideNoPort) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["udp/69"]}]}]})");
    Pipeline p(document);
    for (const auto& chain : kChains) {
        const Bytes good = behind(chain, udp(v6(kVm1, kVm2), 1000, 70, 40), 64);
        p.send("vm1", good)
            .send("vm1", behind(chain, udp(v6(kVm1, kVm2), 1000, 69, 40), 64))
            .step();
        EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{good});
    }
}

}  // namespace
}  // namespace sluice::test
