// SPDX-License-Identifier: Apache-2.0
// Checks in the order of the specification: text, then request object, then method and parameters.
#include "jsonrpc.h"

#include <utility>

#include "document_builder.h"

namespace sluice::admin {
namespace {

using nlohmann::json;

constexpr auto kReplaceBadUtf8 = json::error_handler_t::replace;
constexpr std::size_t kErrorTextMax = 4096;  // Bytes of a sentence, and of the object it names.
constexpr std::size_t kIdSizeMax = 256;      // Bytes of an id that is a string.

// A sentence may quote what a peer sent, be it megabytes: nobody reads them, and writing them takes
// the control thread's time.
std::string clipped(const std::string& text) {
    return text.size() <= kErrorTextMax ? text : text.substr(0, kErrorTextMax) + "...";
}

Refusal refuse(int code, std::string message, json id = nullptr, bool answered = true) {
    return Refusal{code, Error{Errc::kInvalid, std::move(message), ""}, std::move(id), answered};
}

std::variant<Request, Refusal> read_call(json message) {
    const auto id = message.find("id");
    const bool has_id = id != message.end();
    if (has_id && !id->is_string() && !id->is_number() && !id->is_null()) {
        return refuse(kInvalidRequest, "request: id must be a string, a number or null");
    }
    if (has_id && id->is_string() && id->get_ref<const std::string&>().size() > kIdSizeMax) {
        return refuse(kInvalidRequest,
                      "request: id is longer than " + std::to_string(kIdSizeMax) + " bytes");
    }
    const json id_value = has_id ? *id : json();
    const auto version = message.find("jsonrpc");
    if (version == message.end() || *version != "2.0") {
        return refuse(kInvalidRequest, "request: jsonrpc must be \"2.0\"", id_value);
    }
    const auto method = message.find("method");
    if (method == message.end() || !method->is_string()) {
        return refuse(kInvalidRequest, "request: method must be a string", id_value);
    }
    Request request{method->get<std::string>(), json::object(), std::nullopt};
    if (has_id) { request.id = id_value; }
    if (const auto params = message.find("params"); params != message.end()) {
        if (!params->is_object()) {
            return refuse(kInvalidParams, "request: params must be an object", id_value, has_id);
        }
        request.params = std::move(*params);
    }
    return request;
}

}  // namespace

std::variant<Request, Refusal> parse_request(std::string_view line) {
    DocumentBuilder builder;
    if (!json::sax_parse(line, &builder)) {
        return refuse(kParseError, "request: " + builder.failure());
    }
    json message = builder.take();
    if (message.is_array()) {
        return refuse(kInvalidRequest, "request: batches are not served, send one request a line");
    }
    if (!message.is_object()) { return refuse(kInvalidRequest, "request must be a JSON object"); }
    return read_call(std::move(message));
}

std::string result_line(const json& id, const json& result) {
    std::string line = R"({"jsonrpc":"2.0","result":)";
    line += result.dump(-1, ' ', false, kReplaceBadUtf8);
    line += ",\"id\":";
    line += id.dump(-1, ' ', false, kReplaceBadUtf8);
    line += "}\n";
    return line;
}

std::string error_line(const json& id, int code, const Error& error) {
    const std::string text = clipped(error.message);
    const json data{
        {"code", to_string(error.code)}, {"message", text}, {"object", clipped(error.object)}};
    const json message{{"jsonrpc", "2.0"},
                       {"error", {{"code", code}, {"message", text}, {"data", data}}},
                       {"id", id}};
    return message.dump(-1, ' ', false, kReplaceBadUtf8) + "\n";
}

namespace {

bool count_down(const json& value, std::size_t& left) {
    if (left == 0 || --left == 0) { return true; }
    if (!value.is_structured()) { return false; }
    for (const auto& item : value) {
        if (count_down(item, left)) { return true; }
    }
    return false;
}

}  // namespace

bool has_values(const json& value, std::size_t count) { return count_down(value, count); }

}  // namespace sluice::admin
