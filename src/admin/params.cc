// SPDX-License-Identifier: Apache-2.0
// Parameter reading; see params.h for how a handler uses it.
#include "params.h"

#include <utility>

namespace sluice::admin {

const nlohmann::json* ParamReader::find(const char* key) {
    known_.insert(key);
    const auto at = params_.find(key);
    return at == params_.end() ? nullptr : &*at;
}

void ParamReader::complain(std::string what) {
    if (complaint_.empty()) { complaint_ = std::move(what); }
}

std::string ParamReader::text(const char* key, std::string absent) {
    const auto* value = find(key);
    if (value == nullptr) { return absent; }
    if (value->is_string()) { return value->get<std::string>(); }
    complain(std::string("parameter ") + key + " must be a string");
    return absent;
}

std::string ParamReader::required_text(const char* key) {
    std::string value = text(key);
    if (value.empty()) {
        complain(std::string("parameter ") + key + " is missing: expected a string");
    }
    return value;
}

std::uint64_t ParamReader::count(const char* key, std::uint64_t absent) {
    const auto* value = find(key);
    if (value == nullptr) { return absent; }
    if (value->is_number_unsigned()) { return value->get<std::uint64_t>(); }
    if (value->is_number_integer() && value->get<std::int64_t>() >= 0) {
        return static_cast<std::uint64_t>(value->get<std::int64_t>());
    }
    complain(std::string("parameter ") + key + " must be a whole number from 0 on");
    return absent;
}

bool ParamReader::flag(const char* key, bool absent) {
    const auto* value = find(key);
    if (value == nullptr) { return absent; }
    if (value->is_boolean()) { return value->get<bool>(); }
    complain(std::string("parameter ") + key + " must be true or false");
    return absent;
}

Status ParamReader::finish() {
    for (const auto& [key, value] : params_.items()) {
        if (!known_.contains(key)) { complain("unknown parameter " + key); }
    }
    if (complaint_.empty()) { return Ok{}; }
    return Error{Errc::kInvalid, complaint_, kParamsObject};
}

}  // namespace sluice::admin
