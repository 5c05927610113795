// SPDX-License-Identifier: Apache-2.0
// What tables in a shared arena are made of: relaxed loads and stores of plain fields, a byte lock
// that spins a few cycles, a counter that workers share. Used by the connection table (dfw) and the
// learned table (swsec). Thread: workers; control only where a table says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice {

[[nodiscard]] constexpr std::size_t page_aligned(std::size_t bytes) noexcept {
    return (bytes + 4095U) & ~std::size_t{4095U};
}

template <typename T>
[[nodiscard]] inline T load_relaxed(const T& field) noexcept {
    T value;
    __atomic_load(&field, &value, __ATOMIC_RELAXED);
    return value;
}
template <typename T>
inline void store_relaxed(T& field, std::type_identity_t<T> value) noexcept {
    __atomic_store(&field, &value, __ATOMIC_RELAXED);
}

/// Holds a byte lock for a scope. Does nothing if the table isn't shared by workers.
class [[nodiscard]] ByteLock {
public:
    ByteLock(std::uint8_t& lock, bool shared) noexcept : lock_(shared ? &lock : nullptr) {
        if (lock_ != nullptr) { acquire(*lock_); }
    }
    ~ByteLock() {
        if (lock_ != nullptr) { release(*lock_); }
    }
    ByteLock(const ByteLock&) = delete;
    ByteLock& operator=(const ByteLock&) = delete;

    static void acquire(std::uint8_t& lock) noexcept {
        while (!try_acquire(lock)) {
            while (__atomic_load_n(&lock, __ATOMIC_RELAXED) != 0) { pause(); }
        }
    }
    [[nodiscard]] static bool try_acquire(std::uint8_t& lock) noexcept {
        return __atomic_exchange_n(&lock, std::uint8_t{1}, __ATOMIC_ACQUIRE) == 0;
    }
    static void release(std::uint8_t& lock) noexcept {
        __atomic_store_n(&lock, std::uint8_t{0}, __ATOMIC_RELEASE);
    }

private:
    static void pause() noexcept {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    std::uint8_t* lock_;
};

/// Adds to a counter that workers share; a plain add if only one worker exists.
inline void add_count(std::uint32_t& counter, std::uint32_t delta, bool shared) noexcept {
    if (shared) {
        __atomic_fetch_add(&counter, delta, __ATOMIC_RELAXED);
    } else {
        store_relaxed(counter, counter + delta);
    }
}

}  // namespace sluice
