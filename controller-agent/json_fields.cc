// SPDX-License-Identifier: Apache-2.0
// Type and range checks of json_fields.h. Every sentence has one shape: "OBJECT: KEY VALUE is not
// WHAT".
#include "controller-agent/json_fields.h"

#include <algorithm>

namespace sluice::agent {

using nlohmann::json;

namespace {

constexpr std::size_t kShownMax = 80;  // Bytes of a value that an error repeats.

std::string cut(std::string text) {
    if (text.size() > kShownMax) { text = text.substr(0, kShownMax) + "..."; }
    return text;
}

}  // namespace

void Fault::refuse(Errc code, const std::string& object, const std::string& why) {
    if (!first_) { first_ = Error{code, object + ": " + why, object}; }
}

std::string shown(const json& value) {
    return cut(value.dump(-1, ' ', true, json::error_handler_t::replace));
}

std::string shown(std::string_view text) { return shown(json(std::string(text))); }

Fields::Fields(const json* value, std::string object, std::string path, Fault& fault)
    : value_(value), object_(std::move(object)), path_(std::move(path)), fault_(&fault) {
    if (value_ != nullptr && !value_->is_object()) {
        const std::string what = path_.empty() ? "" : path_ + " ";
        fault_->refuse(Errc::kInvalid, object_, what + shown(*value_) + " is not an object");
        value_ = nullptr;
    }
}

std::string Fields::path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void Fields::refuse(Errc code, std::string_view key, const std::string& why) {
    fault_->refuse(code, object_, path_of(key) + " " + why);
}

void Fields::refuse_unsupported(std::string_view key, const std::string& value) {
    refuse(Errc::kUnsupported, key, value + (value.empty() ? "" : " ") + "is not supported yet");
}

std::vector<std::pair<std::string, const json*>> Fields::members() const {
    std::vector<std::pair<std::string, const json*>> all;
    if (value_ == nullptr) { return all; }
    for (const auto& [key, value] : value_->items()) { all.emplace_back(key, &value); }
    return all;
}

const json* Fields::take(std::string_view key) {
    known_.emplace_back(key);
    if (value_ == nullptr) { return nullptr; }
    const auto found = value_->find(key);
    return found == value_->end() ? nullptr : &*found;
}

bool Fields::text(std::string_view key, std::string& out) {
    const json* value = take(key);
    if (value == nullptr) { return false; }
    if (!value->is_string()) {
        refuse(Errc::kInvalid, key, shown(*value) + " is not a string");
        return false;
    }
    out = value->get_ref<const std::string&>();
    return true;
}

bool Fields::flag(std::string_view key, bool& out) {
    const json* value = take(key);
    if (value == nullptr) { return false; }
    if (!value->is_boolean()) {
        refuse(Errc::kInvalid, key, shown(*value) + " is not true or false");
        return false;
    }
    out = value->get<bool>();
    return true;
}

bool Fields::whole(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
    const json* value = take(key);
    if (value == nullptr) { return false; }
    const std::string range = std::to_string(min) + ".." + std::to_string(max);
    if (!value->is_number_integer()) {
        refuse(Errc::kInvalid, key, shown(*value) + " is not a whole number " + range);
        return false;
    }
    const bool fits = value->is_number_unsigned() && value->get<std::uint64_t>() >= min &&
                      value->get<std::uint64_t>() <= max;
    if (!fits) {
        refuse(Errc::kInvalid, key, shown(*value) + " is outside " + range);
        return false;
    }
    out = value->get<std::uint64_t>();
    return true;
}

const json* Fields::list(std::string_view key, std::size_t max) {
    const json* value = take(key);
    if (value == nullptr) { return nullptr; }
    if (!value->is_array()) {
        refuse(Errc::kInvalid, key, shown(*value) + " is not a list");
        return nullptr;
    }
    if (value->size() > max) {
        refuse(Errc::kLimit, key,
               "has " + std::to_string(value->size()) + " items, at most " + std::to_string(max) +
                   " are allowed");
        return nullptr;
    }
    return value;
}

bool Fields::texts(std::string_view key, std::vector<std::string>& out, std::size_t max) {
    const json* items = list(key, max);
    if (items == nullptr) { return false; }
    out.clear();
    out.reserve(items->size());
    for (const json& item : *items) {
        if (!item.is_string()) {
            refuse(Errc::kInvalid, key, "holds " + shown(item) + ", which is not a string");
            return false;
        }
        out.push_back(item.get_ref<const std::string&>());
    }
    return true;
}

Fields Fields::nested(std::string_view key) {
    return Fields(take(key), object_, path_of(key), *fault_);
}

void Fields::finish() {
    if (value_ == nullptr) { return; }
    for (const auto& [key, value] : value_->items()) {
        if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
            const std::string full = path_of(key);
            fault_->refuse(Errc::kInvalid, object_, "unknown key " + shown(std::string_view(full)));
            return;
        }
    }
}

}  // namespace sluice::agent
