// SPDX-License-Identifier: Apache-2.0
// A process that dies between any two bursts, and its twin that does not: the same traffic gets the
// same verdicts from both.
#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <random>

#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

/// A folder of files, gone with the test.
class ArenaFolder {
public:
    ArenaFolder() {
        std::string name =
            fs::exists("/dev/shm") ? "/dev/shm/sluice-packet-XXXXXX" : "/tmp/sluice-packet-XXXXXX";
        folder_ = mkdtemp(name.data());
    }
    ~ArenaFolder() { fs::remove_all(folder_); }
    ArenaFolder(const ArenaFolder&) = delete;
    ArenaFolder& operator=(const ArenaFolder&) = delete;

    [[nodiscard]] std::shared_ptr<datapath::Arena> open() const {
        datapath::ArenaOptions options;
        options.folder = folder_ + "/arena";
        options.connection_capacity = 1U << 14U;
        options.learned_capacity = 1U << 14U;
        options.seed = 9;
        Result<std::unique_ptr<datapath::Arena>> opened = datapath::Arena::open(options);
        SLUICE_ASSERT(opened.ok());
        return std::move(opened).value();
    }

private:
    std::string folder_;
};

nlohmann::json web_only() {
    nlohmann::json document = three_vms();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "web", "action": "allow", "services": ["tcp/80", "udp/53"],
         "destination": ["10.0.0.2"]}]}]})");
    return document;
}

PipelineOptions with_arena(const ArenaFolder& folder, unsigned workers) {
    PipelineOptions options;
    options.worker_count = workers;
    options.arena = folder.open();
    return options;
}

TEST(ArenaTwin, AConnectionPassesAfterADeathAndAStrangerDoesNot) {
    const ArenaFolder folder;
    Pipeline p(web_only(), with_arena(folder, 1));
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(TcpTalk::kClient)).step();
    (void)p.sent("vm1");
    (void)p.sent("vm2");
    const datapath::AdoptReport report = p.be_reborn(web_only(), 2);
    EXPECT_EQ(report.connections.adopted, 1u);
    p.send("vm2", talk.data(TcpTalk::kServer)).step();  // The replies' side first.
    p.send("vm1", talk.data(TcpTalk::kClient)).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_EQ(p.drops(), 0u);
    TcpTalk stranger(v4(kVm1, kVm2), 50000);
    p.send("vm1", stranger.data(TcpTalk::kClient)).step();
    EXPECT_EQ(p.sent("vm2").size(), 0u);
    EXPECT_EQ(p.drops(DropReason::kTcpNoConnection), 1u);
    TcpTalk back(v4(kVm2, kVm1), 40000, 41000);
    p.send("vm2", back.syn()).step();
    EXPECT_EQ(p.drops(DropReason::kDfwDeny), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(ArenaTwin, ARuleThatWentMeanwhileEndsItsConnections) {
    const ArenaFolder folder;
    Pipeline p(web_only(), with_arena(folder, 1));
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(TcpTalk::kClient)).step();
    (void)p.sent("vm2");
    nlohmann::json closed = web_only();
    closed["dfw"]["sections"] = nlohmann::json::array();
    p.be_reborn(closed, 1);
    p.send("vm1", talk.data(TcpTalk::kClient)).step();
    EXPECT_EQ(p.sent("vm2").size(), 0u);
    EXPECT_EQ(p.drops(DropReason::kDfwDeny), 1u);
}

/// One random step of some conversation; the frame, and who sends it.
struct Move {
    std::string from;
    Bytes frame;
};

class Traffic {
public:
    explicit Traffic(std::uint64_t seed) : random_(seed) {
        for (std::uint16_t i = 0; i < kTalks; ++i) {
            const bool is_allowed = i % 4 != 3;
            talks_.emplace_back(v4(kVm1, kVm2), static_cast<std::uint16_t>(40000 + i),
                                static_cast<std::uint16_t>(is_allowed ? 80 : 81));
        }
    }
    Move next() {
        const std::size_t i = random_() % talks_.size();
        TcpTalk& talk = talks_[i];
        const auto side = random_() % 2 == 0 ? TcpTalk::kClient : TcpTalk::kServer;
        const char* const from = side == TcpTalk::kClient ? "vm1" : "vm2";
        switch (phases_[i]++) {
            case 0: return {"vm1", talk.syn()};
            case 1: return {"vm2", talk.syn_ack()};
            case 2: return {"vm1", talk.ack(TcpTalk::kClient)};
            default: break;
        }
        const unsigned what = static_cast<unsigned>(random_() % 40);
        if (what == 0) { return {from, talk.fin(side)}; }
        if (what == 1) { return {from, talk.reset(side)}; }
        if (what == 2) {  // From the conversation's beginning, again.
            return {from, TcpTalk(talk).segment(side, kTcpSyn, 0)};
        }
        return {from, talk.data(side, random_() % 1000)};
    }

private:
    static constexpr std::uint16_t kTalks = 60;
    std::mt19937_64 random_;
    std::vector<TcpTalk> talks_;
    std::array<unsigned, kTalks> phases_{};
};

void compare(std::uint64_t seed, unsigned workers) {
    const ArenaFolder folder;
    Pipeline mortal(web_only(), with_arena(folder, workers));
    PipelineOptions twin_options;
    twin_options.worker_count = workers;
    Pipeline twin(web_only(), twin_options);
    Traffic traffic(seed);
    std::mt19937_64 chance(seed + 1);
    for (int i = 0; i < 4000; ++i) {
        if (chance() % 100 == 0) { mortal.be_reborn(web_only(), workers); }
        const Move move = traffic.next();
        mortal.send(move.from, move.frame).step();
        twin.send(move.from, move.frame).step();
        for (const char* const to : {"vm1", "vm2", "vm3"}) {
            ASSERT_EQ(mortal.sent(to), twin.sent(to)) << "seed " << seed << " step " << i;
        }
        mortal.advance(kMillisecond);
        twin.advance(kMillisecond);
    }
    EXPECT_EQ(mortal.connections().size(), twin.connections().size()) << "seed " << seed;
}

TEST(ArenaTwin, VerdictsAreThoseOfOneThatNeverDied) {
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) { compare(seed, seed % 2 == 0 ? 2 : 1); }
}

TEST(ArenaTwin, LearnedBindingsHoldAfterADeath) {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["spoofguard"] = "auto";
    for (auto& port : document["ports"]) { port.erase("ips"); }
    const ArenaFolder folder;
    Pipeline p(document, with_arena(folder, 1));
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4})).step();
    const LearnedKey key = [&] {
        LearnedKey found;
        p.dataplane().learned().for_each(0, 1U << 14U, p.now_ns(), [&](const LearnedRow& row) {
            if (row.key.kind == LearnedKind::kBinding) { found = row.key; }
        });
        return found;
    }();
    ASSERT_EQ(key.kind, LearnedKind::kBinding);
    const auto before = p.dataplane().learned().find(key, p.now_ns());
    const datapath::AdoptReport report = p.be_reborn(document, 1);
    EXPECT_GE(report.learned.bindings, 1u);
    const auto after = p.dataplane().learned().find(key, p.now_ns());
    ASSERT_TRUE(before && after);
    EXPECT_EQ(after->source, before->source);
    EXPECT_EQ(after->first_seen_ns, before->first_seen_ns);
    EXPECT_EQ(after->expires_ns, before->expires_ns);
}

}  // namespace
}  // namespace sluice::test
