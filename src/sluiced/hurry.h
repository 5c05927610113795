// SPDX-License-Identifier: Apache-2.0
// Hurry: while it lives, all threads of this process come before others on their cores. For the
// milliseconds of a handover, in which no frame is forwarded while guests and compilers may keep
// the control cores busy. Workers that start meanwhile do not inherit it: a thread that loses its
// rank has used up its share, and waits for tens of milliseconds where it is not alone on its core.
// Without the right to (CAP_SYS_NICE), or in a class that somebody chose for the whole process,
// nothing happens. Control thread.
#pragma once

namespace sluice::daemon {

class Hurry {
public:
    Hurry() noexcept;
    ~Hurry();
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;

private:
    const bool is_normal_;  // The class before: it is given back.
};

}  // namespace sluice::daemon
