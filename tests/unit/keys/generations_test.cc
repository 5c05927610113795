// SPDX-License-Identifier: Apache-2.0
// Generations: none comes twice in an epoch, not over restarts, not with a clock that is set.
#include "controller-agent/keys/generations.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/keys/text.h"

namespace sluice::keys {
namespace {

TEST(Generations, GoOnAfterARestart) {
    const test::Folder folder;
    EXPECT_EQ(Generations(folder.path()).take(1000, 100, 4094).value(), 4094);
    EXPECT_EQ(Generations(folder.path()).take(1001, 100, 7).value(), 4095);
    EXPECT_EQ(Generations(folder.path()).take(1002, 100, 7).value(), 0);
}

TEST(Generations, AreUsedUpInOneEpochAndFreeInTheNext) {
    const test::Folder folder;
    std::set<std::uint16_t> seen;
    // A file as many starts would have left it: 4094 in the epoch that began at 1000.
    std::string times = "999";
    for (int i = 0; i < 4094; ++i) { times += "," + std::to_string(1000 + i / 50); }
    folder.write("encryption-generation", R"({"count": 4095, "times": [)" + times + "]}");
    Generations generations(folder.path());
    EXPECT_EQ(generations.take(1090, 100, 0).value(), 4095);
    EXPECT_EQ(generations.take(1091, 100, 0).error().code, Errc::kLimit);
    EXPECT_EQ(generations.take(1020, 100, 0).error().code, Errc::kLimit)
        << "the clock was set back";
    EXPECT_EQ(generations.take(1100, 1000, 0).error().code, Errc::kLimit) << "a longer epoch";
    EXPECT_EQ(generations.take(1100, 100, 0).value(), 0);
}

TEST(Generations, WantAFileThatIsWhole) {
    const test::Folder folder;
    for (const char* bad : {"", "{", "[]", R"({"count": -1, "times": []})", R"({"count": 1})",
                            R"({"count": 1, "times": ["x"]})"}) {
        folder.write("encryption-generation", bad);
        EXPECT_EQ(Generations(folder.path()).take(1000, 100, 0).error().code, Errc::kInvalid)
            << bad;
    }
    EXPECT_EQ(Generations("/nowhere/at/all").take(1000, 100, 0).error().code, Errc::kIo);
}

}  // namespace
}  // namespace sluice::keys
