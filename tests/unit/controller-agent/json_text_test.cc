// SPDX-License-Identifier: Apache-2.0
// What the JSON reader refuses beyond the grammar, and where it says the fault is.
#include "controller-agent/json_text.h"

#include <gtest/gtest.h>

#include "sluice/base/limits.h"

namespace sluice::agent {
namespace {

Error error_of(std::string_view text) {
    const Result<nlohmann::json> result = parse_json(text);
    EXPECT_FALSE(result.ok()) << text;
    return result.ok() ? Error{} : result.error();
}

TEST(ParseJson, BuildsTheValue) {
    const auto result = parse_json(R"({"a": [1, -2, 2.5, true, null, "x"], "b": {}})");
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result.value(), nlohmann::json::parse(R"({"a":[1,-2,2.5,true,null,"x"],"b":{}})"));
}

TEST(ParseJson, SyntaxErrorSaysLineAndColumn) {
    const Error error = error_of("{\n  \"host\": {\"name\": \"a\"},,\n}");
    EXPECT_EQ(error.object, "document");
    EXPECT_NE(error.message.find("line 2, column 25"), std::string::npos) << error.message;
}

TEST(ParseJson, RefusesEmptyTruncatedAndTrailingText) {
    for (const char* text :
         {"", "{", "[1,", "{} x", "{\"a\":1}}", "nul", "\"\\q\"", "{\"a\":01}"}) {
        EXPECT_EQ(error_of(text).code, Errc::kInvalid) << text;
    }
}

TEST(ParseJson, RefusesBytesThatAreNoUtf8) {
    EXPECT_NE(error_of("{\"a\": \"\xff\"}").message.find("UTF-8"), std::string::npos);
}

TEST(ParseJson, RefusesKeyGivenTwice) {
    const Error error = error_of(R"({"a": {"mtu": 1, "mtu": 2}})");
    EXPECT_EQ(error.message, "document: the key \"mtu\" is given twice in one object");
}

TEST(ParseJson, RefusesDepthWithoutUsingTheStack) {
    EXPECT_EQ(error_of(std::string(1000000, '[')).code, Errc::kLimit);
    const std::string deep =
        std::string(kDocumentDepthMax, '[') + std::string(kDocumentDepthMax, ']');
    EXPECT_TRUE(parse_json(deep).ok());
}

}  // namespace
}  // namespace sluice::agent
