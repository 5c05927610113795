// SPDX-License-Identifier: Apache-2.0
// Turns on a worker: by cycles, whatever frames cost; nobody waits while there is slack.
#include "datapath/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "datapath/limits.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kWindow = 2'600'000;  // 1 ms at 2.6 GHz.
constexpr std::uint64_t kRound = kWindow / kShareRoundsPerWindow;

/// A source of the model: its frames cost `cost` cycles, and `per_round` of them come each round.
struct Model {
    std::uint64_t cost = 100;
    double per_round = 1e9;
    bool is_shared = false;
    double waiting = 0;  // Frames in its ring, which has room for 256.
    std::uint64_t cycles = 0;
    std::uint64_t turns = 0, held = 0, longest_turn = 0, dropping = 0;
    std::uint64_t frames = 0;
    std::uint64_t longest_wait = 0, waits_since = 0;
};

/// A worker of some sources, with a cycle counter of its own.
class Worker {
public:
    explicit Worker(std::vector<Model> sources, std::uint64_t window = kWindow)
        : sources_(std::move(sources)), share_(sources_.size(), window) {}

    void run(std::uint64_t cycles) {
        for (const std::uint64_t end = tsc + cycles; tsc < end;) { round(); }
    }
    void round() {
        const std::uint64_t begun = tsc;
        bool is_again = false;
        do {
            for (std::size_t i = 0; i < sources_.size(); ++i) { serve(i); }
            is_again = share_.end_round();
        } while (is_again && tsc == begun);
        tsc += 100;  // What a round costs beside.
        idle_rounds += tsc == begun + 100 ? 1U : 0U;
    }
    Model& operator[](std::size_t i) { return sources_[i]; }
    [[nodiscard]] double part(std::size_t i) const {
        std::uint64_t all = 0;
        for (const Model& source : sources_) { all += source.cycles; }
        return static_cast<double>(sources_[i].cycles) / static_cast<double>(all);
    }
    void forget() {
        for (Model& source : sources_) { source.cycles = source.frames = source.longest_turn = 0; }
    }

    std::uint64_t tsc = 10 * kWindow;
    std::uint64_t idle_rounds = 0;

private:
    void serve(std::size_t i) {
        Model& source = sources_[i];
        source.waiting = std::min(source.waiting + source.per_round, 256.0);
        std::uint32_t turns = source.is_shared ? share_.shared_turns() : 1;
        for (; turns > 0; --turns) {
            if (!share_.may_run(i, source.is_shared)) {
                ++source.held;
                return;
            }
            const std::uint32_t asked = share_.frames_max(i);
            const auto frames = std::min(asked, static_cast<std::uint32_t>(source.waiting));
            if (frames == 0) { return share_.note_empty(i); }
            source.dropping += share_.is_used_up() ? 1U : 0U;
            const std::uint64_t cycles = frames * source.cost;
            tsc += cycles;
            source.waiting -= frames;
            source.frames += frames;
            source.cycles += cycles;
            source.longest_turn = std::max(source.longest_turn, cycles);
            ++source.turns;
            share_.end(i, {cycles, 64U * frames, frames, source.is_shared}, tsc);
            if (frames < asked) { return; }
        }
    }

    std::vector<Model> sources_;
    FairShare share_;
};

TEST(FairShare, GivesPortsOfUnequalCostsEqualCycles) {
    for (const std::uint64_t ratio : {1U, 5U, 20U, 100U, 1000U}) {
        Worker worker({{.cost = 100}, {.cost = 100 * ratio}});
        worker.run(100 * kWindow);
        EXPECT_NEAR(worker.part(0), 0.5, 0.01) << "1:" << ratio;
    }
}

TEST(FairShare, GivesEachOfManyItsPart) {
    std::vector<Model> sources;
    for (std::uint64_t i = 0; i < 20; ++i) { sources.push_back({.cost = 60 + i * i * 100}); }
    Worker worker(std::move(sources));
    worker.run(200 * kWindow);
    for (std::size_t i = 0; i < 20; ++i) { EXPECT_NEAR(worker.part(i), 0.05, 0.0025) << i; }
}

TEST(FairShare, GivesEverythingToTheOnlyOne) {
    Worker worker({{.cost = 5000}, {.per_round = 0}});
    worker.run(10 * kWindow);
    EXPECT_EQ(worker[0].held, 0U);
    EXPECT_EQ(worker[0].frames, worker[0].turns * kBurstMax) << "full bursts: nobody waits for it";
    EXPECT_EQ(worker.idle_rounds, 0U);
}

TEST(FairShare, HoldsNobodyBackForOneThatWantsLess) {
    Worker worker({{.cost = 100, .per_round = 2}, {.cost = 2000}});
    worker.run(100 * kWindow);
    EXPECT_EQ(worker[1].held, 0U) << "the other never waits for more than its turn";
    EXPECT_LT(worker[0].waiting, 3.0) << "and gets all that it wants";
    EXPECT_EQ(worker.idle_rounds, 0U);
}

TEST(FairShare, MakesTurnsShortWhileOthersHaveTraffic) {
    Worker worker({{.cost = 100, .per_round = 2}, {.cost = 3000}});
    worker.run(3 * kWindow);
    worker.forget();
    worker.run(100 * kWindow);
    EXPECT_LE(worker[1].longest_turn, kRound / 2);
    worker[0].per_round = 0;
    worker.run(100 * kWindow);
    EXPECT_EQ(worker[1].longest_turn, 3000 * kBurstMax) << "alone again";
}

