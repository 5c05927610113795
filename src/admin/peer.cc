// SPDX-License-Identifier: Apache-2.0
// Peer credentials. The kernel's list of supplementary groups is used rather than the group
// database: it is what the process really has, and reading it never waits for a directory server.
#include "peer.h"

#include <grp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace sluice::admin {
namespace {

std::vector<gid_t> supplementary_groups(int socket_fd) {
    std::vector<gid_t> groups(64);
    for (int attempt = 0; attempt < 2; ++attempt) {
        auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        const int rc = ::getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
        if (rc != 0 && errno != ERANGE) { break; }
        groups.resize(size / sizeof(gid_t));
        if (rc == 0) { return groups; }
    }
    return {};
}

}  // namespace

std::optional<gid_t> find_group(const std::string& name) {
    std::array<char, 65536> text{};  // Members' names of a large group fit.
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found) != 0) {
        return std::nullopt;
    }
    return found == nullptr ? std::nullopt : std::optional<gid_t>(found->gr_gid);
}

Result<Peer> read_peer(int socket_fd, std::optional<gid_t> change_group) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return Error{Errc::kIo,
                     std::string("admin socket: peer credentials: ") + std::strerror(errno), ""};
    }
    Peer peer{credentials.uid, credentials.gid, credentials.pid, credentials.uid == 0, {}};
    if (!peer.may_change && change_group.has_value()) {
        const auto groups = supplementary_groups(socket_fd);
        peer.may_change = peer.gid == *change_group ||
                          std::find(groups.begin(), groups.end(), *change_group) != groups.end();
    }
    return peer;
}

}  // namespace sluice::admin
