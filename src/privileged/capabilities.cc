// SPDX-License-Identifier: Apache-2.0
// See capabilities.h. By the system calls themselves: capset(2) is all that is needed of libcap.
#include "privileged/capabilities.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::privileged {
namespace {

constexpr std::size_t kEntryBytes = 16384;  // Of one user's entry.

Error failure(const std::string& what) {
    return Error{Errc::kIo, "privileges: " + what + ": " + std::strerror(errno), ""};
}

using CapabilityWords = std::array<__user_cap_data_struct, 2>;

__user_cap_header_struct own_header() { return {_LINUX_CAPABILITY_VERSION_3, 0}; }

Result<Capabilities> permitted() {
    __user_cap_header_struct header = own_header();
    CapabilityWords words{};
    if (syscall(SYS_capget, &header, words.data()) != 0) { return failure("capget"); }
    return Capabilities{words[1].permitted} << 32U | words[0].permitted;
}

Status set(Capabilities keep) {
    __user_cap_header_struct header = own_header();
    CapabilityWords words{};
    for (unsigned i = 0; i < words.size(); ++i) {
        const auto part = static_cast<std::uint32_t>(keep >> (32U * i));
        words[i].permitted = words[i].effective = part;
    }
    if (syscall(SYS_capset, &header, words.data()) != 0) { return failure("capset"); }
    return Ok{};
}

// Needs CAP_SETPCAP. A service that was started without it has been limited by who started it.
void limit_bounding_set(Capabilities keep) {
    for (unsigned number = 0; number < 64; ++number) {
        if ((keep >> number & 1U) != 0) { continue; }
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) { return; }  // EINVAL: there are no more.
    }
}

Status change_user(const Account& account) {
    if (initgroups(account.name.c_str(), account.gid) != 0) { return failure("initgroups"); }
    if (setresgid(account.gid, account.gid, account.gid) != 0) { return failure("setresgid"); }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) { return failure("PR_SET_KEEPCAPS"); }
    if (setresuid(account.uid, account.uid, account.uid) != 0) { return failure("setresuid"); }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) { return failure("PR_SET_KEEPCAPS"); }
    return Ok{};
}

}  // namespace

Result<Account> find_account(const std::string& name) {
    passwd entry{};
    passwd* found = nullptr;
    std::string room(kEntryBytes, '\0');
    if (getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 ||
        found == nullptr) {
        return Error{Errc::kNotFound, "user \"" + name + "\" does not exist on this machine", ""};
    }
    if (entry.pw_uid == 0) {
        return Error{Errc::kInvalid, "user \"" + name + "\" is root: name one without rights", ""};
    }
    return Account{name, entry.pw_uid, entry.pw_gid};
}

Status become(const Account& account, Capabilities keep) {
    if (geteuid() != 0 && geteuid() != account.uid) {
        return Error{Errc::kDenied,
                     "privileges: only root and user \"" + account.name +
                         "\" itself can run as \"" + account.name + "\"",
                     ""};
    }
    limit_bounding_set(keep);
    if (geteuid() == 0) {
        if (Status changed = change_user(account); !changed) { return changed; }
    }
    const Result<Capabilities> present = permitted();
    if (!present) { return present.error(); }
    // What is not inheritable leaves the ambient set, too.
    if (Status done = set(keep & present.value()); !done) { return done; }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { return failure("PR_SET_NO_NEW_PRIVS"); }
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) { return failure("PR_SET_DUMPABLE"); }
    return Ok{};
}

}  // namespace sluice::privileged
