// SPDX-License-Identifier: Apache-2.0
// Report: what a run found, as one JSON object or as a table of the same names with units.
// Main thread.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::load {

class Report {
public:
    explicit Report(const char* mode) { values_["mode"] = mode; }

    void set(const std::string& key, std::uint64_t value, const std::string& unit = "");
    /// `digits` behind the point, in both forms.
    void set(const std::string& key, double value, const std::string& unit, int digits);
    void set(const std::string& key, const std::string& text);
    void set(const std::string& key, const char* text) { set(key, std::string(text)); }
    void set(const std::string& key, bool value);

    [[nodiscard]] const nlohmann::ordered_json& json() const { return values_; }
    void print_json(std::ostream& out) const { out << values_.dump() << '\n'; }
    void print_table(std::ostream& out) const;

private:
    struct Row {
        std::string key, value, unit;
    };
    nlohmann::ordered_json values_;
    std::vector<Row> rows_;
};

}  // namespace sluice::load
