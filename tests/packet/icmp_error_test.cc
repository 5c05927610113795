// SPDX-License-Identifier: Apache-2.0
// ICMP errors pass with the connection that they quote, and only with it.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

/// Default drop; vm1 may ask vm2 for DNS.
nlohmann::json dns_only() {
    nlohmann::json document = three_vms();
    document["dfw"] = json_of(
        R"({"default": "drop", "sections": [{"name": "s", "rules": [{"name": "dns", "services": ["udp/53"]}]}]})");
    return document;
}

TEST(IcmpError, PassesWithTheConnectionThatItQuotes) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(dns_only());
        const Bytes question = udp(path, 1000, 53);
        const Bytes error =
            icmp_error(path.back(), path.is_v6() ? 1 : 3, path.is_v6() ? 4 : 3, question);
        p.send("vm2", error).step();
        EXPECT_EQ(p.drops("vm2", DropReason::kIcmpNoConnection), 1u) << "nobody has asked yet";
        p.send("vm1", question).step().send("vm2", error).step();
        EXPECT_EQ(p.sent("vm1"), Frames{error});
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(IcmpError, OfARouterOnTheWayPasses) {
    Pipeline p(dns_only());
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    const Bytes error = icmp_error(v4(kVm3, kVm1), 11, 0, question);
    p.send("vm1", question).step().send("vm3", error).step();
    EXPECT_EQ(p.sent("vm1"), Frames{error});
}

TEST(IcmpError, ToSomebodyElseThanTheQuotedSenderIsMalformed) {
    Pipeline p(dns_only());
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", question).step().send("vm2", icmp_error(v4(kVm2, kVm3), 3, 3, question)).step();
    EXPECT_EQ(p.sent("vm3"), Frames{});
    EXPECT_EQ(p.drops("vm2", DropReason::kBadIcmp), 1u);
}

TEST(IcmpError, DoesNotEndTheConnection) {
    Pipeline p(dns_only());
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", question).step().send("vm2", icmp_error(v4(kVm2, kVm1), 3, 3, question)).step();
    EXPECT_EQ(p.connections().size(), 1u);
}

}  // namespace
}  // namespace sluice::test
