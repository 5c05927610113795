// SPDX-License-Identifier: Apache-2.0
// The sizes of the design are accepted and handled in linear time; one more is refused.
#include <gtest/gtest.h>

#include <string>

#include "controller-agent/diff.h"
#include "controller-agent/document_json.h"
#include "sluice/base/limits.h"
#include "sluice/model/resolve.h"

namespace sluice::agent {
namespace {

std::string rules(std::size_t count) {
    std::string text = R"({"dfw":{"sections":[{"name":"s","rules":[)";
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) { text += ','; }
        text += R"({"name":"r)" + std::to_string(i) + R"(","action":"drop","source":["10.)" +
                std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                std::to_string(i % 256) + R"("],"services":["tcp/80"]})";
    }
    return text + "]}]}}";
}

TEST(Scale, HundredThousandRulesParseDiffAndExport) {
    const auto document = parse_document(rules(kRuleMax));
    ASSERT_TRUE(document.ok()) << document.error().message;
    model::Document changed = document.value();
    changed.dfw.sections[0].rules[kRuleMax / 2].action = model::DfwAction::kAllow;
    EXPECT_EQ(diff(changed, document.value()).size(), 1u);
    const auto again = parse_document(export_document(document.value()));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value(), document.value());
}

TEST(Scale, OneRuleMoreIsRefused) {
    const auto document = parse_document(rules(kRuleMax + 1));
    ASSERT_FALSE(document.ok());
    EXPECT_EQ(document.error().code, Errc::kLimit);
    EXPECT_EQ(document.error().object, "dfw section s");
}

TEST(Scale, MillionAddressesInASet) {
    std::string text = R"({"address_sets":[{"name":"big","members":[)";
    for (std::size_t i = 0; i < kAddressSetMemberMax; ++i) {
        if (i > 0) { text += ','; }
        text += "\"10." + std::to_string(i >> 16U & 255U) + "." + std::to_string(i >> 8U & 255U) +
                "." + std::to_string(i & 255U) + "\"";
    }
    const auto document = parse_document(text + "]}]}");
    ASSERT_TRUE(document.ok()) << document.error().message;
    EXPECT_EQ(model::Resolver(document.value()).addresses("big").prefixes.size(),
              kAddressSetMemberMax);
    const auto over = parse_document(text + ",\"11.0.0.1\"]}]}");
    ASSERT_FALSE(over.ok());
    EXPECT_EQ(over.error().code, Errc::kLimit);
    EXPECT_EQ(over.error().object, "address_set big");
}

TEST(Scale, RoutesUpToTheLimit) {
    const auto routes = [](std::size_t count) {
        std::string text = R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g","vni":1}],)"
                           R"("routers":[{"name":"r","interfaces":[{"name":"i","addresses":)"
                           R"(["10.0.0.1/24"]}],"routes":[)";
        for (std::size_t i = 0; i < count; ++i) {
            text += (i > 0 ? ",{\"prefix\":\"" : "{\"prefix\":\"") +
                    std::to_string(20 + i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                    std::to_string(i % 256) + R"(.0/24","next_hops":["10.0.0.2"]})";
        }
        return text + "]}]}";
    };
    const auto document = parse_document(routes(kRouteMax));
    ASSERT_TRUE(document.ok()) << document.error().message;
    model::Document changed = document.value();
    changed.routers[0].routes[kRouteMax / 2].next_hops[0] = IpAddr::v4(0x0a000003);
    EXPECT_EQ(diff(changed, document.value()).size(), 1u);
    const auto again = parse_document(export_document(document.value()));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value(), document.value());
    EXPECT_EQ(parse_document(routes(kRouteMax + 1)).error().code, Errc::kLimit);
}

TEST(Scale, PortsUpToTheLimit) {
    const auto ports = [](std::size_t count) {
        std::string text = R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[)";
        for (std::size_t i = 0; i < count; ++i) {
            text += (i > 0 ? R"(,{"name":"p)" : R"({"name":"p)") + std::to_string(i) + "\"}";
        }
        return text + "]}";
    };
    EXPECT_TRUE(parse_document(ports(kPortMax)).ok());
    EXPECT_EQ(parse_document(ports(kPortMax + 1)).error().code, Errc::kLimit);
}

}  // namespace
}  // namespace sluice::agent
