// SPDX-License-Identifier: Apache-2.0
// The filter of `show conns`: what each term matches, and the sentence for each mistake.
#include "src/host/connection_filter.h"

#include <gtest/gtest.h>

#include "connection_records.h"

namespace sluice::host {
namespace {

using test::kVm1;
using test::kVm2;

FilterNames names() {
    return {[](const std::string& port) -> std::optional<PortIndex> {
                if (port == "vm1") { return kVm1; }
                return port == "vm2" ? std::optional(kVm2) : std::nullopt;
            },
            [](const std::string& rule) -> std::optional<RuleId> {
                return rule == "app/web-in" ? std::optional(test::kWebIn) : std::nullopt;
            }};
}

bool matches(const std::string& text, const Connection& connection, PortIndex from = kNoPort) {
    const auto filter = ConnectionFilter::parse(text, names());
    EXPECT_TRUE(filter.ok()) << (filter.ok() ? "" : filter.error().message);
    return filter.ok() && filter.value().matches(connection, view_of(connection, from));
}

TEST(ConnectionFilter, EachTermMatchesAndItsNegationDoesNot) {
    const Connection web = test::web_connection();
    for (const std::string term :
         {"proto=tcp", "proto=6", "proto=ip/6", "src=10.0.0.1", "src=10.0.0.0/24",
          "dst=10.0.1.0/30", "sport=1000", "sport=0-1000", "dport=80", "dport=80-80",
          "state=established", "initiator=out", "rule=app/web-in", "port=vm1", "port=vm2"}) {
        EXPECT_TRUE(matches(term, web)) << term;
        const std::size_t equals = term.find('=');
        EXPECT_FALSE(matches(term.substr(0, equals) + "!" + term.substr(equals), web)) << term;
    }
    for (const char* term : {"proto=udp", "src=10.0.1.0/24", "src=2001:db8::/32", "dst=10.0.0.1",
                             "sport=80", "dport=81-90", "state=syn_sent", "initiator=in"}) {
        EXPECT_FALSE(matches(term, web)) << term;
    }
}

TEST(ConnectionFilter, TermsAreAndedAndNoneLetsAllThrough) {
    const Connection web = test::web_connection();
    EXPECT_TRUE(matches("", web));
    EXPECT_TRUE(matches("  proto=tcp\tdport=80  state!=close ", web));
    EXPECT_FALSE(matches("proto=tcp dport=81", web));
}

TEST(ConnectionFilter, InitiatorIsSeenFromTheVnic) {
    const Connection web = test::web_connection();
    EXPECT_TRUE(matches("initiator=in", web, kVm2));
    EXPECT_FALSE(matches("initiator=out", web, kVm2));
    EXPECT_EQ(ConnectionFilter::parse("proto!=udp port!=vm1 port=vm2", names()).value().port(),
              kVm2);
    EXPECT_EQ(ConnectionFilter::parse("port!=vm1", names()).value().port(), kNoPort);
}

TEST(ConnectionFilter, OpenerMayBeTheSecondEndpoint) {
    Connection web = test::web_connection();
    web.flags = 0;
    EXPECT_TRUE(matches("src=10.0.1.2 sport=80 dst=10.0.0.1 dport=1000", web));
}

TEST(ConnectionFilter, IcmpIsIdentifierAndType) {
    Connection ping = test::web_connection();
    ping.tuple.protocol = 1;
    ping.tuple.port_b = Be16::from_host(8U << 8U);
    ping.state = ConnectionState::kIcmpOneWay;
    EXPECT_TRUE(matches("proto=icmp sport=1000 dport=8 state=one_way", ping));
}

TEST(ConnectionFilter, MistakesAreNamedWithTheirPosition) {
    const std::pair<const char*, const char*> cases[] = {
        {"proto=tcp dprt=80",
         "filter: at 11: \"dprt\" is not one of proto, src, dst, sport, dport, state, initiator, "
         "rule, port"},
        {"tcp", "filter: at 1: \"tcp\" is not KEY=VALUE or KEY!=VALUE"},
        {"proto=tpc",
         "filter: at 7: \"tpc\" is not tcp, udp, sctp, icmp, icmpv6 or a number 0..255"},
        {"src=10.0.0.1/24", "filter: at 5: \"10.0.0.1/24\" is not an address or a prefix"},
        {"dport!=90-80", "filter: at 8: \"90-80\" is not a port 0..65535 or a range of ports"},
        {"dport=65536", "filter: at 7: \"65536\" is not a port 0..65535 or a range of ports"},
        {"dport=", "filter: at 7: \"\" is not a port 0..65535 or a range of ports"},
        {"initiator=vm1", "filter: at 11: \"vm1\" is not in or out"},
        {"rule=app/none", "filter: at 6: rule \"app/none\" does not exist"},
        {"port=vm3", "filter: at 6: port \"vm3\" does not exist"},
        {"=x",
         "filter: at 1: \"\" is not one of proto, src, dst, sport, dport, state, initiator, "
         "rule, port"}};
    for (const auto& [text, sentence] : cases) {
        const auto filter = ConnectionFilter::parse(text, names());
        ASSERT_FALSE(filter.ok()) << text;
        EXPECT_EQ(filter.error().message, sentence);
    }
    EXPECT_EQ(ConnectionFilter::parse(std::string(5000, ' '), names()).error().code, Errc::kLimit);
}

}  // namespace
}  // namespace sluice::host
