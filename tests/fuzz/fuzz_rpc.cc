// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the admin socket's lines: any bytes as one request. Whatever it is, there is an
// answer, and the answer is one line of JSON.
#include "src/admin/jsonrpc.h"
#include "tests/fuzz/fuzzed.h"

namespace {

void check_line(const std::string& line) {
    using sluice::fuzz::require;
    require(!line.empty() && line.back() == '\n', "an answer ends its line");
    require(line.find('\n') == line.size() - 1, "an answer is one line");
    require(nlohmann::json::accept(line), "an answer is JSON");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const std::string line(reinterpret_cast<const char*>(data), size);
    const auto read = admin::parse_request(line);
    if (const auto* refusal = std::get_if<admin::Refusal>(&read)) {
        check_line(admin::error_line(refusal->id, refusal->code, refusal->error));
        return 0;
    }
    const auto& request = std::get<admin::Request>(read);
    fuzz::require(!request.method.empty() && request.params.is_object(), "a call is whole");
    if (request.id) { check_line(admin::result_line(*request.id, request.params)); }
    return 0;
}
