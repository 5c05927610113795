// SPDX-License-Identifier: Apache-2.0
// See syscall_filter.h. The lists, and the few instructions of classic BPF that look in them.
#include "privileged/syscall_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace sluice::privileged {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "syscall_filter.cc: name this architecture's AUDIT_ARCH"
#endif
constexpr std::uint32_t kX32 = 0x40000000;  // Another table of calls, of which no list here knows.

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kEnd = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t refuse(int error) {
    return SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & SECCOMP_RET_DATA);
}

// What the daemon calls: its own code, DPDK, Asio, OpenSSL and the C library below them.
constexpr std::array kAllowed = {
    // Descriptors and files
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_openat2,
    SYS_close,
    SYS_close_range,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_lseek,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_flock,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_fadvise64,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_umask,
    SYS_utimensat,
    SYS_statfs,
    SYS_fstatfs,
    SYS_getcwd,
    SYS_fgetxattr,
    SYS_getxattr,
    SYS_setxattr,
    SYS_fsetxattr,
    SYS_ioctl,
    SYS_memfd_create,
    // Waiting
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_eventfd2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_signalfd4,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    // Sockets
    SYS_socket,
    SYS_socketpair,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_shutdown,
    SYS_setsockopt,
    SYS_getsockopt,
    // Memory
    SYS_mmap,
    SYS_mprotect,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_munlockall,
    SYS_msync,
    SYS_mincore,
    SYS_get_mempolicy,
    SYS_set_mempolicy,
    SYS_mbind,
    SYS_move_pages,
    SYS_membarrier,
    // Threads, time, signals
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_yield,
    SYS_sched_setaffinity,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_setscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getcpu,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_restart_syscall,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_sigaltstack,
    SYS_kill,
    SYS_tgkill,
    SYS_tkill,
    SYS_wait4,
    SYS_waitid,
    // What it is and may
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getpgid,
    SYS_getsid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_capget,
    SYS_prctl,
    SYS_getrlimit,
    SYS_prlimit64,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_uname,
    SYS_getrandom,
    SYS_getpriority,
#if defined(__x86_64__)
    // Older names of the same.
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_dup2,
    SYS_pipe,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_readlink,
    SYS_getdents,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_poll,
    SYS_select,
    SYS_eventfd,
    SYS_signalfd,
    SYS_inotify_init,
    SYS_getpgrp,
    SYS_time,
    SYS_arch_prctl,
    SYS_creat,
#endif
};

// What would give a way out, or into another process or the kernel. Nothing that a library tries
// because of what a guest, a VMM or an operator says: bpf (an af_xdp uplink) and userfaultfd (a
// migration by postcopy) only fail.
constexpr std::array kNever = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_mount,
    SYS_umount2,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fsconfig,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_pivot_root,
    SYS_chroot,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_perf_event_open,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_open_by_handle_at,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_execve,
    SYS_execveat,
    SYS_unshare,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_io_uring_setup,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

using Program = std::vector<sock_filter>;

void add(Program& program, std::uint16_t code, std::uint32_t value, std::uint8_t if_true = 0,
         std::uint8_t if_false = 0) {
    program.push_back({code, if_true, if_false, value});
}

void answer(Program& program, std::uint32_t action) { add(program, BPF_RET | BPF_K, action); }

void load(Program& program, std::size_t offset) {
    add(program, BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

// Two instructions a call: a jump over the answer has no limit of 255 that way.
void add_call(Program& program, long call, std::uint32_t action) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1);
    answer(program, action);
}

void add_calls(Program& program, std::span<const int> calls, std::uint32_t action) {
    for (const int call : calls) { add_call(program, call, action); }
}

// Checks the architecture; the number of the call is loaded afterwards.
Program begin() {
    Program program;
    load(program, offsetof(seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
    answer(program, kEnd);
    load(program, offsetof(seccomp_data, nr));
    add(program, BPF_JMP | BPF_JGE | BPF_K, kX32, 0, 1);
    answer(program, kEnd);
    return program;
}

// Threads may be made, processes not. clone3() has its flags in memory, where nobody can look: the
// C library then takes clone().
void add_threads(Program& program) {
    add_call(program, SYS_clone3, refuse(ENOSYS));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    load(program, offsetof(seccomp_data, args[0]));  // Lower half: both architectures are so.
    add(program, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    answer(program, kAllow);
    answer(program, refuse(EPERM));
}

Status install(const Program& program) {
    const sock_fprog all{static_cast<unsigned short>(program.size()),
                         const_cast<sock_filter*>(program.data())};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &all) != 0) {
        return Error{Errc::kIo,
                     std::string("privileges: the filter of system calls can't be put on: ") +
                         std::strerror(errno),
                     ""};
    }
    return Ok{};
}

}  // namespace

Status filter_daemon(bool allows_bpf) {
    Program program = begin();
    add_calls(program, kAllowed, kAllow);
    add_threads(program);
    if (allows_bpf) { add_call(program, SYS_bpf, kAllow); }
    add_calls(program, kNever, kEnd);
    add_call(program, SYS_setns, kEnd);
    answer(program, refuse(EPERM));
    return install(program);
}

Status filter_helper() {
    Program program = begin();
    add_calls(program, kNever, kEnd);
    answer(program, kAllow);
    return install(program);
}

}  // namespace sluice::privileged
