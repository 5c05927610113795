// SPDX-License-Identifier: Apache-2.0
// Remotes as text.
#include "controller-agent/ovsdb/remote.h"

#include <gtest/gtest.h>

namespace sluice::ovsdb::test {

TEST(OvsdbRemote, ReadsEachKind) {
    const auto read = parse_remotes("tcp:10.0.0.1:6641,ssl:[fd00::1]:6642,unix:/run/a.sock");
    ASSERT_TRUE(read.ok());
    ASSERT_EQ(read.value().size(), 3U);
    EXPECT_EQ(read.value()[0], (Remote{Transport::kTcp, "10.0.0.1", 6641, ""}));
    EXPECT_EQ(read.value()[1], (Remote{Transport::kSsl, "fd00::1", 6642, ""}));
    EXPECT_EQ(read.value()[2], (Remote{Transport::kUnix, "", 0, "/run/a.sock"}));
    EXPECT_EQ(read.value()[1].text(), "ssl:[fd00::1]:6642");
    EXPECT_EQ(parse_remotes("ssl:db.example:1").value()[0].text(), "ssl:db.example:1");
}

TEST(OvsdbRemote, RefusesWithTheItem) {
    for (const char* bad :
         {"", "tcp:", "tcp:a", "tcp:a:0", "tcp:a:65536", "tcp:a:1x", "tcp::1", "tcp:fd00::1:6641",
          "tcp:[a:1", "ssl:[10.0.0.1]:1", "unix:", "udp:a:1", "tcp:a b:1", "tcp:a:-1"}) {
        const auto read = parse_remotes(std::string("tcp:ok:1,") + bad);
        ASSERT_FALSE(read.ok()) << bad;
        EXPECT_NE(read.error().message.find("\"" + std::string(bad) + "\""), std::string::npos);
    }
    EXPECT_FALSE(parse_remotes("unix:/" + std::string(107, 'x')).ok());
    std::string many = "tcp:a:1";
    for (int i = 0; i < 16; ++i) { many += ",tcp:a:1"; }
    EXPECT_FALSE(parse_remotes(many).ok());
}

}  // namespace sluice::ovsdb::test
