// SPDX-License-Identifier: Apache-2.0
// The filters of system calls, in processes of their own: what ends a process, what only fails, and
// what goes on as before.
#include "privileged/syscall_filter.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

namespace sluice::privileged {
namespace {

constexpr int kFilterFailed = 99;

struct Ending {
    int signal = 0;  ///< That ended it, 0: none did.
    int status = 0;
    bool operator==(const Ending&) const = default;
};

/// What becomes of a process that puts the filter on and then does `work`, whose result is its exit
/// status.
Ending run(const std::function<Status()>& filter, const std::function<int()>& work) {
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // No core file of what is meant to end.
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!filter().ok()) { _exit(kFilterFailed); }
        _exit(work());
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? Ending{WTERMSIG(status), 0} : Ending{0, WEXITSTATUS(status)};
}

Ending daemon(const std::function<int()>& work) {
    return run([] { return filter_daemon(false); }, work);
}
Ending helper(const std::function<int()>& work) { return run(filter_helper, work); }

int call(long number) { return syscall(number, 0, 0, 0, 0, 0, 0) == 0 ? 0 : errno; }

constexpr Ending kKilled{SIGSYS, 0};

TEST(SyscallFilter, WhatOnlyAnAttackerCallsEndsTheDaemon) {
    for (const long number : {SYS_execve,
                              SYS_execveat,
                              SYS_ptrace,
                              SYS_mount,
                              SYS_umount2,
                              SYS_setns,
                              SYS_unshare,
                              SYS_init_module,
                              SYS_finit_module,
                              SYS_kexec_load,
                              SYS_reboot,
                              SYS_pivot_root,
                              SYS_chroot,
                              SYS_process_vm_writev,
                              SYS_keyctl,
                              SYS_perf_event_open,
                              SYS_open_by_handle_at,
                              SYS_io_uring_setup,
                              SYS_swapon,
                              SYS_clock_settime}) {
        EXPECT_EQ(daemon([number] { return call(number); }), kKilled) << "call " << number;
    }
}

TEST(SyscallFilter, WhatNobodyListedFails) {
    for (const long number :
         {SYS_bpf, SYS_userfaultfd, SYS_setuid, SYS_setgroups, SYS_capset, SYS_mknodat,
          SYS_personality, SYS_seccomp, SYS_landlock_create_ruleset, SYS_sync}) {
        EXPECT_EQ(daemon([number] { return call(number); }), (Ending{0, EPERM})) << number;
    }
}

TEST(SyscallFilter, ThreadsAreMadeAndProcessesAreNot) {
    EXPECT_EQ(daemon([] {
                  int done = 0;
                  std::thread([&done] { done = 1; }).join();
                  return done == 1 ? 0 : 1;
              }),
              (Ending{0, 0}));
    EXPECT_EQ(daemon([] { return fork() < 0 ? errno : 0; }), (Ending{0, EPERM}));
}

TEST(SyscallFilter, OrdinaryWorkGoesOn) {
    EXPECT_EQ(daemon([] {
                  char name[] = "/tmp/sluice-filter-XXXXXX";
                  const int file = mkstemp(name);
                  if (file < 0 || write(file, "x", 1) != 1 || fsync(file) != 0) { return 1; }
                  if (unlink(name) != 0 || close(file) != 0) { return 2; }
                  return getpid() > 0 ? 0 : 3;
              }),
              (Ending{0, 0}));
}

TEST(SyscallFilter, AfXdpMayLoadItsProgram) {
    const Ending ending = run([] { return filter_daemon(true); }, [] { return call(SYS_bpf); });
    EXPECT_EQ(ending.signal, 0);
}

TEST(SyscallFilter, TheHelperMayEnterNamespacesAndDoNoHarm) {
    EXPECT_EQ(helper([] { return call(SYS_setns) == 0 ? 1 : 0; }), (Ending{0, 0}))
        << "refused by the kernel";
    for (const long number :
         {SYS_ptrace, SYS_mount, SYS_init_module, SYS_kexec_load, SYS_reboot, SYS_chroot,
          SYS_process_vm_readv, SYS_keyctl, SYS_execve, SYS_unshare}) {
        EXPECT_EQ(helper([number] { return call(number); }), kKilled) << "call " << number;
    }
}

}  // namespace
}  // namespace sluice::privileged
