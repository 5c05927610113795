// SPDX-License-Identifier: Apache-2.0
// Aligned columns, colours where the terminal shows them, and the two general ways to show a JSON
// result: rows of objects as a table (each column a line of a constexpr array) and one object as an
// indented list. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace sluice::cli {

enum class Align { kLeft, kRight };
enum class Color { kNone, kBold, kRed, kGreen, kYellow };

/// What a renderer writes to.
struct View {
    std::ostream& out;
    bool color = false;
    std::string method;  ///< That was called, for commands that share a renderer.
};

/// `text` in the colour, if the view shows colours.
[[nodiscard]] std::string paint(const View& view, Color color, const std::string& text);

/// Rows of text under titles, two spaces apart.
class Table {
public:
    struct Column {
        std::string title;
        Align align = Align::kLeft;
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    /// As many cells as columns.
    void add(std::vector<std::string> cells);
    void print(const View& view) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// One column of a table of JSON objects.
struct Field {
    const char* title;
    const char*
        key;  ///< Dots lead into objects: "from_vm.drops". Empty: the formatter gets the whole row.
    std::string (*format)(const nlohmann::json& value);
    Align align = Align::kLeft;
};

// Formatters for Field. A value that is missing or null reads "-".
[[nodiscard]] std::string as_text(
    const nlohmann::json& value);  ///< Strings, numbers, lists, objects.
[[nodiscard]] std::string as_count(const nlohmann::json& value);     ///< 1,234
[[nodiscard]] std::string as_bytes(const nlohmann::json& value);     ///< 1.23 kB
[[nodiscard]] std::string as_duration(const nlohmann::json& value);  ///< Of seconds.
[[nodiscard]] std::string as_sum(const nlohmann::json& value);       ///< Of an object's numbers.

/// The value at `key`, dots leading into objects; null if it is not there.
[[nodiscard]] nlohmann::json value_at(const nlohmann::json& row, const std::string& key);
/// A number from 0 on, whatever JSON kind it is of; 0 if it is none.
[[nodiscard]] std::uint64_t number_of(const nlohmann::json& value);

/// A list of objects by fixed fields; `nothing` in its place if it is empty.
void print_rows(const nlohmann::json& rows, std::span<const Field> fields, const View& view,
                const char* nothing);
/// A list of objects by whatever keys they have, those of `first` before the others.
void print_any_rows(const nlohmann::json& rows, const std::vector<std::string>& first,
                    const View& view, const char* nothing);
/// Any value: an object as "key  value" lines, what is nested indented.
void print_tree(const nlohmann::json& value, const View& view, int indent = 0);

}  // namespace sluice::cli
