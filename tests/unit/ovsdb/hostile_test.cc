// SPDX-License-Identifier: Apache-2.0
// A server that says what no server should: the client drops the connection with a reason, keeps
// its rows, comes back and is live again.
#include <gtest/gtest.h>

#include "client_rig.h"
#include "controller-agent/ovsdb/json_stream.h"
#include "fake_server.h"
#include "real_server.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

namespace {

const char* const kThing = "5259d95f-4654-487a-be12-fb4afab0962e";
const char* const kOther = "6259d95f-4654-487a-be12-fb4afab0962e";
const char* const kTransaction = "da021eef-1a9f-4b60-92cc-9ae9b3b77e91";

json update(const std::string& monitor, const json& tables) {
    return {{"id", nullptr},
            {"method", "update3"},
            {"params", json::array({monitor, kTransaction, tables})}};
}

}  // namespace

class OvsdbHostile : public testing::Test {
protected:
    OvsdbHostile() : server_(io_, folder_.path("fake.sock")), rig_(io_, server_.remote()) {
        server_.rows = {{"Thing", {{kThing, {{"initial", {{"name", "a"}, {"few", 3}}}}}}}};
        rig_->set_interest({{"Thing", {}, true}});
    }

    void be_live() {
        rig_->start();
        ASSERT_TRUE(rig_.until_live());
        ASSERT_EQ(rig_->tables().at("Thing").size(), 1U);
    }
    // Dropped with a reason that has `part` in it, live again, the rows unharmed.
    void expect_dropped(const std::string& bytes, const std::string& part) {
        const auto connections = server_.connections;
        rig_.reasons.clear();
        rig_.batches.clear();
        server_.send(bytes);
        ASSERT_TRUE(rig_.until([&] { return server_.connections > connections; })) << bytes;
        EXPECT_TRUE(rig_.has_told(part)) << (rig_.reasons.empty() ? "" : rig_.reasons[0]);
        EXPECT_TRUE(rig_.batches.empty()) << bytes.substr(0, 200);
        ASSERT_TRUE(rig_.until_live());
        EXPECT_EQ(rig_->tables().at("Thing").size(), 1U);
    }
    [[nodiscard]] std::string thing_update(const std::string& row) const {
        return update(server_.monitor(), {{"Thing", {{kThing, json::parse(row)}}}}).dump();
    }

    TestFolder folder_;
    boost::asio::io_context io_;
    FakeServer server_;
    ClientRig rig_;
};

TEST_F(OvsdbHostile, BytesThatAreNoMessage) {
    be_live();
    expect_dropped("garbage", "does not begin with {");
    expect_dropped("{\"a\":]}", "not JSON");
    expect_dropped("{\"a\":" + std::string(100, '['), "deeper");
    expect_dropped(R"({"method":"update3","params":[)"
                   "\x01]}",
                   "not JSON");
}

TEST_F(OvsdbHostile, MessagesThatMakeNoSense) {
    be_live();
    expect_dropped("{}", "not asked");
    expect_dropped(R"({"id":99,"result":{},"error":null})", "not asked");
    expect_dropped(R"({"id":-1,"result":{}})", "not asked");
    expect_dropped(R"({"id":[1],"result":{}})", "not asked");
    expect_dropped(R"({"method":7,"params":[],"id":1})", "does not serve");
    expect_dropped(R"({"method":"transact","params":[],"id":1})", "does not serve");
    expect_dropped(R"({"method":"update3","params":[],"id":null})", "another form");
    expect_dropped(R"({"method":"update3","params":{"a":1},"id":null})", "another form");
    expect_dropped(R"({"method":"update3","id":null})", "another form");
}

