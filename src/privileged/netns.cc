// SPDX-License-Identifier: Apache-2.0
// See netns.h.
#include "privileged/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice::privileged {
namespace {

std::string path_of(const std::string& name) { return std::string(kNetnsFolder) + "/" + name; }

Error failure(const std::string& name, int error) {
    const std::string what = "netns \"" + name + "\" ";
    if (error == ENOENT) {
        return Error{Errc::kNotFound, what + "does not exist in " + kNetnsFolder, ""};
    }
    if (error == EPERM || error == EACCES) {
        return Error{Errc::kDenied, what + "can't be entered: no permission (CAP_SYS_ADMIN)", ""};
    }
    if (error == EINVAL) {
        return Error{Errc::kInvalid, what + "is a file in " + kNetnsFolder + ", not a namespace",
                     ""};
    }
    return Error{Errc::kIo, what + "can't be entered: " + std::strerror(error), ""};
}

}  // namespace

std::uint64_t netns_inode(const std::string& name) {
    struct stat status {};
    return stat(path_of(name).c_str(), &status) == 0 ? status.st_ino : 0;
}

Result<NetnsVisit> NetnsVisit::enter(const std::string& name) {
    if (name.empty()) { return NetnsVisit(relay::Fd{}, 0); }
    const relay::Fd target{open(path_of(name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    if (!target.valid()) { return failure(name, errno); }
    relay::Fd home{open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
    if (!home.valid()) { return failure(name, errno); }
    struct stat status {};
    if (fstat(target.get(), &status) != 0 || setns(target.get(), CLONE_NEWNET) != 0) {
        return failure(name, errno);
    }
    return NetnsVisit(std::move(home), status.st_ino);
}

NetnsVisit::~NetnsVisit() {
    if (home_.valid() && setns(home_.get(), CLONE_NEWNET) != 0) { std::abort(); }
}

}  // namespace sluice::privileged
