// SPDX-License-Identifier: Apache-2.0
// Captures: copies are what entered and what left, byte for byte; a dropped frame says why and
// where; captures take no packet buffers and don't touch the books; with and without the flow cache
// they are the same.
#include "datapath/capture.h"

#include <chrono>
#include <cstdlib>
#include <sstream>

#include "sluice/base/limits.h"
#include "tests/packet/random_traffic.h"

namespace sluice::test {
namespace {

using datapath::Capture;
using datapath::CaptureRecord;
using datapath::CaptureRing;
using datapath::CaptureSet;

/// A record as control sees it.
struct Seen {
    PortIndex port = kNoPort;
    Direction direction = Direction::kFromVm;
    unsigned captures = 0;
    DropReason reason = DropReason::kNone;
    unsigned slot = datapath::kNoSlot;
    PortIndex slot_port = kNoPort;
    unsigned judged = 0;
    std::uint32_t frame_size = 0;
    Bytes bytes;
    bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
    return out << "port " << seen.port.value << " direction " << static_cast<int>(seen.direction)
               << " captures " << seen.captures << " reason " << to_string(seen.reason) << " slot "
               << seen.slot << " of " << seen.slot_port.value << " judged " << seen.judged << " "
               << seen.frame_size << " bytes, " << seen.bytes.size() << " kept";
}

/// Captures on a pipeline.
class Watcher {
public:
    explicit Watcher(Pipeline& pipeline, std::uint32_t ring_bytes = 1U << 20U)
        : pipeline_(pipeline) {
        for (unsigned w = 0; w < pipeline.dataplane().worker_count(); ++w) {
            rings_.push_back(std::make_shared<CaptureRing>(ring_bytes));
        }
    }
    ~Watcher() { publish(nullptr); }
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    Watcher& add(const Capture& capture) {
        captures_[count_++] = capture;
        publish(std::make_unique<const CaptureSet>(captures_, rings_));
        return *this;
    }
    /// Whole frames of a port both ways, or of a slot of it.
    Watcher& add(const std::string& port, std::uint8_t slot = datapath::kNoSlot) {
        Capture capture;
        capture.port = pipeline_.index_of(port);
        capture.slot = slot;
        return add(capture);
    }
    std::vector<Seen> take() {
        std::vector<Seen> seen;
        for (const auto& ring : rings_) {
            while (const CaptureRecord* record = ring->front()) {
                seen.push_back({record->port, record->direction, record->captures, record->reason,
                                record->drop_slot, record->drop_port, record->judged,
                                record->frame_size,
                                Bytes(record->bytes(), record->bytes() + record->captured_size)});
                ring->pop();
            }
        }
        return seen;
    }
    [[nodiscard]] std::uint64_t missed(unsigned capture) const {
        std::uint64_t sum = 0;
        for (const auto& ring : rings_) { sum += ring->missed(capture); }
        return sum;
    }

private:
    void publish(std::unique_ptr<const CaptureSet> set) {
        const std::uint64_t token = pipeline_.dataplane().publish_captures(std::move(set));
        pipeline_.step();
        ASSERT_TRUE(pipeline_.dataplane().is_settled(token));
        pipeline_.dataplane().reclaim();
    }
    Pipeline& pipeline_;
    std::array<Capture, kCaptureMax> captures_;
    unsigned count_ = 0;
    std::vector<std::shared_ptr<CaptureRing>> rings_;
};

nlohmann::json with_rules(const char* rules) {
    nlohmann::json document = two_vms();
    document["dfw"]["sections"] =
        nlohmann::json::array({{{"name", "s"}, {"rules", json_of(rules)}}});
    return document;
}

TEST(Capture, ShowsWhatEnteredAndWhatLeft) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    watcher.add("vm1").add("vm2");
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 2000);
    p.send("vm1", frame, {44, 10}).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].port, p.index_of("vm1"));
    EXPECT_EQ(seen[0].direction, Direction::kFromVm);
    EXPECT_EQ(seen[0].bytes, frame);
    EXPECT_EQ(seen[1].port, p.index_of("vm2"));
    EXPECT_EQ(seen[1].direction, Direction::kToVm);
    EXPECT_EQ(seen[1].bytes, frame);
    EXPECT_EQ(seen[1].captures, 2u);
    EXPECT_EQ(seen[1].reason, DropReason::kNone);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Capture, ShowsTagsAsTheyAreOnEachSide) {
    nlohmann::json document = two_vms();
    document["port_groups"] = json_of(
        R"([{"name": "lan", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
            {"name": "all", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-100"]}}])");
    document["ports"][1]["port_group"] = "all";
    Pipeline p(document);
    Watcher watcher(p);
    watcher.add("vm1").add("vm2").add("vm2", kSlotDfw);
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 2000);
    p.send("vm1", frame).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].bytes, frame);
    EXPECT_EQ(seen[1].captures, 4u);
    EXPECT_EQ(seen[1].bytes, frame) << "a slot sees it before the tag is put on";
    EXPECT_EQ(seen[2].captures, 2u);
    EXPECT_EQ(seen[2].bytes, tagged(frame, 10));
}

