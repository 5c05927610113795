// SPDX-License-Identifier: Apache-2.0
// SLUICE_ASSERT: a programmer's error. On in release builds, cheap enough for a worker (one
// predicted branch).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice {

/// Prints "file:line: assertion failed: text" to stderr and aborts. Any thread.
[[noreturn]] [[gnu::cold, gnu::noinline]] inline void assertion_failed(const char* file, int line,
                                                                       const char* text) noexcept {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    std::abort();
}

}  // namespace sluice

#define SLUICE_ASSERT(condition)                                        \
    do {                                                                \
        if (__builtin_expect(!(condition), 0)) {                        \
            ::sluice::assertion_failed(__FILE__, __LINE__, #condition); \
        }                                                               \
    } while (false)
