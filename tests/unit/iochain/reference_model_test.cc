// SPDX-License-Identifier: Apache-2.0
// Random packets on 64 conversations: the connection table and the plain reference model say the
// same of every one, and are in the same state behind it. SLUICE_SEED and SLUICE_PACKETS choose
// others; without a seed each run has its own, which it names.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "connection_rig.h"
#include "reference_tracker.h"

namespace sluice::test {
namespace {

constexpr unsigned kConversations = 64;
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kPackets = 1'000'000;
#else
constexpr std::uint64_t kPackets = 10'000'000;
#endif
constexpr unsigned kFirstOfB = 32, kFirstUdp = 48, kFirstUdpOfB = 54, kFirstPing = 58;

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// A packet that its conversation may see next, or one that is near to that.
class Generator {
public:
    Generator(std::uint64_t seed, const ReferenceTracker& model) : random_(seed), model_(model) {}

    ModelPacket next() {
        ModelPacket packet;
        packet.conversation = roll() % kConversations;
        packet.from_a = roll() % 2 == 0;
        if (packet.conversation >= kFirstUdp) { return datagram(packet); }
        packet.b_may_open = packet.conversation >= kFirstOfB;
        constexpr std::uint8_t kS = kTcpSyn, kSA = kTcpSyn | kTcpAck, kA = kTcpAck,
                               kFA = kTcpFin | kTcpAck, kR = kTcpRst, kRA = kTcpRst | kTcpAck;
        packet.flags = static_cast<std::uint8_t>(
            pick({kS, kS, kSA, kSA, kA, kA, kA, kA, kA, kA, kA, kFA, kFA, kFA, kA,
                  roll() % 4 == 0 ? kR : kA, roll() % 4 == 0 ? kRA : kA}));
        packet.window = static_cast<std::uint16_t>(pick({0, 1, 1000, 65535, 65535, roll()}));
        if (packet.is(kTcpSyn) && roll() % 2 == 0) { packet.scale = static_cast<int>(roll() % 16); }
        packet.data_size = pick({0, 0, 0, 0, 0, 1, 10, 1400, 65495});
        number(packet);
        return packet;
    }
    std::uint32_t roll() { return static_cast<std::uint32_t>(random_()); }

private:
    ModelPacket datagram(ModelPacket packet) {
        packet.protocol = packet.conversation < kFirstPing ? 17 : 1;
        packet.b_may_open = packet.conversation >= kFirstUdpOfB;
        packet.is_answer = packet.protocol == 1 && !packet.from_a;
        return packet;
    }
    void number(ModelPacket& packet) {
        const ModelConnection* known = model_.find(packet.conversation);
        if (known == nullptr || roll() % 32 == 0) {
            packet.sequence = roll();
            packet.ack = roll();
            return;
        }
        const bool is_opener = packet.from_a == known->opened_by_a;
        const ModelSide& own = known->sides[is_opener ? 0 : 1];
        const ModelSide& other = known->sides[is_opener ? 1 : 0];
        packet.sequence = near({own.sent, own.sent, own.sent, other.acked, own.granted});
        packet.ack = near({other.sent, other.sent, other.sent, own.acked});
    }
    std::uint32_t near(std::initializer_list<std::int64_t> marks) {
        const auto mark = marks.begin()[roll() % marks.size()];
        return static_cast<std::uint32_t>(mark) +
               pick({0, 0, 0, 0, 0,   0,   0,    0,      0,     0,       0,
                     0, 0, 0, 1, ~0U, ~1U, 1400, ~1400U, 65535, ~65999U, ~66000U});
    }
    std::uint32_t pick(std::initializer_list<std::uint32_t> choices) {
        return choices.begin()[roll() % choices.size()];
    }
    std::mt19937_64 random_;
    const ReferenceTracker& model_;
};

std::uint16_t client_port(unsigned conversation) {
    return static_cast<std::uint16_t>(kPortA + conversation);
}

Frame frame_of(const ModelPacket& packet) {
    const From from = packet.from_a ? From::kA : From::kB;
    const std::uint16_t client = client_port(packet.conversation);
    if (packet.protocol == 1) { return icmp(from, packet.is_answer ? 0 : 8, 0, client); }
    const std::uint16_t server = packet.protocol == 17 ? 53 : (packet.b_may_open ? 80 : kPortB);
    const std::uint16_t of_a = packet.b_may_open ? server : client;
    const std::uint16_t of_b = packet.b_may_open ? client : server;
    if (packet.protocol == 17) {
        return packet.from_a ? udp(from, of_a, of_b) : udp(from, of_b, of_a);
    }
    Segment segment{from, packet.flags, packet.sequence, packet.ack, packet.data_size};
    segment.window = packet.window;
    segment.port_a = of_a;
    segment.port_b = of_b;
    if (packet.scale >= 0) { segment.options = {1, 3, 3, static_cast<std::uint8_t>(packet.scale)}; }
    return tcp_frame(segment);
}

std::string text_of(const ModelPacket& p) {
    return "conversation " + std::to_string(p.conversation) + (p.from_a ? " a" : " b") + " flags " +
           std::to_string(p.flags) + " sequence " + std::to_string(p.sequence) + " ack " +
           std::to_string(p.ack) + " data " + std::to_string(p.data_size) + " window " +
           std::to_string(p.window) + " scale " + std::to_string(p.scale);
}

TEST(ReferenceModel, AgreesOnEveryPacketAndStateOf64Conversations) {
    const auto clock = std::chrono::system_clock::now().time_since_epoch().count();
    const std::uint64_t seed = number_from("SLUICE_SEED", static_cast<std::uint64_t>(clock));
    const std::uint64_t count = number_from("SLUICE_PACKETS", kPackets);
    ConnectionRig rig(256);
    ReferenceTracker model;
    Generator generator(seed, model);
    std::int64_t now_s = 1000;
    std::array<std::uint64_t, kConnectionStateCount> visits{};
    for (std::uint64_t i = 0; i < count; ++i) {
        if (generator.roll() % 256 == 0) {
            constexpr std::array<std::int64_t, 8> kPauses{1, 5, 12, 28, 35, 62, 125, 100'000};
            now_s += kPauses[generator.roll() % kPauses.size()];
            rig.now_ns = static_cast<std::uint64_t>(now_s) * kSecondNs;
        }
        const ModelPacket packet = generator.next();
        if (model.is_uncertain(packet, now_s)) { continue; }
        const DropReason real = rig.send(frame_of(packet));
        const DropReason expected = model.judge(packet, now_s);
        ASSERT_EQ(to_string(real), to_string(expected))
            << "seed " << seed << " packet " << i << ": " << text_of(packet);
        const ModelConnection* known = model.find(packet.conversation);
        if (known == nullptr) { continue; }
        ASSERT_EQ(static_cast<int>(rig.state()), static_cast<int>(known->state))
            << "seed " << seed << " packet " << i << ": " << text_of(packet);
        ++visits[static_cast<std::size_t>(known->state)];
    }
    for (auto state = ConnectionState::kTcpSynSent; state <= ConnectionState::kIcmpTwoWay;
         state = static_cast<ConnectionState>(static_cast<unsigned>(state) + 1)) {
        EXPECT_GT(visits[static_cast<std::size_t>(state)], count / 10'000)
            << "seed " << seed << " state " << static_cast<unsigned>(state);
    }
}

}  // namespace
}  // namespace sluice::test
