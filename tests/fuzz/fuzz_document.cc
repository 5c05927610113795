// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the document: any text as desired state. What is refused says why in one sentence;
// what is taken can be exported, read again, and is the same.
#include <nlohmann/json.hpp>

#include "controller-agent/diff.h"
#include "controller-agent/document_json.h"
#include "tests/fuzz/fuzzed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    using fuzz::require;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto read = agent::parse_document(text);
    if (!read) {
        const std::string& why = read.error().message;
        require(!why.empty() && why.find('\n') == std::string::npos, "a refusal is one sentence");
        return 0;
    }
    const std::string out = agent::export_document(read.value());
    const auto again = agent::parse_document(out);
    require(again.ok(), "an export can be applied");
    require(agent::export_document(again.value()) == out, "an export is what it was made of");
    return 0;
}
