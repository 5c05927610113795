// SPDX-License-Identifier: Apache-2.0
// Result<T>: how an operating error travels (bad configuration, peer gone). Bad packets use
// DropReason, programmer errors use SLUICE_ASSERT. Any thread; no allocation when there is no
// error.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

/// What kind of failure it was; the JSON-RPC layer maps it to `error.code`.
enum class Errc : std::uint8_t {
    kInvalid,      ///< A value that is malformed, out of range or refers to nothing.
    kUnsupported,  ///< A legal value that this version does not implement yet.
    kNotFound,     ///< A named thing that does not exist.
    kExists,       ///< A name that is taken.
    kDenied,       ///< The peer may not do this.
    kLimit,        ///< A table or a request is larger than limits.h allows.
    kIo,           ///< A system call failed.
    kState,        ///< Not possible in the present state.
};

/// Stable lower-case word of an Errc, as users see it in `error.code`.
[[nodiscard]] constexpr const char* to_string(Errc code) noexcept {
    switch (code) {
        case Errc::kInvalid: return "invalid";
        case Errc::kUnsupported: return "unsupported";
        case Errc::kNotFound: return "not_found";
        case Errc::kExists: return "exists";
        case Errc::kDenied: return "denied";
        case Errc::kLimit: return "limit";
        case Errc::kIo: return "io";
        case Errc::kState: return "state";
    }
    return "invalid";
}

/// One failure: a sentence that names the object, the value and what was expected.
struct Error {
    Errc code = Errc::kInvalid;
    std::string message;  ///< One sentence without a final full stop.
    std::string
        object;  ///< "port vm1", "dfw section app rule web-in"; empty if no object is to blame.
};

/// Either a T or an Error.
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] T& value() & { return std::get<0>(state_); }
    [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
    [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
    [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

/// Success without a value.
struct Ok {};
using Status = Result<Ok>;

}  // namespace sluice
