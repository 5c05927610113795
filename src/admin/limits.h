// SPDX-License-Identifier: Apache-2.0
// Every limit of the admin socket in one place. Each protects the daemon from one peer: a peer that
// goes beyond is refused or cut off, alone. Tests shorten the times through `Limits`.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::admin {

/// What one server allows. The defaults are the product's; only tests change them.
struct Limits {
    /// Bytes of one request line from a peer that may change things.
    std::size_t request_size_max = std::size_t{256} << 20U;
    /// The same for a peer that may only read: enough to diff a document of some 10 000 rules, too
    /// little to hurt.
    std::size_t reader_request_size_max = std::size_t{4} << 20U;
    /// Open connections; the next one is told so and closed.
    std::size_t connection_count_max = 64;
    /// Of those, how many only peers that may change things can take, so that readers cannot lock
    /// operators out.
    std::size_t reserved_connection_count = 8;
    /// Of those, how many one user that may only read can take.
    std::size_t reader_connection_count_max = 16;
    /// When all places are taken, one who may change takes that of whoever has rested at least so
    /// long, and longest.
    std::chrono::milliseconds evictable_after{1'000};
    /// A peer that started a request and sends nothing for so long is cut off. Between requests it
    /// may rest.
    std::chrono::milliseconds request_idle_timeout{30'000};
    /// A request that is not whole after this is cut off, however steadily it trickles.
    std::chrono::milliseconds request_timeout{120'000};
    /// Time a peer has to take one whole answer.
    std::chrono::milliseconds answer_timeout{30'000};
    /// Bytes of one answer line; above, the caller is asked to narrow the question.
    std::size_t answer_size_max = std::size_t{1} << 30U;
};

/// Nesting of a request; the deepest legal document needs 8.
inline constexpr std::size_t kJsonDepthMax = 64;
/// JSON values in a request: 64 bytes each at worst. 100 000 rules and a million addresses need 8
/// million.
inline constexpr std::size_t kJsonValueCountMax = std::size_t{32} << 20U;
/// Requests of at least so many bytes are parsed on the helper thread (about 3 ms of parsing).
inline constexpr std::size_t kHelperRequestSize = std::size_t{256} << 10U;
/// Answers of at least so many JSON values are written on the helper thread (about 3 ms of
/// writing).
inline constexpr std::size_t kHelperAnswerValueCount = 20'000;
/// Connections that the kernel holds for us between two turns of the control loop.
inline constexpr int kListenBacklog = 128;
/// Wait after accept failed for want of descriptors or memory.
inline constexpr std::chrono::milliseconds kAcceptRetry{100};

}  // namespace sluice::admin
