// SPDX-License-Identifier: Apache-2.0
// Tables and lists as text: alignment, colours, nesting, absent values.
#include "cli/table.h"

#include <gtest/gtest.h>

#include <array>
#include <sstream>

namespace sluice::cli {
namespace {

using nlohmann::json;

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpace) {
    std::ostringstream out;
    Table table({{"NAME"}, {"N", Align::kRight}, {"STATE"}});
    table.add({"a", "1", "up"});
    table.add(
        {"gr\xc3\xb6\xc3\x9f"
         "er",
         "1,000", "x"});
    table.print({out, false, ""});
    EXPECT_EQ(out.str(),
              "NAME        N  STATE\na           1  up\ngr\xc3\xb6\xc3\x9f"
              "er  1,000  x\n");
}

TEST(Table, ColoursOnlyWhereAsked) {
    std::ostringstream out;
    Table table({{"S"}, {"T"}});
    table.add({"up", "x"});
    table.print({out, true, ""});
    EXPECT_EQ(out.str(), "\x1b[1mS \x1b[0m  \x1b[1mT\x1b[0m\n\x1b[32mup\x1b[0m  x\n");
}

TEST(Table, RowsOfObjects) {
    constexpr std::array kFields{Field{"A", "a.b", as_text},
                                 Field{"SUM", "d", as_sum, Align::kRight}};
    std::ostringstream out;
    const View view{out, false, ""};
    print_rows(json::parse(R"([{"a":{"b":"x"},"d":{"p":1000,"q":2}},{"d":{}}])"), kFields, view,
               "none");
    print_rows(json::array(), kFields, view, "none");
    EXPECT_EQ(out.str(), "A    SUM\nx  1,002\n-      0\nnone\n");
}

TEST(Table, RowsOfAnyKeys) {
    std::ostringstream out;
    print_any_rows(json::parse(R"([{"a_b":1,"name":"x"},{"name":"y","z":[1,2]}])"), {"name"},
                   {out, false, ""}, "none");
    EXPECT_EQ(out.str(), "NAME  A B  Z\nx       1  -\ny       -  1,2\n");
}

TEST(Table, TreeOfAnObject) {
    std::ostringstream out;
    print_tree(
        json::parse(
            R"({"name":"vm1","ips":["a","b"],"on":true,"sub":{"x":1},"list":[{"k":1},{"k":2}]})"),
        {out, false, ""});
    EXPECT_EQ(out.str(), "ips   a,b\nlist\n  k  1\n\n  k  2\nname  vm1\non    yes\nsub\n  x  1\n");
}

TEST(Table, NumbersOfAnyKind) {
    EXPECT_EQ(number_of(json(-3)), 0u);
    EXPECT_EQ(number_of(json(2.6)), 3u);
    EXPECT_EQ(number_of(json("x")), 0u);
    EXPECT_EQ(number_of(json(UINT64_MAX)), UINT64_MAX);
}

}  // namespace
}  // namespace sluice::cli
