// SPDX-License-Identifier: Apache-2.0
// Real servers that go and come back: what differs is told, and nothing else.
#include <gtest/gtest.h>

#include <fstream>

#include "client_rig.h"
#include "real_server.h"
#include "sluice/base/limits.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

class OvsdbReconnect : public testing::TestWithParam<bool> {
protected:
    void SetUp() override {
        if (!has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
    }
    [[nodiscard]] std::unique_ptr<RealServer> server(std::vector<std::string> more = {}) const {
        return std::make_unique<RealServer>(folder_, "db",
                                            RealServer::Options{GetParam(), std::move(more), {}});
    }
    TestFolder folder_;
    boost::asio::io_context io_;
};

INSTANTIATE_TEST_SUITE_P(Model, OvsdbReconnect, testing::Bool(), [](const auto& model) {
    return model.param ? "clustered" : "standalone";
});

namespace {

std::vector<std::string> names(Client& client) {
    std::vector<std::string> made;
    const auto found = client.tables().find("Thing");
    if (found == client.tables().end()) { return made; }
    for (const auto& [id, row] : found->second) { made.push_back(column(*row, "name").text()); }
    std::sort(made.begin(), made.end());
    return made;
}

json delete_thing(const std::string& name) {
    return {{"op", "delete"},
            {"table", "Thing"},
            {"where", json::array({json::array({"name", "==", name})})}};
}

}  // namespace

TEST_P(OvsdbReconnect, WhatIsUnchangedIsNotTold) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->set_interest({{"Thing", {}, true}});
    rig->start();
    rig.transact(json::array({insert_thing("a"), insert_thing("b")}));
    const auto kept = rig->tables();
    rig.batches.clear();
    rig.states.clear();
    real->control({"ovsdb-server/reconnect"});
    ASSERT_TRUE(rig.until_told("closed the connection"));
    EXPECT_TRUE(rig->was_complete()) << "the replica stays what it is";
    ASSERT_TRUE(rig.until_live());
    EXPECT_TRUE(rig.batches.empty());
    EXPECT_EQ(rig->tables(), kept);
}

TEST_P(OvsdbReconnect, WhatChangedMeanwhileIsTold) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->set_interest({{"Thing", {}, true}});
    rig->start();
    rig.transact(json::array({insert_thing("a"), insert_thing("b")}));
    // Held back by a frozen client: another one changes rows meanwhile.
    boost::asio::io_context other_io;
    ClientRig other(other_io, real->remote());
    other->start();
    ASSERT_TRUE(other.until_live());
    real->control({"ovsdb-server/reconnect"});
    ASSERT_TRUE(other.until_told("closed the connection"));
    other.transact(json::array({delete_thing("a"), insert_thing("c")}));
    rig.batches.clear();
    ASSERT_TRUE(rig.until([&] { return names(*rig) == std::vector<std::string>{"b", "c"}; }));
    std::size_t count = 0;
    for (const auto& batch : rig.batches) { count += batch.size(); }
    EXPECT_EQ(count, 2U) << "one came, one went";
}

TEST_P(OvsdbReconnect, RestartedServerHasItsRows) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->set_interest({{"Thing", {"name"}, true}});
    rig->start();
    rig.transact(json::array({insert_thing("a")}));
    rig.batches.clear();
    real->stop();
    ASSERT_TRUE(rig.until([&] { return rig->state() == ClientState::kBackoff; }));
    real->start();
    ASSERT_TRUE(rig.until_live());
    EXPECT_EQ(names(*rig), std::vector<std::string>{"a"});
    EXPECT_TRUE(rig.batches.empty());
}

TEST_P(OvsdbReconnect, DatabaseMadeAnewIsAnother) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->set_interest({{"Thing", {"name"}, true}});
    rig->start();
    rig.transact(json::array({insert_thing("a")}));
    const auto id = rig->cluster_id();
    EXPECT_EQ(id.empty(), !GetParam());
    rig.batches.clear();
    real->remake();
    ASSERT_TRUE(rig.until([&] { return names(*rig).empty(); }));
    ASSERT_TRUE(rig.until_live());
    EXPECT_EQ(rig->cluster_id() == id, !GetParam());
    ASSERT_EQ(rig.batches.size(), 1U);
    EXPECT_EQ(rig.batches[0].at(0).after, nullptr);
}

TEST_P(OvsdbReconnect, InterestChangedWhileAway) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    const auto named = [](const char* name) {
        return std::vector<Interest>{
            {"Thing", {"name"}, json::array({json::array({"name", "==", name})})}};
    };
    rig->set_interest(named("a"));
    rig->start();
    rig.transact(json::array({insert_thing("a"), insert_thing("b")}));
    real->control({"ovsdb-server/reconnect"});
    rig->set_interest(named("b"));
    ASSERT_TRUE(rig.until([&] { return rig->was_complete(); }));
    EXPECT_EQ(names(*rig), std::vector<std::string>{"b"});
}

