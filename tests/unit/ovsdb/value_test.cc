// SPDX-License-Identifier: Apache-2.0
// Values: UUIDs, accessors, the wire's form, and differences of random sets and maps.
#include "controller-agent/ovsdb/value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "random_data.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

TEST(OvsdbValue, UuidHasOneText) {
    const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
    const auto parsed = Uuid::parse(text);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value().text(), text);
    for (const char* bad :
         {"", "01234567-89ab-cdef-0123-456789abcde", "0123456789abcdef0123456789abcdef",
          "01234567-89ab-cdef-0123-456789abcdeg", "01234567+89ab-cdef-0123-456789abcdef",
          "01234567-89ab-cdef-0123-456789abcdef0"}) {
        EXPECT_FALSE(Uuid::parse(bad).ok()) << bad;
    }
}

TEST(OvsdbValue, AccessorsOfAnotherTypeAreEmpty) {
    EXPECT_EQ(datum(std::string("x")).integer(), 0);
    EXPECT_EQ(datum(std::int64_t{7}).text(), "");
    EXPECT_FALSE(datum(std::int64_t{7}).boolean());
    EXPECT_EQ(datum(std::int64_t{7}).integer(), 7);
    EXPECT_TRUE(datum(true).boolean());
    EXPECT_TRUE(datum(std::map<std::string, std::string>{{"a", "b"}}).texts().empty());
    EXPECT_EQ(Datum{}.text(), "");
    Datum broken;
    broken.is_map = true;
    broken.keys = {std::string("a"), std::string("b")};
    broken.values = {std::string("c")};
    EXPECT_EQ(broken.text_map(), (std::map<std::string, std::string>{{"a", "c"}}));
}

TEST(OvsdbValue, SetsAreSortedAndDistinct) {
    const auto made = datum(std::vector<std::string>{"b", "a", "b"});
    EXPECT_EQ(made.texts(), (std::vector<std::string>{"a", "b"}));
    const auto read = parse_datum(json::parse(R"(["set",["b","a"]])"));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read.value(), made);
}

TEST(OvsdbValue, WhatIsNoDatumIsRefused) {
    for (const char* bad :
         {"null", "{}", R"(["set",["a","a"]])", R"(["set",[["set",[]]]])", R"(["map",[["a"]]])",
          R"(["map",[["a","b"],["a","c"]]])", R"(["map",[["a",null]]])", R"(["uuid","x"])",
          R"(["uuid",3])", R"(["set",{}])", R"([])", R"(["map"])", R"(["named-uuid","a"])"}) {
        EXPECT_FALSE(parse_datum(json::parse(bad)).ok()) << bad;
    }
}

TEST(OvsdbValue, TextOfTheWireReadsBack) {
    RandomData random(1);
    for (int i = 0; i < 2000; ++i) {
        const bool is_map = random.below(2) == 1;
        Datum made = is_map ? random.map(random.below(5), random.below(5), 6)
                            : random.set(random.below(5), 6);
        const auto read = parse_datum(json::parse(to_json(made).dump()));
        ASSERT_TRUE(read.ok()) << to_json(made);
        EXPECT_EQ(read.value(), made) << to_json(made);
    }
}

TEST(OvsdbValue, DifferenceAppliedIsTheNewValue) {
    RandomData random(2);
    for (int i = 0; i < 10000; ++i) {
        const std::size_t kind = random.below(5);
        const ColumnType type{random.below(2) == 1, random.below(4) == 0};
        const std::size_t count = type.is_scalar ? 1 : 9;
        const Datum old = type.is_map ? random.map(kind, 0, count) : random.set(kind, count);
        const Datum now = type.is_map ? random.map(kind, 0, count) : random.set(kind, count);
        const Datum change = difference(old, now, type);
        EXPECT_EQ(apply_difference(old, change, type), now) << i;
    }
}

// A second implementation of what ovsdb-server(7) §4.1.14 says.
TEST(OvsdbValue, DifferenceIsWhatTheProtocolSays) {
    RandomData random(3);
    for (int i = 0; i < 2000; ++i) {
        const Datum old = random.set(1, 9);
        const Datum now = random.set(1, 9);
        std::vector<Atom> of_one;
        std::set_symmetric_difference(old.keys.begin(), old.keys.end(), now.keys.begin(),
                                      now.keys.end(), std::back_inserter(of_one));
        EXPECT_EQ(difference(old, now, {false, false}).keys, of_one);
    }
}

}  // namespace sluice::ovsdb::test
