// SPDX-License-Identifier: Apache-2.0
// See table.h. Widths are counted before colours are added.
#include "table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "format.h"

namespace sluice::cli {

using nlohmann::json;

namespace {

constexpr const char* kAbsent = "-";

// States get their colour wherever they stand.
Color color_of(const std::string& cell) {
    constexpr std::array<const char*, 7> kGood{"up",     "ok",      "allow",      "permit",
                                               "active", "running", "established"};
    constexpr std::array<const char*, 6> kBad{"down", "failed", "drop",
                                              "deny", "reject", "degraded"};
    const auto is = [&](const char* word) { return cell == word; };
    if (std::any_of(kGood.begin(), kGood.end(), is)) { return Color::kGreen; }
    if (std::any_of(kBad.begin(), kBad.end(), is)) { return Color::kRed; }
    return Color::kNone;
}

std::string pad(const std::string& text, std::size_t width, Align align, bool last) {
    const std::size_t used = display_width(text);
    const std::string fill(width > used ? width - used : 0, ' ');
    if (align == Align::kRight) { return fill + text; }
    return last ? text : text + fill;
}

bool is_leaf_list(const json& value) {
    return value.is_array() && std::none_of(value.begin(), value.end(),
                                            [](const json& item) { return item.is_structured(); });
}

}  // namespace

std::string paint(const View& view, Color color, const std::string& text) {
    if (!view.color || color == Color::kNone) { return text; }
    constexpr std::array<const char*, 5> kCodes{"0", "1", "31", "32", "33"};
    return std::string("\x1b[") + kCodes.at(static_cast<std::size_t>(color)) + "m" + text +
           "\x1b[0m";
}

void Table::add(std::vector<std::string> cells) {
    for (auto& cell : cells) { cell = printable(cell); }
    cells.resize(columns_.size());
    rows_.push_back(std::move(cells));
}

void Table::print(const View& view) const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = display_width(columns_[i].title);
        for (const auto& row : rows_) { width = std::max(width, display_width(row[i])); }
        widths.push_back(width);
    }
    const auto print_row = [&](const std::vector<std::string>& cells, bool title) {
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string cell =
                pad(cells[i], widths[i], columns_[i].align, i + 1 == cells.size());
            const Color color = title ? Color::kBold : color_of(cells[i]);
            view.out << (i == 0 ? "" : "  ") << paint(view, color, cell);
        }
        view.out << '\n';
    };
    std::vector<std::string> titles;
    for (const auto& column : columns_) { titles.push_back(column.title); }
    print_row(titles, true);
    for (const auto& row : rows_) { print_row(row, false); }
}

std::uint64_t number_of(const json& value) {
    if (value.is_number_unsigned()) { return value.get<std::uint64_t>(); }
    if (value.is_number_integer()) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value.get<std::int64_t>()));
    }
    if (value.is_number_float() && value.get<double>() > 0 && value.get<double>() < 1e18) {
        return static_cast<std::uint64_t>(std::llround(value.get<double>()));
    }
    return 0;
}

json value_at(const json& row, const std::string& key) {
    const json* at = &row;
    std::size_t start = 0;
    while (start < key.size()) {
        const std::size_t dot = std::min(key.find('.', start), key.size());
        const auto found = at->is_object() ? at->find(key.substr(start, dot - start)) : at->end();
        if (!at->is_object() || found == at->end()) { return nullptr; }
        at = &*found;
        start = dot + 1;
    }
    return *at;
}

std::string as_text(const json& value) {
    if (value.is_null()) { return kAbsent; }
    if (value.is_string()) { return value.get<std::string>(); }
    if (value.is_boolean()) { return value.get<bool>() ? "yes" : "no"; }
    if (!value.is_structured()) { return value.dump(); }
    if (value.empty()) { return kAbsent; }
    std::string text;
    for (const auto& [key, item] : value.items()) {
        if (!text.empty()) { text += value.is_array() ? "," : " "; }
        text += value.is_array() ? as_text(item) : key + "=" + as_text(item);
    }
    return text;
}

std::string as_count(const json& value) {
    return value.is_number() ? format_count(number_of(value)) : as_text(value);
}

std::string as_bytes(const json& value) {
    return value.is_number() ? format_bytes(number_of(value)) : as_text(value);
}

std::string as_duration(const json& value) {
    return value.is_number() ? format_duration(number_of(value)) : as_text(value);
}

std::string as_sum(const json& value) {
    if (!value.is_object()) { return as_count(value); }
    std::uint64_t sum = 0;
    for (const auto& item : value) { sum += number_of(item); }
    return format_count(sum);
}

void print_rows(const json& rows, std::span<const Field> fields, const View& view,
                const char* nothing) {
    if (!rows.is_array() || rows.empty()) {
        view.out << nothing << '\n';
        return;
    }
    std::vector<Table::Column> columns;
    for (const auto& field : fields) { columns.push_back({field.title, field.align}); }
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<std::string> cells;
        for (const auto& field : fields) {
            cells.push_back(field.format(value_at(row, field.key)));
        }
        table.add(std::move(cells));
    }
    table.print(view);
}

void print_any_rows(const json& rows, const std::vector<std::string>& first, const View& view,
                    const char* nothing) {
    if (!rows.is_array() || rows.empty()) {
        view.out << nothing << '\n';
        return;
    }
    std::vector<std::string> keys;
    const auto note = [&](const std::string& key) {
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) { keys.push_back(key); }
    };
    for (const auto& key : first) {
        if (rows.front().contains(key)) { note(key); }
    }
    for (const auto& row : rows) {
        for (const auto& [key, value] : row.items()) { note(key); }
    }
    std::vector<Table::Column> columns;
    for (const auto& key : keys) {
        std::string title = key;
        std::transform(title.begin(), title.end(), title.begin(), [](char c) {
            return c == '_' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        });
        const bool number = value_at(rows.front(), key).is_number();
        columns.push_back({title, number ? Align::kRight : Align::kLeft});
    }
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<std::string> cells;
        for (const auto& key : keys) { cells.push_back(as_text(value_at(row, key))); }
        table.add(std::move(cells));
    }
    table.print(view);
}

void print_tree(const json& value, const View& view, int indent) {
    const std::string margin(static_cast<std::size_t>(indent), ' ');
    if (!value.is_structured() || is_leaf_list(value)) {
        view.out << margin << printable(as_text(value)) << '\n';
        return;
    }
    if (value.is_array()) {
        for (const auto& item : value) {
            print_tree(item, view, indent);
            if (&item != &value.back()) { view.out << '\n'; }
        }
        return;
    }
    std::size_t width = 0;
    for (const auto& [key, item] : value.items()) { width = std::max(width, display_width(key)); }
    for (const auto& [key, item] : value.items()) {
        const std::string name = printable(key);
        if (item.is_structured() && !is_leaf_list(item) && !item.empty()) {
            view.out << margin << paint(view, Color::kBold, name) << '\n';
            print_tree(item, view, indent + 2);
            continue;
        }
        const std::string text = printable(as_text(item));
        view.out << margin << pad(name, width, Align::kLeft, false) << "  "
                 << paint(view, color_of(text), text) << '\n';
    }
}

}  // namespace sluice::cli
