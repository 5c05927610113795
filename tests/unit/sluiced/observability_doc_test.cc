// SPDX-License-Identifier: Apache-2.0
// docs/observability.md lists every metric and every drop reason as the code has them. To renew its
// tables: SLUICE_UPDATE_DEFAULTS=1 unit_sluiced --gtest_filter=ObservabilityPage.*
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "sluice/iochain/drop_reason.h"
#include "src/sluiced/metrics_text.h"

namespace sluice::daemon {
namespace {

const std::string kFile = std::string(SLUICE_DOCS) + "/observability.md";

std::string read_page() {
    std::stringstream text;
    text << std::ifstream(kFile).rdbuf();
    return text.str();
}

/// Puts `table` between the page's markers of that name. Empty if they are missing.
std::string with_table(const std::string& page, const std::string& name, const std::string& table) {
    const std::string begin = "<!-- " + name + ": generated -->\n";
    const std::string end = "<!-- end -->";
    const std::size_t from = page.find(begin);
    if (from == std::string::npos) { return ""; }
    const std::size_t to = page.find(end, from);
    if (to == std::string::npos) { return ""; }
    return page.substr(0, from + begin.size()) + table + page.substr(to);
}

std::string metrics_table() {
    std::ostringstream out;
    out << "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for (const MetricFamily& family : metric_families()) {
        out << "| `" << family.name << "` | " << family.type << " | " << family.labels << " | "
            << family.help << " |\n";
    }
    return out.str();
}

std::string reasons_table() {
    std::ostringstream out;
    out << "| reason | meaning |\n|---|---|\n";
    for (std::size_t i = 1; i < kDropReasonCount; ++i) {
        out << "| `" << kDropReasons[i].text << "` | " << kDropReasons[i].meaning << " |\n";
    }
    return out.str();
}

void expect_table(const std::string& name, const std::string& table) {
    const std::string page = read_page();
    const std::string wanted = with_table(page, name, table);
    ASSERT_NE(wanted, "") << "no markers for " << name;
    if (std::getenv("SLUICE_UPDATE_DEFAULTS") != nullptr) { std::ofstream(kFile) << wanted; }
    EXPECT_EQ(read_page(), wanted) << "renew it with SLUICE_UPDATE_DEFAULTS=1";
}

TEST(ObservabilityPage, ListsEveryMetric) { expect_table("metrics", metrics_table()); }
TEST(ObservabilityPage, ListsEveryDropReason) { expect_table("reasons", reasons_table()); }

}  // namespace
}  // namespace sluice::daemon
