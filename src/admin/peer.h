// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of an admin connection, by the kernel's word, and what that lets them do.
// Control thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "sluice/base/result.h"

namespace sluice::admin {

/// What a method does to the daemon, and so who may call it.
enum class Access : std::uint8_t {
    kRead,    ///< Anyone who can open the socket.
    kChange,  ///< Root and members of the group `sluice`; one at a time, and audited.
};

/// An open connection, for handlers that keep something for a peer between its requests.
class Connection {
public:
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;
    /// True once the peer has hung up, be there unread requests or not.
    [[nodiscard]] virtual bool is_gone() const noexcept = 0;
    /// Tells the peer, whose request is being worked on, how far that is: a JSON-RPC notification,
    /// for whoever does not mind that a peer which does not read misses it.
    virtual void tell(const std::string& method, const nlohmann::json& params) const = 0;
};

/// One connected process as it was when it connected.
struct Peer {
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    bool may_change = false;
    std::weak_ptr<const Connection> connection;  ///< Expires when the server is done with it.
};

/// Group id of `name`, nothing if there is no such group. Asks NSS: call at start only.
[[nodiscard]] std::optional<gid_t> find_group(const std::string& name);

/// Reads the credentials of a connected Unix socket (SO_PEERCRED, SO_PEERGROUPS). Root and
/// processes with `change_group` as primary or supplementary group may change.
/// @return kIo if the kernel refuses
[[nodiscard]] Result<Peer> read_peer(int socket_fd, std::optional<gid_t> change_group);

}  // namespace sluice::admin
