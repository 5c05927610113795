// SPDX-License-Identifier: Apache-2.0
// Inside of write_json: what its files share: a Writer puts a key if it differs from what a
// default-constructed object has. Any thread, pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller-agent/service_text.h"
#include "controller-agent/write_json.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {

/// Collects the keys of one object.
class Writer {
public:
    explicit Writer(Detail detail) : detail_(detail) {}

    void always(const char* key, Json value) { object_[key] = std::move(value); }

    template <typename T>
    void put(const char* key, const T& value, const T& standard) {
        if (detail_ == Detail::kAll || value != standard) { object_[key] = value; }
    }

    template <typename T>
    void word(const char* key, T value, T standard) {
        if (detail_ == Detail::kAll || value != standard) { object_[key] = to_text(value); }
    }

    /// A nested object or list; left out while it is empty.
    void part(const char* key, Json value) {
        if (detail_ == Detail::kAll || !value.empty()) { object_[key] = std::move(value); }
    }

    Json take() && { return std::move(object_); }

private:
    Detail detail_;
    Json object_ = Json::object();
};

/// Texts of a list.
template <typename T, typename Text>
Json texts(const std::vector<T>& items, Text text) {
    Json list = Json::array();
    for (const T& item : items) { list.push_back(text(item)); }
    return list;
}

template <typename T>
Json objects(const std::vector<T>& items, Detail detail) {
    return texts(items, [detail](const T& item) { return to_json_value(item, detail); });
}

[[nodiscard]] inline Json ips_json(const std::vector<IpAddr>& ips) {
    return texts(ips, [](const IpAddr& ip) { return to_string(ip); });
}

[[nodiscard]] inline std::string address_text(const model::InterfaceAddress& address) {
    return to_string(address.ip) + "/" + std::to_string(address.prefix_length);
}

/// A rule's list; ["any"] where it is empty and everything is written.
[[nodiscard]] inline Json names_or_any(const std::vector<std::string>& items, Detail detail) {
    if (items.empty() && detail == Detail::kAll) { return Json::array({"any"}); }
    return items;
}

[[nodiscard]] inline Json services_or_any(const std::vector<model::Service>& items, Detail detail) {
    if (items.empty() && detail == Detail::kAll) { return Json::array({"any"}); }
    return texts(items, [](const model::Service& service) { return to_text(service); });
}

}  // namespace sluice::agent
