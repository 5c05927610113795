// SPDX-License-Identifier: Apache-2.0
// Numbers for people, and suggestions for mistyped words.
#include "cli/format.h"

#include <gtest/gtest.h>

#include "cli/suggest.h"

namespace sluice::cli {
namespace {

TEST(Format, Counts) {
    EXPECT_EQ(format_count(0), "0");
    EXPECT_EQ(format_count(999), "999");
    EXPECT_EQ(format_count(1000), "1,000");
    EXPECT_EQ(format_count(1234567), "1,234,567");
    EXPECT_EQ(format_count(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Format, Bytes) {
    EXPECT_EQ(format_bytes(999), "999 B");
    EXPECT_EQ(format_bytes(1000), "1.00 kB");
    EXPECT_EQ(format_bytes(12345), "12.3 kB");
    EXPECT_EQ(format_bytes(999'499), "999 kB");
    EXPECT_EQ(format_bytes(999'600), "1.00 MB");
    EXPECT_EQ(format_bytes(4'560'000), "4.56 MB");
    EXPECT_EQ(format_bytes(UINT64_MAX), "18.4 EB");
}

TEST(Format, Durations) {
    EXPECT_EQ(format_duration(0), "0s");
    EXPECT_EQ(format_duration(59), "59s");
    EXPECT_EQ(format_duration(125), "2m 05s");
    EXPECT_EQ(format_duration(11040), "3h 04m");
    EXPECT_EQ(format_duration(97200), "1d 03h");
}

TEST(Format, TextIsHarmlessAndMeasured) {
    EXPECT_EQ(printable("a\x1b[31m\n\x7f"), "a?[31m??");
    EXPECT_EQ(display_width("gr\xc3\xb6\xc3\x9f"
                            "e"),
              5u);
}

TEST(Suggest, FindsTheNearestWord) {
    const std::vector<std::string> words{"apply", "diff", "export", "show"};
    EXPECT_EQ(nearest("aply", words), "apply");
    EXPECT_EQ(nearest("dfif", words), "diff");
    EXPECT_EQ(nearest("exp", words), "export");
    EXPECT_EQ(nearest("zzz", words), "");
    EXPECT_EQ(nearest("", words), "");
}

}  // namespace
}  // namespace sluice::cli
