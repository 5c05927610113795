// SPDX-License-Identifier: Apache-2.0
// The launcher's two sides. The child process has one thread and waits for nothing but its pair;
// when that closes, what it started and nobody kept is ended.
#include "handover/launcher.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "handover/limits.h"

namespace sluice::handover {
namespace {

enum class Order : std::uint32_t { kStart = 1, kKill = 2, kKeep = 3 };

struct Request {
    Order order = Order::kStart;
    std::array<char, kBinaryPathMax + 1> binary{};
};

struct Answer {
    pid_t pid = -1;
    std::array<char, 256> failure{};  // Empty: done.
};

Error io_error(const char* what) {
    return Error{Errc::kIo, std::string("upgrade: ") + what + ": " + std::strerror(errno), ""};
}

using Control = std::array<char, CMSG_SPACE(2 * sizeof(int))>;

// One packet with up to two descriptors. False if the other end is gone.
template <typename Packet>
bool send_packet(int socket, const Packet& packet, const std::array<int, 2>* fds = nullptr) {
    iovec part{const_cast<Packet*>(&packet), sizeof packet};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (fds != nullptr) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof *fds);
        std::memcpy(CMSG_DATA(rights), fds->data(), sizeof *fds);
    }
    ssize_t sent = 0;
    do { sent = ::sendmsg(socket, &header, MSG_NOSIGNAL); } while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(sizeof packet);
}

template <typename Packet>
bool receive_packet(int socket, Packet& packet, std::array<relay::Fd, 2>* fds = nullptr) {
    iovec part{&packet, sizeof packet};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t size = 0;
    do { size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC); } while (size < 0 && errno == EINTR);
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    for (std::size_t i = 0; rights != nullptr && i < 2; ++i) {
        if (rights->cmsg_len < CMSG_LEN((i + 1) * sizeof(int))) { break; }
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
        relay::Fd owned{fd};
        if (fds != nullptr) { (*fds)[i] = std::move(owned); }
    }
    return size == static_cast<ssize_t>(sizeof packet);
}

// Between fork and exec; the process has one thread, so it may allocate. `report` is closed by a
// successful exec.
[[noreturn]] void run_program(const std::string& binary, const std::vector<std::string>& own,
                              const std::array<relay::Fd, 2>& fds, int report) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_NAME, "sluiced");
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) {
        std::signal(number, SIG_DFL);
    }
    // Above the numbers that they shall have, so that none is closed before it was copied.
    const int socket = fcntl(fds[0].get(), F_DUPFD, 10);
    const int errors = fcntl(fds[1].get(), F_DUPFD, 10);
    const int told = fcntl(report, F_DUPFD_CLOEXEC, 10);
    dup2(socket, kTakeoverFd);
    dup2(STDERR_FILENO, kLogFd);
    dup2(errors, STDERR_FILENO);
    dup2(told, kLogFd + 1);
    fcntl(kLogFd + 1, F_SETFD, FD_CLOEXEC);
    close_range(kLogFd + 2, ~0U, 0);
    unsetenv("WATCHDOG_PID");  // systemd's watchdog hears whichever process is the daemon.
    std::vector<std::string> arguments = takeover_arguments(binary, own);
    std::vector<char*> argv;
    for (std::string& argument : arguments) { argv.push_back(argument.data()); }
    argv.push_back(nullptr);
    execv(binary.c_str(), argv.data());
    const int error = errno;
    static_cast<void>(!write(kLogFd + 1, &error, sizeof error));
    _exit(127);
}

Status start_program(const std::string& binary, const std::vector<std::string>& own,
                     const std::array<relay::Fd, 2>& fds, pid_t& pid) {
    if (Status checked = check_binary(binary, geteuid()); !checked) { return checked; }
    int pair[2] = {-1, -1};
    if (pipe2(pair, O_CLOEXEC) != 0) { return io_error("no pipe"); }
    relay::Fd reading{pair[0]};
    relay::Fd writing{pair[1]};
    pid = ::fork();
    if (pid < 0) { return io_error("can't fork"); }
    if (pid == 0) { run_program(binary, own, fds, writing.get()); }
    setpgid(pid, pid);
    writing.reset();
    int error = 0;
    ssize_t size = 0;
    do { size = read(reading.get(), &error, sizeof error); } while (size < 0 && errno == EINTR);
    if (size != sizeof error) { return Ok{}; }
    waitpid(pid, nullptr, 0);
    pid = -1;
    errno = error;
    return io_error(("can't start " + binary).c_str());
}

void put_failure(Answer& answer, const Error& error) {
    const std::size_t size = std::min(error.message.size(), answer.failure.size() - 1);
    std::memcpy(answer.failure.data(), error.message.data(), size);
}

