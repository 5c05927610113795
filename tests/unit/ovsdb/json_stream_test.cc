// SPDX-License-Identifier: Apache-2.0
// Framing: a session of a real server split at every byte and at random, and what has no end.
#include "controller-agent/ovsdb/json_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "random_data.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

namespace {

// As ovsdb-server 3.1 sends it, without a byte between messages but where it says so.
const std::string kSession =
    R"({"id":1,"result":{},"error":null}{"id":2,"result":[false,"00000000-0000-0000-0000-000000000000",)"
    R"({"Database":{"43002375-98cd-45ea-b3c7-1a4e8769cced":{"initial":{"leader":true,"name":"T",)"
    R"("sid":["uuid","cce43937-a673-4b59-b6d4-cd5dd37a13d3"],"index":2}}}}],"error":null})"
    "\n \t"
    R"({"id":null,"method":"update3","params":["T","da021eef-1a9f-4b60-92cc-9ae9b3b77e91",{"A":)"
    R"({"5259d95f-4654-487a-be12-fb4afab0962e":{"insert":{"n":"} \" \\ { [ \\\" ] é"}}}}]})"
    R"({"id":"echo","method":"echo","params":[]}{"id":3,"error":{"details":"{\\","error":"x"}})";

std::vector<json> all_of(JsonStream& stream, std::string_view bytes) {
    std::vector<json> made;
    while (!bytes.empty()) {
        auto message = stream.next(bytes);
        EXPECT_TRUE(message.ok()) << message.error().message;
        if (!message.ok()) { break; }
        if (message.value()) { made.push_back(*message.value()); }
    }
    return made;
}

std::string reason(std::string_view bytes, std::size_t message_max = kOvsdbMessageMax) {
    JsonStream stream(message_max);
    while (!bytes.empty()) {
        const auto message = stream.next(bytes);
        if (!message.ok()) { return message.error().message; }
    }
    return {};
}

}  // namespace

TEST(OvsdbStream, SplitAtEveryByte) {
    JsonStream whole;
    const auto expected = all_of(whole, kSession);
    ASSERT_EQ(expected.size(), 5U);
    for (std::size_t at = 0; at <= kSession.size(); ++at) {
        JsonStream stream;
        auto first = all_of(stream, std::string_view(kSession).substr(0, at));
        const auto second = all_of(stream, std::string_view(kSession).substr(at));
        first.insert(first.end(), second.begin(), second.end());
        ASSERT_EQ(first, expected) << "split at " << at;
    }
}

TEST(OvsdbStream, SplitAtRandom) {
    JsonStream whole;
    const auto expected = all_of(whole, kSession);
    RandomData random(4);
    for (int round = 0; round < 500; ++round) {
        JsonStream stream;
        std::vector<json> made;
        for (std::string_view left = kSession; !left.empty();) {
            const std::size_t count = std::min(left.size(), 1 + random.below(random.below(50) + 1));
            const auto part = all_of(stream, left.substr(0, count));
            made.insert(made.end(), part.begin(), part.end());
            left.remove_prefix(count);
        }
        ASSERT_EQ(made, expected) << "round " << round;
    }
}

TEST(OvsdbStream, WhatIsNoMessageIsTold) {
    EXPECT_NE(reason("[]").find("does not begin with {"), std::string::npos);
    EXPECT_NE(reason("{}x").find("does not begin with {"), std::string::npos);
    EXPECT_NE(reason("{]").find("not JSON"), std::string::npos);
    EXPECT_NE(reason("{\"a\":nul}").find("bad syntax at byte"), std::string::npos);
    EXPECT_NE(reason("{\"a\":\"\xff\"}").find("not JSON"), std::string::npos);
    EXPECT_NE(reason(R"({"a":1e999})").find("not JSON"), std::string::npos);
}

TEST(OvsdbStream, DepthIsBounded) {
    const std::string good = "{\"a\":" + std::string(kOvsdbDepthMax - 1, '[') +
                             std::string(kOvsdbDepthMax - 1, ']') + "}";
    EXPECT_EQ(reason(good), "");
    EXPECT_NE(reason("{\"a\":" + std::string(1000000, '[')).find("deeper than 64"),
              std::string::npos);
}

TEST(OvsdbStream, SizeIsBounded) {
    const std::string message = R"({"a":")" + std::string(1000, 'x') + R"("})";
    EXPECT_EQ(reason(message, message.size()), "");
    EXPECT_NE(reason(message, message.size() - 1).find("larger than"), std::string::npos);
    EXPECT_NE(reason(message.substr(0, 900), 800).find("larger than"), std::string::npos);
}

TEST(OvsdbStream, MemoryOfWhatIsParsedIsBounded) {
    std::string arrays = "{\"a\":[";
    for (int i = 0; i < 10000; ++i) { arrays += "[],"; }
    arrays += "0]}";
    EXPECT_NE(reason(arrays, 40000).find("more than a message may hold"), std::string::npos);
    EXPECT_EQ(reason(arrays, 1000000), "");
}

}  // namespace sluice::ovsdb::test