TEST(Capture, NamesReasonAndSlotOfAFrameDroppedAtItsSource) {
    Pipeline p(with_rules(
        R"([{"name": "no", "action": "drop", "direction": "out", "services": ["udp/53"]}])"));
    Watcher watcher(p);
    watcher.add("vm1").add("vm2");
    for (int i = 0; i < 2; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step(); }
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 2u) << "vm2 never sees it";
    for (const Seen& each : seen) {
        EXPECT_EQ(each.reason, DropReason::kDfwDeny);
        EXPECT_EQ(each.slot, kSlotDfw);
        EXPECT_EQ(each.slot_port, p.index_of("vm1"));
    }
}

TEST(Capture, ShowsAFrameDroppedAtItsDestinationOnBothPorts) {
    Pipeline p(with_rules(
        R"([{"name": "no", "action": "drop", "direction": "in", "services": ["udp/53"], "applied_to": ["vm2"]}])"));
    Watcher watcher(p);
    watcher.add("vm1").add("vm2").add("vm2", kSlotDfw).add("vm2", kSlotSwsec);
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].captures, 1u);
    EXPECT_EQ(seen[0].reason, DropReason::kDfwDeny);
    EXPECT_EQ(seen[0].slot_port, p.index_of("vm2"));
    EXPECT_EQ(seen[1].port, p.index_of("vm2"));
    EXPECT_EQ(seen[1].direction, Direction::kToVm);
    EXPECT_EQ(seen[1].captures, 2u | 4u) << "slot 1 comes after slot 2 and never saw it";
    EXPECT_EQ(seen[1].reason, DropReason::kDfwDeny);
    EXPECT_EQ(seen[1].bytes, frame);
}

TEST(Capture, NamesWhatTheConnectionStepDrops) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    watcher.add("vm1", kSlotDfw);
    p.send("vm1", tcp(v4(kVm1, kVm2), 1000, 80, {.flags = kTcpAck})).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].reason, DropReason::kTcpNoConnection);
    EXPECT_EQ(seen[0].slot, kSlotDfw);
    EXPECT_EQ(seen[0].judged >> kSlotDfw & 1U, 1u);
}

TEST(Capture, NamesFramesThatAreMalformedOrForNobody) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    watcher.add("vm1");
    p.send("vm1", Bytes(10, 0xff)).send("vm1", udp(v4(kVm1, kVm3), 1, 2)).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].reason, DropReason::kTruncatedFrame);
    EXPECT_EQ(seen[0].slot, datapath::kNoSlot);
    EXPECT_EQ(seen[1].reason, DropReason::kUnknownUnicast);
}

TEST(Capture, ShowsFramesThatTheirReceiverDidNotTake) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    watcher.add("vm1").add("vm2");
    p.port("vm2").room = 1;
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 2000);
    p.send("vm1", frame).send("vm1", frame).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 4u);
    EXPECT_EQ(seen[0].reason, DropReason::kNone);
    EXPECT_EQ(seen[1].reason, DropReason::kTxQueueFull) << "amended after its copy was made";
    EXPECT_EQ(seen[2].reason, DropReason::kNone);
    EXPECT_EQ(seen[3].reason, DropReason::kTxQueueFull);
    EXPECT_EQ(seen[3].port, p.index_of("vm2"));
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Capture, ShowsEachCopyAtItsPort) {
    nlohmann::json document = three_vms();
    document["dfw"] = json_of(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "applied_to": ["vm3"], "direction": "in"}]}]})");
    Pipeline p(document);
    Watcher watcher(p);
    watcher.add("vm1").add("vm2").add("vm3");
    Path everyone = v4(kVm1, kVm2);
    everyone.destination_mac = kBroadcast;
    everyone.destination = ip("255.255.255.255");
    for (int i = 0; i < 2; ++i) {
        p.send("vm1", udp(everyone, 1000, 2000)).step();
        const std::vector<Seen> seen = watcher.take();
        ASSERT_EQ(seen.size(), 3u);
        EXPECT_EQ(seen[0].port, p.index_of("vm1"));
        EXPECT_EQ(seen[0].reason, DropReason::kNone) << "the original was copied";
        EXPECT_EQ(seen[1].port, p.index_of("vm3"));
        EXPECT_EQ(seen[1].reason, DropReason::kDfwDeny);
        EXPECT_EQ(seen[2].port, p.index_of("vm2"));
        EXPECT_EQ(seen[2].reason, DropReason::kNone);
    }
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Capture, ShowsInspectedFramesToTheSlotThatInspects) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["spoofguard"] = "manual";
    Pipeline p(document);
    Watcher watcher(p);
    watcher.add("vm1", kSlotSwsec).add("vm1", kSlotDvfilter);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, ip("10.9.9.9"), {}, kVm2.ip4})).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].reason, DropReason::kSpoofedArp);
    EXPECT_EQ(seen[0].slot, kSlotSwsec);
    EXPECT_EQ(seen[0].judged, 1u << kSlotSwsec);
}