// The child's life. Ends when the daemon does.
void serve(int socket, const std::vector<std::string>& own) {
    pid_t started = -1;
    bool is_kept = false;
    for (;;) {
        Request request;
        std::array<relay::Fd, 2> fds;
        if (!receive_packet(socket, request, &fds)) { break; }
        while (waitpid(-1, nullptr, WNOHANG) > 0) {}
        Answer answer;
        request.binary.back() = '\0';
        switch (request.order) {
            case Order::kStart: {
                is_kept = false;
                const Status done = start_program(request.binary.data(), own, fds, started);
                if (!done) { put_failure(answer, done.error()); }
                answer.pid = started;
                break;
            }
            case Order::kKill:
                if (started > 0) { ::kill(-started, SIGKILL); }
                break;
            case Order::kKeep: is_kept = true; break;
        }
        if (!send_packet(socket, answer)) { break; }
    }
    if (started > 0 && !is_kept) { ::kill(-started, SIGKILL); }
}

[[noreturn]] void run_child(int socket, const std::vector<std::string>& own) {
    prctl(PR_SET_NAME, "sluiced-launch");
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) {
        std::signal(number, SIG_IGN);
    }
    // Its own stderr ends with the daemon that started it.
    if (std::find(own.begin(), own.end(), "--takeover") != own.end()) {
        dup2(kLogFd, STDERR_FILENO);
    }
    const auto keep = static_cast<unsigned>(socket);
    if (keep > 3) { close_range(3, keep - 1, 0); }
    close_range(keep + 1, ~0U, 0);
    serve(socket, own);
    _exit(0);
}

std::string path_of_own_binary() {
    std::array<char, PATH_MAX> path{};
    const ssize_t size = readlink("/proc/self/exe", path.data(), path.size() - 1);
    return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

Status check_binary(const std::string& binary, uid_t user) {
    const auto refused = [&](const std::string& why) {
        return Error{Errc::kInvalid, "binary " + binary + ": " + why, "binary"};
    };
    if (binary.empty() || binary.front() != '/') { return refused("expected an absolute path"); }
    if (binary.size() > kBinaryPathMax) { return refused("the path is too long"); }
    struct stat file {};
    if (::stat(binary.c_str(), &file) != 0) { return refused(std::strerror(errno)); }
    if (!S_ISREG(file.st_mode) || access(binary.c_str(), X_OK) != 0) {
        return refused("is no program");
    }
    if (file.st_uid != 0 && file.st_uid != user) { return refused("does not belong to root"); }
    if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) { return refused("others may write it"); }
    return Ok{};
}

std::vector<std::string> takeover_arguments(const std::string& binary,
                                            const std::vector<std::string>& own) {
    std::vector<std::string> out{binary};
    for (std::size_t i = 1; i < own.size(); ++i) {
        if (own[i] == "--takeover") {
            ++i;
        } else {
            out.push_back(own[i]);
        }
    }
    out.insert(out.end(), {"--takeover", std::to_string(kTakeoverFd)});
    return out;
}

Result<Launcher> Launcher::fork(std::vector<std::string> arguments) {
    int pair[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return io_error("no socket pair");
    }
    relay::Fd ours{pair[0]};
    relay::Fd its{pair[1]};
    const pid_t pid = ::fork();
    if (pid < 0) { return io_error("can't fork"); }
    if (pid == 0) { run_child(its.get(), arguments); }
    return Launcher{std::move(ours), path_of_own_binary()};
}

Result<Started> Launcher::start(const std::string& binary) {
    if (Status checked = check_binary(binary, geteuid()); !checked) { return checked.error(); }
    int pair[2] = {-1, -1};
    int errors[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return io_error("no socket pair");
    }
    Started started{-1, relay::Fd{pair[0]}, relay::Fd{}};
    const relay::Fd its_socket{pair[1]};
    if (pipe2(errors, O_CLOEXEC) != 0) { return io_error("no pipe"); }
    started.errors.reset(errors[0]);
    const relay::Fd its_errors{errors[1]};
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    Request request;
    request.order = Order::kStart;
    binary.copy(request.binary.data(), kBinaryPathMax);
    const std::array<int, 2> fds{its_socket.get(), its_errors.get()};
    Answer answer;
    if (!send_packet(socket_.get(), request, &fds) || !receive_packet(socket_.get(), answer)) {
        return Error{Errc::kState, "upgrade: the process that starts others has ended", ""};
    }
    answer.failure.back() = '\0';
    if (answer.failure[0] != '\0') { return Error{Errc::kIo, answer.failure.data(), "binary"}; }
    started.pid = answer.pid;
    return started;
}

void Launcher::kill() {
    Request request;
    request.order = Order::kKill;
    Answer answer;
    if (send_packet(socket_.get(), request)) {
        static_cast<void>(receive_packet(socket_.get(), answer));
    }
}

Status Launcher::keep() {
    Request request;
    request.order = Order::kKeep;
    Answer answer;
    if (send_packet(socket_.get(), request) && receive_packet(socket_.get(), answer)) {
        return Ok{};
    }
    return Error{Errc::kState, "upgrade: the process that starts others has ended", ""};
}

}  // namespace sluice::handover
