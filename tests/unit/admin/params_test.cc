// SPDX-License-Identifier: Apache-2.0
// Parameter reading: types, absence, unknown keys, first complaint wins.
#include "admin/params.h"

#include <gtest/gtest.h>

namespace sluice::admin {
namespace {

using nlohmann::json;

TEST(Params, ReadsWhatIsThereAndDefaultsTheRest) {
    const json params{{"port", "vm1"}, {"top", 3}, {"audit", true}};
    ParamReader read(params);
    EXPECT_EQ(read.text("port"), "vm1");
    EXPECT_EQ(read.count("top", 10), 3u);
    EXPECT_EQ(read.count("limit", 100), 100u);
    EXPECT_TRUE(read.flag("audit"));
    EXPECT_FALSE(read.flag("other"));
    EXPECT_TRUE(read.finish().ok());
}

std::string complaint(const json& params) {
    ParamReader read(params);
    (void)read.required_text("name");
    (void)read.count("top", 0);
    (void)read.flag("audit");
    const auto status = read.finish();
    if (status.ok()) { return ""; }
    EXPECT_EQ(status.error().object, kParamsObject);
    return status.error().message;
}

TEST(Params, NamesWhatIsWrong) {
    EXPECT_EQ(complaint({{"name", "a"}}), "");
    EXPECT_EQ(complaint(json::object()), "parameter name is missing: expected a string");
    EXPECT_EQ(complaint({{"name", 3}}), "parameter name must be a string");
    EXPECT_EQ(complaint({{"name", "a"}, {"top", -1}}),
              "parameter top must be a whole number from 0 on");
    EXPECT_EQ(complaint({{"name", "a"}, {"top", 1.5}}),
              "parameter top must be a whole number from 0 on");
    EXPECT_EQ(complaint({{"name", "a"}, {"audit", 1}}), "parameter audit must be true or false");
    EXPECT_EQ(complaint({{"name", "a"}, {"nmae", 1}}), "unknown parameter nmae");
}

}  // namespace
}  // namespace sluice::admin
