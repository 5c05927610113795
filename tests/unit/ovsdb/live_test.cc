// SPDX-License-Identifier: Apache-2.0
// The client against a real server: rows come, change, go; interest changes; transactions end.
#include <gtest/gtest.h>

#include "client_rig.h"
#include "real_server.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

class OvsdbLive : public testing::Test {
protected:
    void SetUp() override {
        if (!has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
    }
    TestFolder folder_;
    boost::asio::io_context io_;
};

std::size_t thing_count(Client& client) {
    const auto found = client.tables().find("Thing");
    return found == client.tables().end() ? 0 : found->second.size();
}

TEST_F(OvsdbLive, ReplicatesWhatItIsInterestedIn) {
    RealServer server(folder_);
    ClientRig rig(io_, server.remote());
    rig->set_interest({{"Thing", {}, json::array({json::array({"name", "==", "a"})})}});
    rig->start();
    ASSERT_TRUE(rig.until_live());
    const auto done = rig.transact(json::array({insert_thing("a"), insert_thing("b")}));
    ASSERT_EQ(done.outcome, Outcome::kCommitted) << done.error;
    EXPECT_EQ(thing_count(*rig), 1U);
    ASSERT_EQ(rig.batches.size(), 1U);
    const RowChange& change = rig.batches[0].at(0);
    EXPECT_EQ(change.before, nullptr);
    EXPECT_EQ(column(*change.after, "name").text(), "a");
    EXPECT_EQ(column(*change.after, "count").keys.size(), 1U) << "what is not said has its default";
}

TEST_F(OvsdbLive, ChangedInterestBringsAndTakesRows) {
    RealServer server(folder_);
    ClientRig rig(io_, server.remote());
    rig->set_interest({{"Thing", {"name"}, false}});
    rig->start();
    ASSERT_TRUE(rig.until_live());
    rig.transact(json::array({insert_thing("a"), insert_thing("b")}));
    EXPECT_EQ(thing_count(*rig), 0U);
    rig->set_interest({{"Thing", {"name"}, true}});
    EXPECT_FALSE(rig->was_complete());
    ASSERT_TRUE(rig.until([&] { return rig->was_complete(); }));
    EXPECT_EQ(thing_count(*rig), 2U);
    // The second change counts while the first is in flight.
    rig->set_interest({{"Thing", {"name"}, false}});
    rig->set_interest({{"Thing", {"name"}, json::array({json::array({"name", "==", "b"})})}});
    ASSERT_TRUE(rig.until([&] { return rig->was_complete(); }));
    EXPECT_EQ(thing_count(*rig), 1U);
    rig->set_interest({{"Other", {}, true}});
    ASSERT_TRUE(rig.until([&] { return rig->was_complete(); }));
    EXPECT_EQ(thing_count(*rig), 0U) << "a table of no interest has no rows";
}

TEST_F(OvsdbLive, RefusedTransactionSaysWhy) {
    RealServer server(folder_);
    ClientRig rig(io_, server.remote());
    rig->start();
    const auto done = rig.transact(json::array({{{"op", "abort"}}}));
    EXPECT_EQ(done.outcome, Outcome::kRefused);
    EXPECT_EQ(done.refusal, "aborted");
}

}  // namespace sluice::ovsdb::test
