// SPDX-License-Identifier: Apache-2.0
// The building and its three refusals. Pointers into containers stay valid: while a container is
// open, nothing is added to those around it.
#include "document_builder.h"

#include <utility>

#include "limits.h"

namespace sluice::admin {

DocumentBuilder::Json* DocumentBuilder::place(Json value) {
    if (++value_count_ > kJsonValueCountMax) {
        fail("more than " + std::to_string(kJsonValueCountMax) + " values");
        return nullptr;
    }
    if (open_.empty()) {
        root_ = std::move(value);
        return &root_;
    }
    if (open_.back()->is_array()) {
        open_.back()->push_back(std::move(value));
        return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
}

bool DocumentBuilder::open(Json container) {
    if (open_.size() == kJsonDepthMax) {
        return fail("nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
    }
    Json* placed = place(std::move(container));
    if (placed == nullptr) { return false; }
    open_.push_back(placed);
    return true;
}

bool DocumentBuilder::close() {
    open_.pop_back();
    return true;
}

bool DocumentBuilder::key(std::string& name) {
    auto [at, added] = open_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    if (!added) { return fail("key \"" + name + "\" appears twice in one object"); }
    slot_ = &at->second;
    return true;
}

bool DocumentBuilder::parse_error(std::size_t, const std::string&, const Json::exception& what) {
    std::string text =
        what.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
    if (const auto end = text.find("] "); end != std::string::npos) { text.erase(0, end + 2); }
    return fail("not valid JSON: " + text);
}

bool DocumentBuilder::fail(std::string why) {
    failure_ = std::move(why);
    return false;
}

}  // namespace sluice::admin
