// SPDX-License-Identifier: Apache-2.0
// Where metrics are served: what --metrics takes.
#include "src/sluiced/options.h"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

TEST(MetricsOption, TakesAddressAndPort) {
    const auto v4 = parse_metrics_endpoint("127.0.0.1:9474");
    ASSERT_TRUE(v4.ok());
    EXPECT_EQ(v4.value().address, "127.0.0.1");
    EXPECT_EQ(v4.value().port, 9474);
    const auto v6 = parse_metrics_endpoint("[2001:db8::1]:80");
    ASSERT_TRUE(v6.ok());
    EXPECT_EQ(v6.value().address, "2001:db8::1");
    EXPECT_EQ(v6.value().port, 80);
}

TEST(MetricsOption, RefusesEverythingElse) {
    for (const char* text : {"9474", ":9474", "localhost:9474", "127.0.0.1:", "127.0.0.1:0",
                             "127.0.0.1:65536", "127.0.0.1:94x", "127.0.0.1: 94", "127.0.0.1:-1",
                             "::1:9474", "[127.0.0.1]:9474", "[::1]", "[::1:9474"}) {
        const auto refused = parse_metrics_endpoint(text);
        ASSERT_FALSE(refused.ok()) << text;
        EXPECT_EQ(refused.error().message,
                  "--metrics " + std::string(text) +
                      ": expected ADDR:PORT such as 127.0.0.1:9474 or [::1]:9474");
    }
}

TEST(SourceOption, TakesEachKind) {
    const auto local = parse_source("local", {});
    ASSERT_TRUE(local.ok());
    EXPECT_EQ(local.value().kind, Source::Kind::kLocal);
    const auto fleet = parse_source("ovsdb:tcp:10.0.0.1:6640,unix:/run/db.sock", {});
    ASSERT_TRUE(fleet.ok());
    EXPECT_EQ(fleet.value().kind, Source::Kind::kOvsdb);
    ASSERT_EQ(fleet.value().remotes.size(), 2u);
    EXPECT_EQ(fleet.value().remotes[1].text(), "unix:/run/db.sock");
    EXPECT_EQ(fleet.value().text, "ovsdb:tcp:10.0.0.1:6640,unix:/run/db.sock");
    const auto vtep = parse_source("vtep:ssl:[::1]:6640", {"key.pem", "cert.pem", "ca.pem", ""});
    ASSERT_TRUE(vtep.ok());
    EXPECT_EQ(vtep.value().kind, Source::Kind::kVtep);
}

TEST(SourceOption, RefusesEverythingElse) {
    for (const char* text : {"", "ovsdb", "ovsdb:", "file:x", "ovsdb:tcp:h", "ovsdb:tcp:h:1,"}) {
        const auto refused = parse_source(text, {});
        ASSERT_FALSE(refused.ok()) << text;
        EXPECT_TRUE(refused.error().message.starts_with("--source " + std::string(text) + ": "));
    }
    EXPECT_FALSE(parse_source("ovsdb:ssl:h:1", {}).ok());
    EXPECT_FALSE(parse_source("ovsdb:tcp:h:1", {"key.pem", "", "", ""}).ok());
}

}  // namespace
}  // namespace sluice::daemon
