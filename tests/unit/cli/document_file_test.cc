// SPDX-License-Identifier: Apache-2.0
// Checking a document's text: where the sentence points, and what is passed on.
#include "cli/document_file.h"

#include <gtest/gtest.h>

#include <sstream>

namespace sluice::cli {
namespace {

std::string refused(const std::string& text) {
    auto checked = check_document(text, "f");
    return checked.ok() ? "" : checked.failure().message;
}

TEST(DocumentFile, PassesTheTextOnAsOneLine) {
    auto checked = check_document("{\n\"a\": [1,\r\n2]}\n", "f");
    ASSERT_TRUE(checked.ok());
    EXPECT_EQ(checked.value(), "{ \"a\": [1,  2]} ");
}

TEST(DocumentFile, PointsAtTheBadCharacter) {
    EXPECT_EQ(refused("}").substr(0, 24), "f: line 1, column 1: not");
    EXPECT_EQ(refused("{\"a\":1,}").substr(0, 24), "f: line 1, column 8: not");
    EXPECT_EQ(refused("{\n\n  x").substr(0, 24), "f: line 3, column 3: not");
    EXPECT_EQ(refused("{\"a\":\n\"b\n\"}").substr(0, 24), "f: line 2, column 3: not");
    EXPECT_EQ(refused("{} x").substr(0, 24), "f: line 1, column 4: not");
    EXPECT_EQ(refused("").substr(0, 24), "f: line 1, column 1: not");
    EXPECT_EQ(refused("{\"a\":\"\xff\"}").substr(0, 24), "f: line 1, column 7: not");
}

TEST(DocumentFile, WantsAnObjectOfReasonableDepth) {
    EXPECT_EQ(refused("[]"), "f: not a document: expected a JSON object");
    EXPECT_EQ(refused("3"), "f: not a document: expected a JSON object");
    EXPECT_NE(refused("{\"a\":" + std::string(100, '[')).find("nested deeper"), std::string::npos);
}

TEST(DocumentFile, StandardInputHasAName) {
    std::istringstream in("{");
    auto read = read_document("-", in);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.failure().object, "file standard input");
    EXPECT_EQ(read.failure().code, "invalid");
}

TEST(DocumentFile, FolderIsNoFile) {
    std::istringstream in;
    auto read = read_document("/tmp", in);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.failure().code, "io");
}

}  // namespace
}  // namespace sluice::cli
