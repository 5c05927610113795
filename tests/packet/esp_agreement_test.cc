// SPDX-License-Identifier: Apache-2.0
// With and without the flow cache, the same random traffic of a host that seals gives the same
// frames, sealed alike, and the same drops. Repeat a run with SLUICE_SEED.
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/packet/esp_host.h"

namespace sluice::test {
namespace {

std::uint64_t seed() {
    const char* text = std::getenv("SLUICE_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

// Some of it required, some not, some clear, some under the other policy.
nlohmann::json rules() {
    return json_of(R"([
        {"name": "clear", "action": "clear", "services": ["udp/1"]},
        {"name": "must", "action": "encrypt", "key_policy": "kp1", "services": ["udp/2", "icmp"]},
        {"name": "other", "action": "encrypt", "key_policy": "kp2", "services": ["udp/3"]},
        {"name": "may", "action": "encrypt", "key_policy": "kp1", "required": false,
         "applied_to": ["vm1"]}])");
}

class Sides {
public:
    explicit Sides(bool is_cached) : host_(options(is_cached)) {}

    void send(const std::string& vm, const Bytes& frame) {
        host_.pipeline().send(vm, frame).step();
    }
    // @param how  0: clear, 1: under kp1, 2: under kp2, 3: under kp1, again
    void receive(const Bytes& frame, unsigned how, std::uint64_t number) {
        if (how == 0) {
            host_.rig.receive(frame);
            return;
        }
        const std::uint64_t said = how == 3 && number > 10 ? number - 10 : number;
        host_.rig.receive(seal_by_peer(frame, how == 2 ? host_.second : host_.peer, said));
    }
    [[nodiscard]] std::vector<Frames> sent() {
        Pipeline& p = host_.pipeline();
        return {p.sent("vm1"), p.sent("vm2"), p.sent("vm3")};
    }
    [[nodiscard]] std::vector<std::uint64_t> drops() {
        std::vector<std::uint64_t> out;
        for (std::size_t reason = 0; reason < kDropReasonCount; ++reason) {
            out.push_back(drops(static_cast<DropReason>(reason)));
        }
        return out;
    }
    [[nodiscard]] std::uint64_t drops(DropReason reason) {
        return host_.pipeline().drops(reason) + host_.rig.drops(reason);
    }
    [[nodiscard]] Pipeline& pipeline() { return host_.pipeline(); }

private:
    static RigOptions options(bool is_cached) {
        RigOptions out;
        out.document = encrypted(rules());
        out.pipeline.flow_cache = is_cached;
        return out;
    }
    EspHost host_;
};

Bytes any_frame(std::mt19937_64& random, const Vnic& from, const Vnic& to) {
    const auto port = static_cast<std::uint16_t>(1 + random() % 4);
    const auto other = static_cast<std::uint16_t>(1 + random() % 4);
    const Path path = random() % 2 == 0 ? v4(from, to) : v6(from, to);
    return random() % 8 == 0 ? ping(path) : udp(path, other, port, random() % 200);
}

TEST(EspAgreement, TheCacheSealsAsTheChainSays) {
    const std::uint64_t seeded = seed();
    std::cout << "SLUICE_SEED=" << seeded << "\n";
    std::mt19937_64 random(seeded);
    Sides cached(true), walked(false);
    for (std::uint64_t step = 1; step <= 20000; ++step) {
        const bool is_first = random() % 2 == 0;
        const Vnic& vm = is_first ? kVm1 : kVm2;
        if (random() % 2 == 0) {
            const Vnic& to = random() % 4 == 0 ? (is_first ? kVm2 : kVm1) : kFar;
            const Bytes frame = any_frame(random, vm, to);
            for (Sides* side : {&cached, &walked}) { side->send(is_first ? "vm1" : "vm2", frame); }
        } else {
            const Bytes frame = any_frame(random, kFar, vm);
            const auto how = static_cast<unsigned>(random() % 4);
            for (Sides* side : {&cached, &walked}) { side->receive(frame, how, step); }
        }
        ASSERT_EQ(cached.sent(), walked.sent()) << "step " << step;
    }
    EXPECT_EQ(cached.drops(), walked.drops());
    EXPECT_GT(cached.drops(DropReason::kPolicyClear), 100u);
    EXPECT_GT(cached.drops(DropReason::kEspReplay), 100u);
    EXPECT_GT(cached.drops(DropReason::kNoKey), 100u) << "kp2 has no key to send with";
    EXPECT_TRUE(cached.pipeline().packets_conserved());
    EXPECT_TRUE(walked.pipeline().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