TEST_P(OvsdbReconnect, SchemaChangedUnderneath) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->set_interest({{"Thing", {"name"}, true}});
    rig->start();
    rig.transact(json::array({insert_thing("a")}));
    rig.batches.clear();
    std::ofstream(folder_.path("new.schema")) << schema_text(true);
    ASSERT_EQ(run({"ovsdb-client", "convert", real->remote(), folder_.path("new.schema")},
                  folder_.path("convert.out")),
              0);
    ASSERT_TRUE(rig.until_told("schema"));
    ASSERT_TRUE(rig.until_live());
    EXPECT_EQ(names(*rig), std::vector<std::string>{"a"});
    EXPECT_TRUE(rig.batches.empty());
    rig->set_interest({{"Thing", {"name"}, true}, {"More", {}, true}});
    EXPECT_TRUE(rig.until([&] { return rig->was_complete(); }));
}

TEST_P(OvsdbReconnect, UnknownOutcomeOfAFrozenServer) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->start();
    ASSERT_TRUE(rig.until_live());
    real->freeze();
    const auto results = rig.begin({json::array({insert_thing("a")})});
    io_.run_for(std::chrono::milliseconds(20));
    real->stop();
    ASSERT_TRUE(rig.until([&] { return results->size() == 1; }));
    EXPECT_EQ(results->at(0).outcome, Outcome::kUnknown);
}

TEST_P(OvsdbReconnect, LockPassesFromClientToClient) {
    const auto real = server();
    auto first = std::make_unique<ClientRig>(io_, real->remote());
    ClientRig second(io_, real->remote());
    (*first)->lock("writer");
    (*first)->start();
    ASSERT_TRUE(first->until([&] { return (*first)->has_lock(); }));
    second->lock("writer");
    second->start();
    ASSERT_TRUE(second.until_live());
    second.transact(json::array({insert_thing("a")}));  // Answered after the lock was.
    EXPECT_FALSE(second->has_lock());
    first.reset();
    EXPECT_TRUE(second.until([&] { return second->has_lock(); }));
}

TEST_P(OvsdbReconnect, StoppedClientEndsItsTransactions) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    rig->start();
    ASSERT_TRUE(rig.until_live());
    real->freeze();
    const auto results = rig.begin(std::vector<json>(6, json::array({insert_thing("a")})));
    io_.run_for(std::chrono::milliseconds(20));
    rig->stop();
    rig->stop();
    ASSERT_TRUE(rig.until([&] { return results->size() == 6; }));
    const auto is_unsent = [](const auto& one) { return one.outcome == Outcome::kNotSent; };
    EXPECT_EQ(std::count_if(results->begin(), results->end(), is_unsent), 2);
    EXPECT_EQ(rig->state(), ClientState::kIdle);
    EXPECT_EQ(rig.transact(json::array()).outcome, Outcome::kNotSent);
    real->thaw();
}

TEST_P(OvsdbReconnect, QueueIsBounded) {
    const auto real = server();
    ClientRig rig(io_, real->remote());
    const auto results = rig.begin(std::vector<json>(kOvsdbQueueMax + 1, json::array()));
    ASSERT_TRUE(rig.until([&] { return results->size() == 1; }));
    EXPECT_EQ(results->at(0).outcome, Outcome::kNotSent);
    rig->start();
    EXPECT_TRUE(rig.until([&] { return results->size() == kOvsdbQueueMax + 1; }));
}

TEST(OvsdbRelay, IsFollowedAndNeverLeads) {
    if (!has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
    const TestFolder folder;
    boost::asio::io_context io;
    RealServer source(folder, "source", {true, {}, {}});
    const auto relay = "relay:Test:" + source.remote();
    RealServer server(folder, "relay", {false, {}, relay});
    ClientRig rig(io, server.remote());
    rig->set_interest({{"Thing", {"name"}, true}});
    rig->start();
    EXPECT_EQ(rig.transact(json::array({insert_thing("a")})).outcome, Outcome::kCommitted);
    EXPECT_EQ(names(*rig), std::vector<std::string>{"a"});
    ClientOptions leader_only;
    leader_only.leader_only = true;
    ClientRig writer(io, server.remote() + "," + source.remote(), leader_only);
    writer->start();
    ASSERT_TRUE(writer.until_live());
    EXPECT_EQ(writer->remote(), source.remote());
}

TEST(OvsdbRemotes, ClientMovesToWhatItIsTold) {
    if (!has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
    const TestFolder folder;
    boost::asio::io_context io;
    RealServer first(folder, "first", {});
    RealServer second(folder, "second", {});
    ClientRig rig(io, first.remote());
    rig->start();
    ASSERT_TRUE(rig.until_live());
    rig->set_remotes(parse_remotes(second.remote()).value());
    EXPECT_TRUE(rig.until(
        [&] { return rig->remote() == second.remote() && rig->state() == ClientState::kLive; }));
}

}  // namespace sluice::ovsdb::test
