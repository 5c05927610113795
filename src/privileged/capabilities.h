// SPDX-License-Identifier: Apache-2.0
// Capabilities and accounts: how a process that began with rights gives away all it does not need.
// Credentials belong to threads: everything here is for a process that has one thread, and what is
// started later inherits it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "sluice/base/result.h"

namespace sluice::privileged {

/// A set, bit N for the capability of number N (capabilities(7)).
using Capabilities = std::uint64_t;
[[nodiscard]] constexpr Capabilities capabilities_of(std::initializer_list<int> numbers) noexcept {
    Capabilities set = 0;
    for (const int number : numbers) { set |= Capabilities{1} << static_cast<unsigned>(number); }
    return set;
}

/// A user of this machine.
struct Account {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
};
/// kNotFound if there is no such user; kInvalid if it is root.
[[nodiscard]] Result<Account> find_account(const std::string& name);

/// Becomes `account` with its groups, if this is root; then gives away every capability but `keep`,
/// of the bounding set, too, and the way to new ones (no_new_privs). Somebody else than root and
/// `account` is refused. Afterwards the process may be dumped again, as any other one of that user.
[[nodiscard]] Status become(const Account& account, Capabilities keep);

}  // namespace sluice::privileged
