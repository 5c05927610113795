// SPDX-License-Identifier: Apache-2.0
// Stage: a fleet's databases and one agent on them, which steers a host that is no switch: it keeps
// what it was given, and refuses what the test says.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controller-agent/fleet/agent.h"
#include "controller-agent/fleet/claims.h"
#include "databases.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet::test {

class PlainHost : public HostControl {
public:
    std::vector<nlohmann::json> documents;       ///< That ran, in order.
    std::map<std::string, std::string> refused;  ///< Name in the document -> object of the error.
    std::map<SegmentMac, FleetBinding> bindings;
    std::size_t binding_changes = 0;
    LocalState state;

    [[nodiscard]] std::string host_name() const override { return "h1"; }
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> apply(
        nlohmann::json document) override;
    [[nodiscard]] nlohmann::json running_document() const override;
    void change_bindings(const std::vector<BindingChange>& changes) override;
    [[nodiscard]] LocalState local_state(std::uint64_t known_epoch) const override;

    /// A vNIC that is up in dvs0/vni5001.
    void plug(const std::string& name, const std::string& mac, const std::string& ip);
    void unplug(const std::string& name);
    [[nodiscard]] const nlohmann::json& document() const { return documents.back(); }
};

class Stage {
public:
    /// Before the agent starts the host runs `running`.
    explicit Stage(nlohmann::json running = nlohmann::json::object());
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    void turn();
    /// Turns the loop until `is_met`, or fails.
    void wait(const std::string& what, const std::function<bool()>& is_met,
              std::chrono::seconds limit = std::chrono::seconds(20));
    void wait_state(AgentState state);
    /// Turns the loop for so long: for what must not happen.
    void pass(std::chrono::milliseconds time);
    /// Commits the document with the next generation.
    void commit(const nlohmann::json& document, std::int64_t epoch = 1);
    /// Host h2 says that it has the MACs, as {MAC: "SEQUENCE MS IP"}, in dvs0/vni5001.
    void tell_h2(const nlohmann::json& items);
    void start_agent();
    void end_agent();
    [[nodiscard]] nlohmann::json own_row(const std::string& table) const;

    Folder folder;
    Database config{folder, "Sluice_Config"};
    Database status{folder, "Sluice_Status"};
    PlainHost host;
    boost::asio::io_context io;
    std::unique_ptr<Agent> agent;
    std::int64_t generation = 0;
    std::uint32_t behind_ms = kFleetBehindMs;  ///< Of the agent that is started next.
};

/// Hosts h1 and h2 on one switch, `count` ports vm1, vm2... on h1, in VNI 5001.
[[nodiscard]] nlohmann::json fleet_of(int count);

[[nodiscard]] SegmentMac in_web(const std::string& mac);

}  // namespace sluice::fleet::test
