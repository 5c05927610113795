// SPDX-License-Identifier: Apache-2.0
// The real system calls of file_system.h.
#include "controller-agent/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace sluice::agent {

int FileSystem::open(const std::string& path, int flags, unsigned mode) {
    return ::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
}
ssize_t FileSystem::read(int fd, char* bytes, std::size_t size) { return ::read(fd, bytes, size); }
ssize_t FileSystem::write(int fd, const char* bytes, std::size_t size) {
    return ::write(fd, bytes, size);
}
int FileSystem::fsync(int fd) { return ::fsync(fd); }
int FileSystem::close(int fd) { return ::close(fd); }
int FileSystem::link(const std::string& from, const std::string& to) {
    return ::link(from.c_str(), to.c_str());
}
int FileSystem::rename(const std::string& from, const std::string& to) {
    return ::rename(from.c_str(), to.c_str());
}
int FileSystem::unlink(const std::string& path) { return ::unlink(path.c_str()); }
int FileSystem::make_folder(const std::string& path, unsigned mode) {
    return ::mkdir(path.c_str(), static_cast<mode_t>(mode));
}

FileSystem& machine_file_system() {
    static FileSystem machine;
    return machine;
}

}  // namespace sluice::agent
