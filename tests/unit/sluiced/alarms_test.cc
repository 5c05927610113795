// SPDX-License-Identifier: Apache-2.0
// Alarms: told once, taken back once, and nothing that lasts too short for either.
#include "src/sluiced/alarms.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::int64_t kUnix = 1'700'000'000;  // 2023-11-14T22:13:20Z

struct Told {
    std::string name, object;
    bool is_raised;
    bool operator==(const Told&) const = default;
};

class AlarmList : public testing::Test {
protected:
    void look(std::uint64_t ms, const std::vector<Finding>& findings) {
        alarms_.look(ms * kMs, kUnix + static_cast<std::int64_t>(ms / 1000), findings);
    }
    static std::vector<Finding> full(const std::string& port) {
        return {{AlarmKind::kRingFull, "port " + port, "took 0"}};
    }
    std::vector<Told> told_;
    Alarms alarms_{[this](const Alarm& alarm, bool is_raised) {
        told_.push_back({std::string(rule_of(alarm.kind).name), alarm.object, is_raised});
    }};
};

TEST_F(AlarmList, EveryKindHasANameOfItsOwnAndAMeaning) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < kAlarmKindCount; ++i) {
        const AlarmRule& rule = rule_of(static_cast<AlarmKind>(i));
        EXPECT_FALSE(rule.name.empty() || rule.meaning.empty()) << i;
        EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    }
}

TEST_F(AlarmList, RaisesAfterItsTimeOnceAndClearsAfterItsTimeOnce) {
    look(1000, full("vm1"));
    look(5900, full("vm1"));
    EXPECT_TRUE(alarms_.raised().empty()) << "five seconds are not over";
    look(6000, full("vm1"));
    look(7000, full("vm1"));
    ASSERT_EQ(alarms_.raised().size(), 1u);
    EXPECT_EQ(alarms_.raised()[0].since_s, kUnix + 1) << "since it began";
    look(8000, {});
    look(17900, {});
    EXPECT_EQ(alarms_.count(AlarmKind::kRingFull), 1u) << "it must be gone for ten seconds";
    look(18000, {});
    EXPECT_TRUE(alarms_.raised().empty());
    EXPECT_EQ(told_, (std::vector<Told>{{"ring_full", "port vm1", true},
                                        {"ring_full", "port vm1", false}}));
    ASSERT_EQ(alarms_.history().size(), 1u);
    EXPECT_EQ(alarms_.history()[0].cleared_s, kUnix + 18);
}

TEST_F(AlarmList, ABreakBeginsTheCountAgain) {
    for (std::uint64_t ms = 0; ms < 60000; ms += 4000) {
        look(ms, full("vm1"));
        look(ms + 3000, full("vm1"));
        look(ms + 3500, {});
    }
    EXPECT_TRUE(told_.empty());
}

TEST_F(AlarmList, DoesNotFlapWhileItComesAndGoes) {
    look(0, full("vm1"));
    look(5000, full("vm1"));
    for (std::uint64_t ms = 6000; ms < 60000; ms += 2000) {
        look(ms, {});
        look(ms + 1000, full("vm1"));
    }
    EXPECT_EQ(told_, (std::vector<Told>{{"ring_full", "port vm1", true}}));
}

TEST_F(AlarmList, TellsObjectsApart) {
    const std::vector<Finding> both{{AlarmKind::kWorkerStalled, "worker 0", "a"},
                                    {AlarmKind::kWorkerStalled, "worker 1", "b"}};
    look(0, both);
    EXPECT_EQ(alarms_.count(AlarmKind::kWorkerStalled), 2u) << "raised at once";
    for (std::uint64_t ms = 100; ms <= 2100; ms += 100) {
        look(ms, {both.data(), both.data() + 1});
    }
    ASSERT_EQ(alarms_.raised().size(), 1u);
    EXPECT_EQ(alarms_.raised()[0].object, "worker 0");
}

TEST_F(AlarmList, ListsWithTimesInUtc) {
    look(0, {{AlarmKind::kMempoolLow, "host", "1 of 100"}});
    look(3000, {{AlarmKind::kMempoolLow, "host", "2 of 100"}});
    const nlohmann::json rows = to_json(alarms_.raised());
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0]["name"], "mempool_low");
    EXPECT_EQ(rows[0]["since"], "2023-11-14T22:13:20Z");
    EXPECT_EQ(rows[0]["detail"], "2 of 100") << "as the last look saw it";
    EXPECT_FALSE(rows[0].contains("cleared"));
}

TEST_F(AlarmList, KeepsABoundedHistory) {
    for (std::uint64_t i = 0; i < 2 * kAlarmHistoryMax; ++i) {
        look(i * 10000, {{AlarmKind::kWorkerStalled, "worker " + std::to_string(i), ""}});
    }
    EXPECT_EQ(alarms_.history().size(), kAlarmHistoryMax);
    EXPECT_EQ(alarms_.history().front().object, "worker 125")
        << "the newest first; 126 is only just well";
}

}  // namespace
}  // namespace sluice::daemon
