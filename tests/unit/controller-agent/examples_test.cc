// SPDX-License-Identifier: Apache-2.0
// Every document in docs/examples loads, and survives export and reading back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "controller-agent/diff.h"
#include "controller-agent/document_json.h"
#include "controller-agent/fleet/rows.h"

namespace sluice::agent {
namespace {

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST(Examples, AllLoadAndRoundTrip) {
    const std::filesystem::path folder = std::filesystem::path(SLUICE_DOCS) / "examples";
    const std::string manual = read(folder / "README.md");
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".json") { continue; }
        EXPECT_NE(manual.find("`" + entry.path().filename().string() + "`"), std::string::npos)
            << entry.path() << " is not in the README";
        if (entry.path().filename() == "fleet.json") { continue; }  // Of a fleet, below.
        ++count;
        const auto document = parse_document(read(entry.path()));
        ASSERT_TRUE(document.ok()) << entry.path() << ": " << document.error().message;
        const auto again = parse_document(export_document(document.value()));
        ASSERT_TRUE(again.ok()) << entry.path() << ": " << again.error().message;
        EXPECT_EQ(again.value(), document.value()) << entry.path();
    }
    EXPECT_GE(count, 6u);
}

TEST(Examples, TheFleetsDocumentGivesEachHostADocument) {
    const std::filesystem::path path =
        std::filesystem::path(SLUICE_DOCS) / "examples" / "fleet.json";
    auto normal = fleet::normalised(nlohmann::json::parse(read(path)));
    ASSERT_TRUE(normal.ok()) << normal.error().message;
    const fleet::PackedRows rows = fleet::pack(normal.value());
    for (const char* host : {"host-1", "host-2"}) {
        const fleet::HostView view = fleet::host_view(rows, host, {});
        EXPECT_TRUE(view.problems.empty());
        const auto document = parse_document(view.document.dump());
        ASSERT_TRUE(document.ok()) << host << ": " << document.error().message;
        EXPECT_EQ(view.segments.size(), 2u) << host;
        EXPECT_EQ(document.value().ports.size(), 2u) << host;
    }
}

}  // namespace
}  // namespace sluice::agent
