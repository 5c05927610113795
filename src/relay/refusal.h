// SPDX-License-Identifier: Apache-2.0
// Why the relay refuses a message. One list: the enumerator, the counter's name and its meaning.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::relay {

// X(enumerator, counter name, meaning)
#define SLUICE_RELAY_REFUSALS(X)                                                          \
    X(kBadHeader, "bad_header", "protocol version or flags that no front-end sends")      \
    X(kUnknownRequest, "unknown_request", "a request number outside the protocol")        \
    X(kNotOffered, "not_offered", "a request of a feature that the relay does not offer") \
    X(kBadSize, "bad_size", "a payload of another size than the request has")             \
    X(kBadFeatures, "bad_features", "feature bits that were not offered")                 \
    X(kBadFds, "bad_fds", "more, fewer or other descriptors than the request carries")    \
    X(kBadMemory, "bad_memory", "a memory table that its descriptors do not back")        \
    X(kBadVring, "bad_vring", "a ring index, size or state out of range")                 \
    X(kTimeout, "timeout", "a message begun and not finished, or not taken, within 2 s")  \
    X(kBadReply, "bad_reply", "a reply of the library that does not fit the protocol")    \
    X(kDropped, "dropped", "the daemon asked to end the session, e.g. guest memory disappeared")

enum class RefuseReason : std::uint8_t {
#define SLUICE_RELAY_ENUM(id, name, meaning) id,
    SLUICE_RELAY_REFUSALS(SLUICE_RELAY_ENUM)
#undef SLUICE_RELAY_ENUM
};

inline constexpr std::array kRefuseReasonNames = {
#define SLUICE_RELAY_NAME(id, name, meaning) name,
    SLUICE_RELAY_REFUSALS(SLUICE_RELAY_NAME)
#undef SLUICE_RELAY_NAME
};
inline constexpr std::size_t kRefuseReasonCount = kRefuseReasonNames.size();

/// Stable name of a reason, as counters and metrics show it.
[[nodiscard]] constexpr const char* to_string(RefuseReason reason) noexcept {
    return kRefuseReasonNames[static_cast<std::size_t>(reason)];
}

/// One refusal: the counter, and a sentence that names the request, the value and what was
/// expected.
struct Refusal {
    RefuseReason reason = RefuseReason::kBadHeader;
    std::string text;
};

}  // namespace sluice::relay
