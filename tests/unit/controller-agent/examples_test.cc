// SPDX-License-Identifier: Apache-2.0
// Every document in docs/examples loads, and survives export and reading back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "controller-agent/diff.h"
#include "controller-agent/document_json.h"

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
        ++count;
        const auto document = parse_document(read(entry.path()));
        ASSERT_TRUE(document.ok()) << entry.path() << ": " << document.error().message;
        const auto again = parse_document(export_document(document.value()));
        ASSERT_TRUE(again.ok()) << entry.path() << ": " << again.error().message;
        EXPECT_EQ(again.value(), document.value()) << entry.path();
        EXPECT_NE(manual.find("`" + entry.path().filename().string() + "`"), std::string::npos)
            << entry.path() << " is not in the README";
    }
    EXPECT_GE(count, 6u);
}

}  // namespace
}  // namespace sluice::agent
