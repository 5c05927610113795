// SPDX-License-Identifier: Apache-2.0
// JSON-RPC lines as pure text: what is a call, what is refused and with which code.
#include "admin/jsonrpc.h"

#include <gtest/gtest.h>

#include "admin/limits.h"

namespace sluice::admin {
namespace {

using nlohmann::json;

Refusal refusal(std::string_view line) {
    auto parsed = parse_request(line);
    if (auto* found = std::get_if<Refusal>(&parsed)) { return *found; }
    ADD_FAILURE() << "accepted: " << line;
    return {};
}

TEST(JsonRpc, ReadsCallWithParamsAndId) {
    auto parsed =
        parse_request(R"({"jsonrpc":"2.0","method":"show.port","params":{"name":"vm1"},"id":7})");
    const auto& request = std::get<Request>(parsed);
    EXPECT_EQ(request.method, "show.port");
    EXPECT_EQ(request.params, json({{"name", "vm1"}}));
    EXPECT_EQ(request.id, json(7));
}

TEST(JsonRpc, CallWithoutIdIsNotification) {
    auto parsed = parse_request(R"({"jsonrpc":"2.0","method":"status"})");
    EXPECT_FALSE(std::get<Request>(parsed).id.has_value());
    EXPECT_TRUE(std::get<Request>(parsed).params.is_object());
}

TEST(JsonRpc, NullIdIsACallThatIsAnswered) {
    auto parsed = parse_request(R"({"jsonrpc":"2.0","method":"status","id":null})");
    EXPECT_TRUE(std::get<Request>(parsed).id.has_value());
}

TEST(JsonRpc, TextThatIsNoJsonIsParseError) {
    for (const char* line : {"hello", "{", "{\"a\":}", "{} {}", "\xff", "[1,2", "\"a", "nul"}) {
        EXPECT_EQ(refusal(line).code, kParseError) << line;
        EXPECT_TRUE(refusal(line).id.is_null());
    }
    EXPECT_NE(refusal("{\"a\":}").error.message.find("column 6"), std::string::npos)
        << refusal("{\"a\":}").error.message;
}

TEST(JsonRpc, WrongShapesAreInvalidRequests) {
    for (const char* line :
         {"[]", R"([{"jsonrpc":"2.0","method":"status","id":1}])", "3", "null",
          R"({"method":"status","id":1})", R"({"jsonrpc":"1.0","method":"status","id":1})",
          R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","method":3,"id":1})",
          R"({"jsonrpc":"2.0","method":"status","id":{}})",
          R"({"jsonrpc":"2.0","method":"status","id":true})"}) {
        EXPECT_EQ(refusal(line).code, kInvalidRequest) << line;
    }
    EXPECT_EQ(refusal(R"({"jsonrpc":"2.0","id":"x"})").id, json("x"));
}

TEST(JsonRpc, PositionalParamsAreInvalidParams) {
    const auto call = refusal(R"({"jsonrpc":"2.0","method":"status","params":[1],"id":4})");
    EXPECT_EQ(call.code, kInvalidParams);
    EXPECT_EQ(call.id, json(4));
    EXPECT_TRUE(call.answered);
    EXPECT_FALSE(refusal(R"({"jsonrpc":"2.0","method":"status","params":3})").answered);
}

TEST(JsonRpc, KeyTwiceInOneObjectIsRefusedByName) {
    const auto twice = refusal(R"({"jsonrpc":"2.0","params":{"ports":[],"ports":[]}})");
    EXPECT_EQ(twice.code, kParseError);
    EXPECT_EQ(twice.error.message, "request: key \"ports\" appears twice in one object");
}

TEST(JsonRpc, NestingIsBounded) {
    const std::string deep = std::string(kJsonDepthMax + 1, '[');
    EXPECT_NE(refusal(deep).error.message.find("nested deeper"), std::string::npos);
    const std::string legal = std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']');
    EXPECT_EQ(refusal(legal).code, kInvalidRequest);  // Parsed; merely no object.
}

TEST(JsonRpc, AnswersAreOneLineEach) {
    EXPECT_EQ(result_line(1, {{"a", "x\ny"}}),
              "{\"jsonrpc\":\"2.0\",\"result\":{\"a\":\"x\\ny\"},\"id\":1}\n");
    const auto error = json::parse(
        error_line("q", kMethodFailed, {Errc::kInvalid, "port vm1: mac x", "port vm1"}));
    EXPECT_EQ(error["id"], "q");
    EXPECT_EQ(error["error"]["code"], kMethodFailed);
    EXPECT_EQ(error["error"]["data"],
              json({{"code", "invalid"}, {"message", "port vm1: mac x"}, {"object", "port vm1"}}));
}

TEST(JsonRpc, BytesThatAreNoUtf8DoNotThrow) {
    EXPECT_NE(result_line(1,
                          "a\xff"
                          "b")
                  .find("\xef\xbf\xbd"),
              std::string::npos);
}

TEST(JsonRpc, CountsValuesUpToTheQuestion) {
    const json value = json::parse(R"({"a":[1,2,3],"b":{}})");  // Object, array, three, object.
    EXPECT_TRUE(has_values(value, 6));
    EXPECT_FALSE(has_values(value, 7));
}

TEST(JsonRpc, WhatAPeerMadeLongIsNotRepeatedToIt) {
    const std::string line = error_line(
        1, kMethodFailed, {Errc::kInvalid, std::string(1 << 20, 'x'), std::string(1 << 20, 'y')});
    EXPECT_LT(line.size(), 20'000U);
    const auto refused =
        parse_request(R"({"jsonrpc":"2.0","method":"x","id":")" + std::string(1000, 'i') + "\"}");
    ASSERT_TRUE(std::holds_alternative<Refusal>(refused));
    EXPECT_TRUE(std::get<Refusal>(refused).id.is_null());
}

}  // namespace
}  // namespace sluice::admin
