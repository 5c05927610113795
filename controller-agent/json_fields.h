// SPDX-License-Identifier: Apache-2.0
// Fault and Fields: reading JSON objects strictly. A Fields is a cursor over one JSON object that
// belongs to one object of the document ("port vm1"); each getter names a key that is legal there,
// checks its type and range, and leaves the output alone if the key is absent. finish() refuses
// what no getter has named. The first fault sticks; later reads go on without harm and change
// nothing that matters. Any thread, no shared state.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::agent {

/// The first thing that was wrong with a document.
class Fault {
public:
    /// Records "OBJECT: WHY" unless something is recorded already.
    void refuse(Errc code, const std::string& object, const std::string& why);
    [[nodiscard]] bool any() const noexcept { return first_.has_value(); }
    [[nodiscard]] const Error& error() const { return *first_; }

private:
    std::optional<Error> first_;
};

/// A value as an error message shows it: JSON text, cut to a readable length.
[[nodiscard]] std::string shown(const nlohmann::json& value);
[[nodiscard]] std::string shown(std::string_view text);

/// One JSON object of the document, or an absent one.
class Fields {
public:
    /// @param value  nullptr reads like {}. Must outlive the cursor.
    /// @param object  whom errors name
    /// @param path  dotted keys from the object to `value`, empty at its top
    Fields(const nlohmann::json* value, std::string object, std::string path, Fault& fault);

    [[nodiscard]] const std::string& object() const noexcept { return object_; }
    [[nodiscard]] bool failed() const noexcept { return fault_->any(); }

    /// False if the object is absent (or was no object).
    [[nodiscard]] bool present() const noexcept { return value_ != nullptr; }

    /// Every member, for objects whose keys the operator chooses (tags).
    [[nodiscard]] std::vector<std::pair<std::string, const nlohmann::json*>> members() const;

    /// Value of a key, nullptr if absent. Marks the key as legal.
    const nlohmann::json* take(std::string_view key);

    bool text(std::string_view key, std::string& out);
    bool flag(std::string_view key, bool& out);

    /// A whole number min..max.
    template <typename T>
    bool number(std::string_view key, T& out, std::uint64_t min, std::uint64_t max) {
        std::uint64_t wide = out;
        if (!whole(key, wide, min, max)) { return false; }
        out = static_cast<T>(wide);
        return true;
    }

    /// One of some words.
    template <typename T>
    bool choice(std::string_view key, T& out,
                std::initializer_list<std::pair<std::string_view, T>> words) {
        std::string word;
        if (!text(key, word)) { return false; }
        std::string expected;
        for (const auto& [name, value] : words) {
            if (word == name) {
                out = value;
                return true;
            }
            expected += (expected.empty() ? "" : ", ") + std::string(name);
        }
        refuse(Errc::kInvalid, key, shown(std::string_view(word)) + " is not one of " + expected);
        return false;
    }

    /// A list of at most `max` values; nullptr if absent or wrong.
    const nlohmann::json* list(std::string_view key, std::size_t max);

    /// A list of strings.
    bool texts(std::string_view key, std::vector<std::string>& out, std::size_t max);

    /// A nested object; reads like {} if absent or wrong. The caller finishes it.
    Fields nested(std::string_view key);

    /// Refuses every key that nothing has named.
    void finish();

    /// Faults of this object. `why` follows the key: "mtu 70000 is outside 576..9216".
    void refuse(Errc code, std::string_view key, const std::string& why);
    void refuse_unsupported(std::string_view key, const std::string& value);

private:
    bool whole(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
    [[nodiscard]] std::string path_of(std::string_view key) const;

    const nlohmann::json* value_;
    std::string object_;
    std::string path_;
    Fault* fault_;
    std::vector<std::string_view> known_;  // Literals of the readers.
};

}  // namespace sluice::agent
