// SPDX-License-Identifier: Apache-2.0
// Agent: keeps one host in step with a fleet's databases: Sluice_Config, whose remotes it is given,
// and Sluice_Status, whose remotes the former names. Control thread.
//
//   state        what is in force                       until
//   kBoot        the snapshot on disk, once checked     start() has read it
//   kConnect     the same                               a server of the cluster answers
//   kSync        the same                               the replica is complete
//   kReconcile   the same, then what the database says  applied (make before break), or held
//   kLive        what the database says                 the connection breaks
//   kLost        the same                               it is back (kSync), or kFleetHeadlessMs
//   kHeadless    the same; nothing ages                 it is back (kSync)
//
// kReconcile holds what removes more than half and more than 100 of the objects within one epoch:
// the host goes on with what it had, and says so, until the epoch grows or the objects are back. It
// waits, too, for a server whose generation is lower than one that was seen: a relay that lags.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/host_control.h"
#include "controller-agent/ovsdb/remote.h"
#include "sluice/base/limits.h"

namespace sluice::fleet {

enum class AgentState : std::uint8_t {
    kBoot,
    kConnect,
    kSync,
    kReconcile,
    kLive,
    kLost,
    kHeadless,
};
[[nodiscard]] const char* to_text(AgentState state);

struct AgentOptions {
    std::vector<ovsdb::Remote> remotes;  ///< Of Sluice_Config.
    ovsdb::TlsFiles tls;
    std::string state_dir;  ///< Where the bindings of the last view are kept; empty: nowhere.
    std::uint64_t seed = 0;
    std::uint32_t behind_ms = kFleetBehindMs;  ///< So long a server that is behind is waited for.
    std::string version;                       ///< Of the program, for the host's row.
};

class Agent {
public:
    Agent(boost::asio::io_context& io, HostControl& host, AgentOptions options);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    /// Before workers start: the bindings of the last view, from disk. (The document is the local
    /// store's.) A damaged file is told and left.
    void load();
    void start();
    void stop();

    [[nodiscard]] AgentState state() const noexcept;
    /// For `status`: {"kind":"ovsdb","state","since_s","remote","generation","epoch","problems",
    /// "bindings","lag_ms","status":{"state","remote"},"alarms":[...]}; "why" if it is not live.
    [[nodiscard]] nlohmann::json status() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::fleet
