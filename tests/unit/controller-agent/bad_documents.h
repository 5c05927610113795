// SPDX-License-Identifier: Apache-2.0
// What tables of bad documents share: each is refused whole, with one sentence that names the
// object, the value and what was expected.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "controller-agent/document_json.h"

namespace sluice::agent {

struct Bad {
    const char* title;
    std::string text;
    const char* object;
    const char* part;  // Of the message.
    Errc code = Errc::kInvalid;
};

inline void expect_refused(const Bad& bad) {
    const auto result = parse_document(bad.text);
    ASSERT_FALSE(result.ok()) << bad.text;
    const Error& error = result.error();
    EXPECT_EQ(error.object, bad.object) << error.message;
    EXPECT_NE(error.message.find(bad.part), std::string::npos) << error.message;
    EXPECT_EQ(error.message.rfind(error.object + ": ", 0), 0u) << error.message;
    EXPECT_STREQ(to_string(error.code), to_string(bad.code)) << error.message;
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
    EXPECT_NE(error.message.back(), '.');
}

inline std::string name_of_bad(const testing::TestParamInfo<Bad>& info) {
    std::string name = info.param.title;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) { c = '_'; }
    }
    return name;
}

}  // namespace sluice::agent