TEST(FairShare, LetsBurstsBeFullWhereAllTakeTheirPart) {
    Worker worker({{.cost = 3000, .per_round = 40}, {.cost = 2000, .per_round = 40}});
    worker.run(100 * kWindow);
    worker.forget();
    worker.run(100 * kWindow);
    EXPECT_EQ(worker[1].longest_turn, 2000 * kBurstMax);
}

TEST(FairShare, RemembersACostThatOnlyShowsNowAndThen) {
    Worker worker({{.cost = 100, .per_round = 0.02}, {.cost = 100}});
    worker.run(3 * kWindow);
    std::uint64_t turns = 0, long_turns = 0;
    for (int i = 0; i < 2000; ++i) {  // Cheap for half a window, then expensive for a round.
        worker[1].cost = 100;
        worker.run(kWindow / 2);
        worker[1].cost = 30'000;
        worker[1].longest_turn = 0;
        worker.round();
        ++turns;
        long_turns += worker[1].longest_turn > 4 * kRound ? 1U : 0U;
    }
    EXPECT_LT(long_turns, turns / 10) << "of " << turns;
}

TEST(FairShare, IsPaidOffBehindATurnThatWasExpensive) {
    Worker worker({{.cost = 100}, {.cost = 100}});
    worker.run(3 * kWindow);
    worker[1].cost = 300'000;  // One frame.
    worker.round();
    worker[1].cost = 100;
    const std::uint64_t debt = worker[1].longest_turn;
    EXPECT_GE(debt, 300'000U);
    worker.forget();
    worker.run(debt / 2);
    EXPECT_EQ(worker[1].cycles, 0U);
    EXPECT_GT(worker[0].cycles, debt / 3);
}

TEST(FairShare, LetsNobodySaveUp) {
    Worker worker({{.cost = 100}, {.cost = 100, .per_round = 0}});
    worker.run(100 * kWindow);
    worker[1].per_round = 1e9;
    worker.forget();
    worker.run(10 * kWindow);
    EXPECT_NEAR(worker.part(0), 0.5, 0.02) << "who was quiet gets its half, and no more";
}

TEST(FairShare, ForgetsDebtsInSlack) {
    Worker worker({{.cost = 100}, {.cost = 300'000}});
    worker.run(kWindow);
    worker[0].per_round = 0;
    worker.run(kWindow);
    worker.forget();
    const std::uint64_t idle = worker.idle_rounds;
    worker.run(10 * kWindow);
    EXPECT_EQ(worker.idle_rounds, idle);
    EXPECT_GE(worker[1].cycles, 10 * kWindow * 99 / 100);
}

TEST(FairShare, LetsASharedSourceWeighAsMuchAsAllThatWait) {
    Worker worker({{.cost = 100}, {.cost = 400}, {.cost = 900}, {.cost = 100, .is_shared = true}});
    worker.run(100 * kWindow);
    EXPECT_NEAR(worker.part(3), 0.5, 0.03);
    for (const std::size_t i : {0U, 1U, 2U}) { EXPECT_NEAR(worker.part(i), 1.0 / 6, 0.02) << i; }
}

TEST(FairShare, DropsWhatIsNewOfASharedSourceBeforeItIsHeld) {
    Worker worker({{.cost = 100}, {.cost = 2000, .is_shared = true}});
    worker.run(100 * kWindow);
    EXPECT_GT(worker[1].dropping, worker[1].turns / 4);
    EXPECT_LT(worker[1].dropping, worker[1].turns * 3 / 4) << "new flows get in, too";
    EXPECT_EQ(worker[0].dropping, 0U);
    EXPECT_NEAR(worker.part(1), 0.5, 0.03);
}

TEST(FairShare, BoundsNobodyWithoutAWindow) {
    Worker worker({{.cost = 100}, {.cost = 100'000}}, 0);
    worker.run(10 * kWindow);
    EXPECT_EQ(worker[0].held + worker[1].held, 0U);
    EXPECT_EQ(worker[0].turns, worker[1].turns);
}

TEST(FairShare, DoesNotCutTheBurstOfOneThatSendsLittle) {
    Worker worker({{.cost = 600, .per_round = 0}, {.cost = 3000}});
    worker.run(3 * kWindow);
    std::uint64_t longest = 0;
    for (int i = 0; i < 1000; ++i) {
        worker[0].waiting = 16;
        const std::uint64_t before = worker.tsc;
        while (worker[0].waiting > 0) { worker.round(); }
        longest = std::max(longest, i < 10 ? 0 : worker.tsc - before);
        worker.run(kWindow / 4);
    }
    EXPECT_LE(longest, 16U * 600U + kRound / 2 + 200U) << "one turn of each";
}

TEST(FairShare, KeepsBurstsOfLargeFramesSmall) {
    FairShare share(1, kWindow);
    share.end(0, {1000, 32U * 60'000U, 32}, kWindow);
    EXPECT_EQ(share.frames_max(0), 2U);
    share.end(0, {1000, 2U * 64U, 2}, kWindow);
    EXPECT_EQ(share.frames_max(0), kBurstMax);
}

}  // namespace
}  // namespace sluice::datapath
