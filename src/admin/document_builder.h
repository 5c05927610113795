// SPDX-License-Identifier: Apache-2.0
// Builds a JSON value from parser events and stops at what the plain parser lets through: nesting
// and numbers of values that would exhaust memory, and an object that has one key twice (the last
// would silently win). Used by jsonrpc.cc. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::admin {

/// SAX consumer for `nlohmann::json::sax_parse`. After false from it, `failure()` is the reason in
/// words.
class DocumentBuilder final : public nlohmann::json_sax<nlohmann::json> {
public:
    using Json = nlohmann::json;

    [[nodiscard]] Json take() { return std::move(root_); }
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

    bool null() override { return place(nullptr) != nullptr; }
    bool boolean(bool value) override { return place(value) != nullptr; }
    bool number_integer(std::int64_t value) override { return place(value) != nullptr; }
    bool number_unsigned(std::uint64_t value) override { return place(value) != nullptr; }
    bool number_float(double value, const std::string&) override { return place(value) != nullptr; }
    bool string(std::string& value) override { return place(std::move(value)) != nullptr; }
    bool binary(Json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(Json::object()); }
    bool start_array(std::size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(std::string& name) override;
    bool parse_error(std::size_t, const std::string&, const Json::exception& what) override;

private:
    Json* place(Json value);
    bool open(Json container);
    bool close();
    bool fail(std::string why);

    Json root_;
    std::vector<Json*> open_;  // Containers from the root to the innermost.
    Json* slot_ = nullptr;     // Value of the key last read in the innermost object.
    std::size_t value_count_ = 0;
    std::string failure_;
};

}  // namespace sluice::admin
