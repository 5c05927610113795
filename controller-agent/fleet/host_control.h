// SPDX-License-Identifier: Apache-2.0
// HostControl: what a source of the model (an agent of an OVSDB database) needs of the daemon that
// it steers. Implemented by src/sluiced/fleet_host; by plain stand-ins in tests and in the scale
// harness. Control thread.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/binding.h"
#include "controller-agent/fleet/rows.h"
#include "sluice/base/result.h"
#include "sluice/net/address.h"

namespace sluice::fleet {

/// A vNIC or kernel port of this host.
struct LocalPort {
    std::string name;
    std::string segment;  ///< segment_name.h; empty: in none (a trunk).
    MacAddr mac;
    std::vector<IpAddr> ips;  ///< Configured and learned, ascending.
    bool is_up = false;
};

/// An end of tunnels of this host.
struct LocalVtep {
    std::string name;
    std::string switch_name;
    IpAddr ip;

    bool operator==(const LocalVtep&) const = default;
};

/// What of this host others have to know.
struct LocalState {
    std::vector<LocalPort> ports;
    std::vector<LocalVtep> vteps;
    std::uint64_t epoch = 0;  ///< Grows whenever anything of it may have changed.
};

class HostControl {
public:
    virtual ~HostControl() = default;

    /// Name of the host: host.name of its own file, else the machine's. Never empty.
    [[nodiscard]] virtual std::string host_name() const = 0;
    /// Makes `document` (without the host's own objects) run. Ends when in force on every worker;
    /// an error (with its object: "port vm1") leaves what runs.
    [[nodiscard]] virtual boost::asio::awaitable<Result<nlohmann::json>> apply(
        nlohmann::json document) = 0;
    /// What a view of the host hangs on besides rows.
    [[nodiscard]] virtual OwnFile own_file() const { return {}; }
    /// What runs, without the host's own objects; empty if nothing is known of it.
    [[nodiscard]] virtual nlohmann::json running_document() const {
        return nlohmann::json::object();
    }
    /// To which group keys are sealed for this host, base64; empty: it has no key pair.
    [[nodiscard]] virtual std::string public_key() const { return {}; }
    /// Content of the host's own file: {"host","uplinks","vteps","ports"}, each optional.
    [[nodiscard]] virtual nlohmann::json own_objects() const { return nlohmann::json::object(); }
    /// In force at once, and kept over documents: a segment or VTEP that is not here yet counts
    /// once it is.
    virtual void change_bindings(const std::vector<BindingChange>& changes) = 0;
    /// Cheap if `epoch` of the last one still holds: then ports and vteps are empty.
    [[nodiscard]] virtual LocalState local_state(std::uint64_t known_epoch) const = 0;
};

}  // namespace sluice::fleet
