// SPDX-License-Identifier: Apache-2.0
// Commits against a real ovsdb-server: in one transaction and in many, two editors at once, an
// editor that died in the midst.
#include <sstream>

#include "../ovsdb/real_server.h"
#include "cli/fleet_commit.h"
#include "controller-agent/fleet/commit_plan.h"
#include "documents.h"

namespace sluice::cli {
namespace {

using fleet::normal;
using fleet::small_fleet;
using nlohmann::json;
using ovsdb::test::RealServer;
using ovsdb::test::TestFolder;

constexpr std::chrono::seconds kPatience{60};

/// A server with an empty Sluice_Config beside its own database.
class FleetCommit : public testing::Test {
protected:
    void SetUp() override {
        if (!ovsdb::test::has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
        const std::string file = folder_.path("config.db");
        ASSERT_EQ(ovsdb::test::run({"ovsdb-tool", "create", file, SLUICE_CONFIG_SCHEMA},
                                   folder_.path("out")),
                  0);
        RealServer::Options options;
        options.more = {file};
        server_.emplace(folder_, "db", options);
    }

    std::unique_ptr<Database> editor() {
        auto database =
            std::make_unique<Database>("Sluice_Config", Database::Clock::now() + kPatience);
        auto opened = database->open(server_->remote(), {}, config_interest(), false);
        EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.failure().message);
        return database;
    }

    json commit(Database& database, const json& document, CommitRequest request = {}) {
        auto done = commit_fleet(database, normal(document), request, told_);
        EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.failure().message);
        return done.ok() ? done.value() : json::object();
    }

    json stored() { return stored_document(*editor()).document; }

