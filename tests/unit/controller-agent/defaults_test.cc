// SPDX-License-Identifier: Apache-2.0
// docs/defaults.md is what the types say. To renew it: SLUICE_UPDATE_DEFAULTS=1 unit_agent
// --gtest_filter=Defaults.*
#include "controller-agent/defaults.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "controller-agent/document_json.h"

namespace sluice::agent {
namespace {

const std::string kFile = std::string(SLUICE_DOCS) + "/defaults.md";

TEST(Defaults, FileIsWhatTheTypesSay) {
    if (std::getenv("SLUICE_UPDATE_DEFAULTS") != nullptr) {
        std::ofstream(kFile) << defaults_markdown();
    }
    std::stringstream text;
    text << std::ifstream(kFile).rdbuf();
    EXPECT_EQ(text.str(), defaults_markdown()) << "renew it with SLUICE_UPDATE_DEFAULTS=1";
}

TEST(Defaults, EveryKeyHasAMeaning) {
    for (const DefaultRow& row : defaults()) { EXPECT_FALSE(row.meaning.empty()) << row.key; }
}

TEST(Defaults, AreTheInterfacesOwn) {
    const auto document = parse_document(
        R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"p"}]})");
    ASSERT_TRUE(document.ok()) << document.error().message;
    const model::PortGroup& group = document.value().port_groups[0];
    EXPECT_EQ(document.value().switches[0].mtu, 1500);
    EXPECT_EQ(document.value().switches[0].multicast, (model::Multicast{true, true, {false, 125}}));
    EXPECT_EQ(group.spoofguard, model::SpoofGuard::kOff);
    EXPECT_EQ(group.guards, (model::Guards{true, true, false, true, false}));
    EXPECT_EQ(group.limits, (model::Limits{50, 50, 10, 0, 0, 0}));
    EXPECT_EQ(group.bindings, (model::BindingLimits{1, 3, 0}));
    EXPECT_EQ(group.mac_learning, (model::MacLearning{false, 4096, false, 300}));
    EXPECT_EQ(document.value().dfw.default_action, model::DfwAction::kAllow);
    EXPECT_EQ(document.value().dfw.limits, (model::DfwLimits{500000, 0, 8000000}));
}

}  // namespace
}  // namespace sluice::agent