TEST(Capture, KeepsOneDirectionAndSoManyBytes) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    Capture capture;
    capture.port = p.index_of("vm1");
    capture.from_vm = false;
    capture.snap_size = 40;
    watcher.add(capture);
    const Bytes there = udp(v4(kVm1, kVm2), 1000, 2000);
    const Bytes back = udp(v4(kVm2, kVm1), 2000, 1000);
    p.send("vm1", there).step().send("vm2", back, {44}).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].frame_size, back.size());
    EXPECT_EQ(seen[0].bytes, Bytes(back.begin(), back.begin() + 40));
}

class OnlyBig final : public datapath::CaptureFilter {
public:
    [[nodiscard]] bool matches(std::span<const std::uint8_t> data,
                               std::uint32_t frame_size) const noexcept override {
        return data.size() == frame_size && frame_size > 100;
    }
};

TEST(Capture, AsksTheFilterWithTheWholeFrameInOnePiece) {
    Pipeline p(two_vms());
    Watcher watcher(p);
    Capture capture;
    capture.port = p.index_of("vm1");
    capture.filter = std::make_shared<const OnlyBig>();
    watcher.add(capture);
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).send("vm1", udp(v4(kVm1, kVm2), 1, 2, 200), {50, 60});
    p.step();
    ASSERT_EQ(watcher.take().size(), 1u);
}

TEST(Capture, CountsWhatItsRingHasNoRoomFor) {
    Pipeline p(two_vms());
    Watcher watcher(p, 4096);
    watcher.add("vm1").add("vm1");
    for (int i = 0; i < 100; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)); }
    p.step();
    const std::size_t seen = watcher.take().size();
    EXPECT_GT(seen, 10u);
    EXPECT_EQ(seen + watcher.missed(0), 100u);
    EXPECT_EQ(watcher.missed(1), watcher.missed(0));
    EXPECT_EQ(p.sent("vm2").size(), 100u) << "traffic does not wait for captures";
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).step();
    EXPECT_EQ(watcher.take().size(), 1u) << "room again, across the ring's end";
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Capture, IsTheSameOnEveryWorker) {
    PipelineOptions options;
    options.worker_count = 2;
    Pipeline p(two_vms(), options);
    Watcher watcher(p);
    watcher.add("vm1").add("vm2");
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 2000);
    p.send("vm1", frame).step();
    const std::vector<Seen> seen = watcher.take();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].bytes, frame);
    EXPECT_EQ(seen[1].bytes, frame);
    EXPECT_NE(seen[0].port, seen[1].port);
}

/// Random traffic under a changing policy, with and without the flow cache: the same captures.
TEST(Capture, IsTheSameWithAndWithoutTheFlowCache) {
    const char* text = std::getenv("SLUICE_SEED");
    const std::uint64_t seed =
        text != nullptr
            ? std::strtoull(text, nullptr, 10)
            : static_cast<std::uint64_t>(
                  std::chrono::system_clock::now().time_since_epoch().count() & 0xffffff);
    constexpr unsigned kBatches = 2000;
    RandomPolicy policy(seed);
    RandomTraffic traffic(seed + 1);
    std::mt19937_64 random(seed + 2);
    PipelineOptions walked_options;
    walked_options.flow_cache = false;
    Pipeline cached(policy.document());
    Pipeline walked(policy.document(), walked_options);
    Watcher cached_watcher(cached);
    Watcher walked_watcher(walked);
    for (Watcher* watcher : {&cached_watcher, &walked_watcher}) {
        watcher->add(port_name(0))
            .add(port_name(1))
            .add(port_name(1), kSlotDfw)
            .add(port_name(2), kSlotSwsec);
    }
    std::size_t seen_count = 0;
    for (unsigned batch = 0; batch < kBatches; ++batch) {
        for (unsigned i = 0; i < 1 + random() % 40; ++i) {
            const Sending sending = traffic.next();
            if (!policy.has_port(sending.port)) { continue; }
            cached.send(port_name(sending.port), sending.frame);
            walked.send(port_name(sending.port), sending.frame);
        }
        cached.step();
        walked.step();
        const std::vector<Seen> x = cached_watcher.take();
        const std::vector<Seen> y = walked_watcher.take();
        ASSERT_EQ(x.size(), y.size()) << "seed " << seed << " batch " << batch;
        for (std::size_t i = 0; i < x.size(); ++i) {
            ASSERT_TRUE(x[i] == y[i]) << "seed " << seed << " batch " << batch << "\n"
                                      << x[i] << "\n"
                                      << y[i];
        }
        seen_count += x.size();
        if (random() % 12 == 0) {
            policy.change();
            cached.apply(policy.document());
            walked.apply(policy.document());
        }
        const std::uint64_t pause = random() % 2000 * 1000;
        cached.advance(pause);
        walked.advance(pause);
    }
    EXPECT_GT(seen_count, kBatches) << "seed " << seed;
    for (Pipeline* p : {&cached, &walked}) {
        for (std::uint32_t i = 0; i <= kNeighbourProbeCount; ++i) {  // Nobody answers the router.
            p->advance(kNeighbourProbeMs * kMillisecond).step();
        }
        EXPECT_TRUE(p->forget_fragments().packets_conserved());
    }
}

}  // namespace
}  // namespace sluice::test