    TestFolder folder_;
    std::optional<RealServer> server_;
    std::ostringstream told_;
};

json with_ip(const char* ip, std::size_t port = 0) {
    json document = small_fleet();
    document["ports"][port]["ips"] = {ip};
    return document;
}

json large_fleet(std::size_t hosts) {
    json document = small_fleet();
    for (std::size_t i = 0; i < hosts; ++i) {
        const std::string number = std::to_string(i);
        document["hosts"].push_back({{"name", "x" + number}});
        document["ports"].push_back(
            {{"name", "p" + number}, {"host", "x" + number}, {"port_group", "web"}});
    }
    return document;
}

TEST_F(FleetCommit, WhatWasAppliedIsThere) {
    auto one = editor();
    EXPECT_EQ(commit(*one, small_fleet())["generation"], 1);
    EXPECT_EQ(stored(), normal(small_fleet()));
}

TEST_F(FleetCommit, TwiceIsOnce) {
    auto one = editor();
    commit(*one, small_fleet());
    const json again = commit(*editor(), small_fleet());
    EXPECT_EQ(again["changed"], 0u);
    EXPECT_EQ(again["generation"], 1);
}

TEST_F(FleetCommit, AMassDeletionRaisesTheEpoch) {
    auto one = editor();
    commit(*one, small_fleet());
    CommitRequest request;
    request.allow_mass_delete = true;
    EXPECT_EQ(commit(*editor(), json::object(), request)["epoch"], 1);
    EXPECT_EQ(fleet::global_state(editor()->tables()).epoch, 1);
    EXPECT_EQ(stored(), json::object());
}

TEST_F(FleetCommit, ManyTransactionsEndInOneGenerationWithoutAMark) {
    auto one = editor();
    EXPECT_EQ(commit(*one, large_fleet(500))["generation"], 1);
    EXPECT_EQ(stored(), normal(large_fleet(500)));
    EXPECT_TRUE(fleet::is_whole(editor()->tables()));
}

TEST_F(FleetCommit, TwoEditorsKeepWhatTheOtherChanged) {
    auto first = editor();
    commit(*first, small_fleet());
    auto second = editor(), third = editor();
    commit(*second, with_ip("10.0.1.7", 0));
    const json late = commit(*third, with_ip("10.0.2.7", 1));  // Has not seen the second's.
    EXPECT_EQ(late["merged"], true);
    EXPECT_EQ(late["generation"], 3);
    const json document = stored();
    EXPECT_EQ(fleet::find(document, "ports", "vm1")["ips"], json({"10.0.1.7"}));
    EXPECT_EQ(fleet::find(document, "ports", "vm2")["ips"], json({"10.0.2.7"}));
}

TEST_F(FleetCommit, TwoEditorsOfOneObjectAreNotBothRight) {
    auto first = editor();
    commit(*first, small_fleet());
    auto second = editor(), third = editor();
    commit(*second, with_ip("10.0.1.7"));
    auto late = commit_fleet(*third, normal(with_ip("10.0.1.8")), {}, told_);
    ASSERT_FALSE(late.ok());
    EXPECT_EQ(late.failure().object, "port vm1");
    EXPECT_EQ(fleet::find(stored(), "ports", "vm1")["ips"], json({"10.0.1.7"}));
}

TEST_F(FleetCommit, TwoEditorsOfTheSameMindAreOne) {
    auto second = editor(), third = editor();
    commit(*second, small_fleet());
    const json late = commit(*third, small_fleet());
    EXPECT_EQ(late["changed"], 0u);
    EXPECT_EQ(late["generation"], 1);
}

TEST_F(FleetCommit, AnEditorThatDiedInTheMidstIsTakenOver) {
    auto dead = editor();
    const json document = normal(large_fleet(500));
    fleet::CommitPlan plan =
        fleet::commit_plan(dead->tables(), fleet::pack(document), {"dead", 1, false});
    ASSERT_GT(plan.transactions.size(), 2u);
    const json next = plan.transactions[1];
    ASSERT_EQ(dead->transact(plan.transactions[0]).outcome, ovsdb::Outcome::kCommitted);
    auto one = editor();
    EXPECT_FALSE(fleet::is_whole(one->tables()));
    commit(*one, small_fleet());
    EXPECT_EQ(stored(), normal(small_fleet()));
    EXPECT_TRUE(fleet::is_whole(editor()->tables()));
    // It was only slow: what it writes now is refused whole.
    const auto late = dead->transact(next);
    EXPECT_EQ(late.outcome, ovsdb::Outcome::kRefused);
    EXPECT_EQ(late.refusal, "timed out");
}

TEST_F(FleetCommit, ADryRunWritesNothing) {
    auto one = editor();
    CommitRequest request;
    request.dry_run = true;
    EXPECT_EQ(commit(*one, small_fleet(), request)["generation"], 0);
    EXPECT_EQ(stored(), json::object());
}

TEST_F(FleetCommit, ASmallChangeIsOneMutation) {
    auto one = editor();
    commit(*one, small_fleet());
    auto two = editor();
    const fleet::PackedRows now = fleet::packed_rows(two->tables());
    json document = small_fleet();
    document["ports"][2]["enabled"] = false;  // One of two of its row.
    const fleet::CommitPlan plan =
        fleet::commit_plan(two->tables(), fleet::pack(normal(document), &now), {"test", 1, false});
    EXPECT_EQ(plan.rows, 1u);
    ASSERT_EQ(plan.transactions.size(), 1u);
    EXPECT_EQ(plan.transactions[0].size(), 3u);  // wait, the row, Global.
}

TEST(FleetDatabase, SaysWhyItIsNotReached) {
    Database database("Sluice_Config", Database::Clock::now() + kPatience);
    auto opened = database.open("unix:/nonexistent/db.sock", {}, config_interest(), false);
    ASSERT_FALSE(opened.ok());
    EXPECT_NE(opened.failure().message.find("unix:/nonexistent/db.sock"), std::string::npos);
    auto nonsense = database.open("db.sock", {}, config_interest(), false);
    ASSERT_FALSE(nonsense.ok());
    EXPECT_EQ(nonsense.failure().code, "usage");
}

}  // namespace
}  // namespace sluice::cli