TEST_F(OvsdbHostile, UpdatesThatMakeNoSense) {
    be_live();
    const auto whole = [&](const char* tables) {
        return update(server_.monitor(), json::parse(tables)).dump();
    };
    expect_dropped(whole("[]"), "no object");
    expect_dropped(whole(R"({"Nothing":{}})"), "unknown table");
    expect_dropped(whole(R"({"Thing":[]})"), "no object");
    expect_dropped(whole(R"({"Thing":{"x":{"delete":null}}})"), "not a UUID");
    expect_dropped(thing_update("{}"), "one operation");
    expect_dropped(thing_update("[1]"), "one operation");
    expect_dropped(thing_update(R"({"explode":{}})"), "none of");
    expect_dropped(thing_update(R"({"modify":null})"), "no columns");
    expect_dropped(thing_update(R"({"modify":{"colour":1}})"), "unknown column");
    expect_dropped(thing_update(R"({"insert":{"name":null}})"), "neither");
    expect_dropped(thing_update(R"({"modify":{"items":["map",[["a"]]]}})"), "pair");
    expect_dropped(
        update(server_.monitor(), {{"Thing", {{kOther, {{"modify", {{"name", "b"}}}}}}}}).dump(),
        "never sent");
    // A good row beside the bad one does not count either.
    expect_dropped(
        whole((R"({"Thing":{")" + std::string(kThing) + R"(":{"delete":null}},"Zzz":{}})").c_str()),
        "unknown table");
}

TEST_F(OvsdbHostile, WrongTypesInAColumnAreReadAsEmpty) {
    be_live();
    server_.send(
        thing_update(R"({"modify":{"name":["map",[[1,2]]],"items":["set",["a"]],"few":"x"}})"));
    ASSERT_TRUE(rig_.until([&] { return !rig_.batches.empty() && rig_.batches.back()[0].before; }));
    const Row& row = *rig_.batches.back()[0].after;
    EXPECT_EQ(column(row, "name").text(), "");
    EXPECT_TRUE(column(row, "items").text_map().empty());
    EXPECT_EQ(rig_->state(), ClientState::kLive);
}

