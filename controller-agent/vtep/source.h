// SPDX-License-Identifier: Apache-2.0
// Source: keeps one host in step with a database of the schema hardware_vtep (vtep(5)), which any
// controller of such switches may write: `--source vtep:REMOTE`. The same states and the same hold
// on the host as fleet::Agent has. Control thread.
//
//   on_change -> Networks, RemoteMacs -> document (if it differs) -> HostControl::apply
//                                     -> bindings that differ     -> HostControl::change_bindings
//   local_state, faults -> Report -> transact
//
// VTEPs join the document before MACs are bound to them, and leave it after.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "controller-agent/fleet/agent.h"
#include "controller-agent/fleet/host_control.h"

namespace sluice::vtep {

class Source {
public:
    Source(boost::asio::io_context& io, fleet::HostControl& host, fleet::AgentOptions options);
    ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    /// Before workers start, once the host's own file was read: the bindings of the last time, from
    /// disk. (The document is the local store's.) A damaged file is told and left.
    void load();
    void start();
    void stop();

    [[nodiscard]] fleet::AgentState state() const noexcept;
    /// For `status`: {"kind":"vtep","state","since_s","remote","networks","bindings",
    /// "problems","faults":[{"object","reason"}],"alarms":[...]}; "why" if it is not live.
    [[nodiscard]] nlohmann::json status() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::vtep
