// SPDX-License-Identifier: Apache-2.0
// Report: values twice, for machines and for people.
#include "report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ostream>

namespace sluice::load {
namespace {

std::string grouped(std::string digits) {
    const std::size_t point = std::min(digits.find('.'), digits.size());
    for (std::size_t at = point; at > 3; at -= 3) { digits.insert(at - 3, 1, ' '); }
    return digits;
}

}  // namespace

void Report::set(const std::string& key, std::uint64_t value, const std::string& unit) {
    values_[key] = value;
    rows_.push_back({key, grouped(std::to_string(value)), unit});
}

void Report::set(const std::string& key, double value, const std::string& unit, int digits) {
    const double scale = std::pow(10.0, digits);
    values_[key] = std::round(value * scale) / scale;
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    rows_.push_back({key, grouped(text.data()), unit});
}

void Report::set(const std::string& key, const std::string& text) {
    values_[key] = text;
    rows_.push_back({key, text, ""});
}

void Report::set(const std::string& key, bool value) {
    values_[key] = value;
    rows_.push_back({key, value ? "yes" : "no", ""});
}

void Report::print_table(std::ostream& out) const {
    std::size_t keys = 0;
    std::size_t numbers = 0;
    for (const Row& row : rows_) {
        keys = std::max(keys, row.key.size());
        numbers = std::max(numbers, row.value.size());
    }
    for (const Row& row : rows_) {
        out << row.key << std::string(keys - row.key.size() + 2 + numbers - row.value.size(), ' ')
            << row.value << (row.unit.empty() ? "" : " ") << row.unit << '\n';
    }
}

}  // namespace sluice::load
