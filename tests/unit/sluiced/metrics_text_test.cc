// SPDX-License-Identifier: Apache-2.0
// The Prometheus text format: families, labels, numbers.
#include "src/sluiced/metrics_text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::daemon {
namespace {

TEST(MetricsText, WritesHelpAndTypeOnceAFamily) {
    MetricsText text;
    text.begin(Metric::kPortUp);
    text.sample(metric_labels({{"port", "vm1"}}), std::uint64_t{1});
    text.sample(metric_labels({{"port", "vm2"}}), std::uint64_t{0});
    EXPECT_EQ(text.take(),
              "# HELP sluice_port_up 1 if the port is enabled and its peer is there, else 0\n"
              "# TYPE sluice_port_up gauge\n"
              "sluice_port_up{port=\"vm1\"} 1\n"
              "sluice_port_up{port=\"vm2\"} 0\n");
}

TEST(MetricsText, WritesASampleWithoutLabels) {
    MetricsText text;
    text.single(Metric::kConnections, 7);
    EXPECT_TRUE(text.take().ends_with("\nsluice_connections 7\n"));
}

TEST(MetricsText, EscapesWhatWouldEndALabel) {
    EXPECT_EQ(metric_labels({{"rule", "a\"b\\c\nd"}, {"section", "s"}}),
              "rule=\"a\\\"b\\\\c\\nd\",section=\"s\"");
}

TEST(MetricsText, WritesNumbersWhole) {
    MetricsText text;
    text.begin(Metric::kBooksUnaccounted);
    text.sample("", UINT64_MAX);
    text.sample("", std::int64_t{-3});
    text.sample("", 1.5);
    const std::string all = text.take();
    EXPECT_NE(all.find(" 18446744073709551615\n"), std::string::npos) << all;
    EXPECT_NE(all.find(" -3\n"), std::string::npos) << all;
    EXPECT_NE(all.find(" 1.500000000\n"), std::string::npos) << all;
}

TEST(MetricsText, NamesFollowTheConventions) {
    std::set<std::string_view> names;
    for (const MetricFamily& family : metric_families()) {
        EXPECT_TRUE(names.insert(family.name).second) << family.name << " is there twice";
        EXPECT_TRUE(family.name.starts_with("sluice_")) << family.name;
        EXPECT_EQ(family.name.ends_with("_total"), family.type == "counter") << family.name;
        EXPECT_EQ(family.help.find_first_of("\\\n"), std::string_view::npos) << family.name;
    }
}

}  // namespace
}  // namespace sluice::daemon