TEST_F(OvsdbHostile, HalfAMessageAndThenTheEnd) {
    be_live();
    const auto connections = server_.connections;
    server_.send(std::string(R"({"method":"upd)"));
    io_.run_for(std::chrono::milliseconds(5));
    server_.hang_up();
    ASSERT_TRUE(rig_.until([&] { return server_.connections > connections; }));
    EXPECT_TRUE(rig_.has_told("closed the connection"));
    EXPECT_TRUE(rig_.until_live());
}

TEST_F(OvsdbHostile, AnswersThatMakeNoSense) {
    int step = 0;
    const std::vector<std::pair<std::string, std::string>> answers = {
        {"null", "no row"},
        {"[1,2]", "no row"},
        {R"([false,"x",[]])", "no object"},
        {R"([false,"x",{"Database":{}}])", "is not on the server"},
        {R"([false,"x",{"Database":{"43002375-98cd-45ea-b3c7-1a4e8769cced":{"initial":{"name":"Test"}}}}])",
         "outside of its cluster"},
    };
    server_.answer = [&](const json& request) -> std::optional<std::string> {
        const bool is_row =
            request["method"] == "monitor_cond_since" && request["params"][0] == "_Server";
        if (!is_row || step == static_cast<int>(answers.size())) { return std::nullopt; }
        const auto& result = answers[static_cast<std::size_t>(step++)].first;
        return R"({"id":)" + request["id"].dump() + R"(,"result":)" + result + "}";
    };
    be_live();
    for (const auto& [result, part] : answers) { EXPECT_TRUE(rig_.has_told(part)) << result; }
}

TEST_F(OvsdbHostile, SchemasThatMakeNoSense) {
    std::vector<std::string> schemas = {
        "null",
        "[]",
        R"({"tables":[]})",
        R"({"tables":{"Thing":{}}})",
        R"({"tables":{"Thing":{"columns":{"a":{}}}}})",
        R"({"tables":{"Thing":{"columns":{"a":{"type":{"key":"colour"}}}}}})",
        R"({"tables":{"Thing":{"columns":{"a":{"type":{"key":{"type":[]}}}}}}})",
        R"({"tables":{}})"};
    std::size_t step = 0;
    server_.answer = [&](const json& request) -> std::optional<std::string> {
        if (request["method"] != "get_schema" || step == schemas.size()) { return std::nullopt; }
        return R"({"id":)" + request["id"].dump() + R"(,"result":)" + schemas[step++] + "}";
    };
    be_live();
    EXPECT_EQ(step, schemas.size());
    EXPECT_TRUE(rig_.has_told("makes no sense"));
    EXPECT_TRUE(rig_.has_told("has no table Thing"));
}

TEST_F(OvsdbHostile, OtherDatabaseStates) {
    be_live();
    const std::string row = "43002375-98cd-45ea-b3c7-1a4e8769cced";
    const auto server_update = [&](const json& change) {
        return update("_Server", {{"Database", {{row, change}}}}).dump();
    };
    expect_dropped(server_update({{"modify", {{"connected", false}}}}), "outside of its cluster");
    expect_dropped(server_update({{"delete", nullptr}}), "is not on the server");
    expect_dropped(R"({"method":"monitor_canceled","params":["Test/1"],"id":null})",
                   "took the database away");
}

TEST_F(OvsdbHostile, SilenceEndsTheConnection) {
    server_.rows = json::object();
    ClientOptions options;
    options.probe_interval = std::chrono::milliseconds(100);
    ClientRig impatient(io_, server_.remote(), options);
    impatient->start();
    ASSERT_TRUE(impatient.until_live());
    ASSERT_TRUE(impatient.until([&] { return server_.count("echo") >= 2; }));
    EXPECT_EQ(impatient->state(), ClientState::kLive) << "an answered echo keeps it";
    server_.answer = [](const json&) { return std::optional<std::string>(""); };
    EXPECT_TRUE(impatient.until_told("silent for too long"));
    impatient.reset();
}

TEST_F(OvsdbHostile, EchoIsAnswered) {
    be_live();
    server_.send(std::string(R"({"id":"e1","method":"echo","params":[1,{"a":2}]})"));
    EXPECT_TRUE(rig_.until([&] {
        return !server_.received.empty() &&
               server_.received.back() ==
                   json::parse(R"({"id":"e1","result":[1,{"a":2}],"error":null})");
    }));
}

TEST_F(OvsdbHostile, TransactionsAnsweredOddly) {
    be_live();
    const std::vector<std::pair<std::string, Outcome>> answers = {
        {R"("result":{},"error":null)", Outcome::kUnknown},
        {R"("result":null,"error":"canceled")", Outcome::kUnknown},
        {R"("result":null,"error":{"error":"x","details":7})", Outcome::kRefused},
        {R"("error":"unknown database")", Outcome::kRefused},
        {R"("result":[{},null,{"error":"constraint violation","details":"d"}],"error":null)",
         Outcome::kRefused},
        {R"("result":[{},null,7],"error":null)", Outcome::kCommitted},
    };
    for (const auto& [answer, outcome] : answers) {
        server_.answer = [&](const json& request) -> std::optional<std::string> {
            if (request["method"] != "transact") { return std::nullopt; }
            return R"({"id":)" + request["id"].dump() + "," + answer + "}";
        };
        EXPECT_EQ(rig_.transact(json::array()).outcome, outcome) << answer;
    }
    EXPECT_EQ(server_.connections, 1U);
}

TEST_F(OvsdbHostile, FourTransactionsAreInFlight) {
    be_live();
    server_.answer = [](const json& request) -> std::optional<std::string> {
        return request["method"] == "transact" ? std::optional<std::string>("") : std::nullopt;
    };
    const auto before = server_.count("transact");
    const auto results = rig_.begin(std::vector<json>(6, json::array()));
    ASSERT_TRUE(rig_.until([&] { return server_.count("transact") == before + 4; }));
    io_.run_for(std::chrono::milliseconds(20));
    EXPECT_EQ(server_.count("transact"), before + 4);
    // The four end unknown, the two that waited are sent on the next connection.
    server_.answer = nullptr;
    server_.hang_up();
    ASSERT_TRUE(rig_.until([&] { return results->size() == 6; }));
    const auto count = [&](Outcome outcome) {
        return std::count_if(results->begin(), results->end(),
                             [&](const TransactResult& one) { return one.outcome == outcome; });
    };
    EXPECT_EQ(count(Outcome::kUnknown), 4);
    EXPECT_EQ(count(Outcome::kCommitted), 2);
}

TEST_F(OvsdbHostile, StoppedFromWithinAnEvent) {
    ClientEvents events;
    std::unique_ptr<Client> client;
    int calls = 0;
    events.on_change = [&](const std::vector<RowChange>&, bool) {
        ++calls;
        client.reset();
    };
    ClientOptions options;
    options.remotes = parse_remotes(server_.remote()).value();
    options.database = "Test";
    client = std::make_unique<Client>(io_, options, events);
    client->set_interest({{"Thing", {}, true}});
    client->start();
    ASSERT_TRUE(rig_.until([&] { return !client; }));
    io_.run_for(std::chrono::milliseconds(20));
    EXPECT_EQ(calls, 1);
}

}  // namespace sluice::ovsdb::test
