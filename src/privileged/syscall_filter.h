// SPDX-License-Identifier: Apache-2.0
// Syscall filter: what a process that was taken over could still ask of the kernel (seccomp(2)).
// The daemon has a list of what it calls; anything else fails with EPERM, and what only an attacker
// would call ends the process. The helper is kept from the latter. Filters are put on while a
// process has one thread, before EAL: threads inherit them, and nothing takes them off. The kernel
// remembers calls that are always allowed in a bitmap, so that a worker pays nothing.
#pragma once

#include "sluice/base/result.h"

namespace sluice::privileged {

/// For the daemon. Needs no_new_privs.
/// @param allows_bpf  AF_XDP loads a program
[[nodiscard]] Status filter_daemon(bool allows_bpf);

/// For the helper, which enters namespaces. Needs no_new_privs.
[[nodiscard]] Status filter_helper();

}  // namespace sluice::privileged
