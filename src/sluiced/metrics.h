// SPDX-License-Identifier: Apache-2.0
// Metrics: everything that is counted, as Prometheus wants it. What flows carried is folded on the
// workers first, so that an answer is exact as of now; between pieces of it the control loop serves
// others. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "src/sluiced/alarms.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/key_service.h"
#include "src/sluiced/metrics_text.h"
#include "src/sluiced/options.h"
#include "src/sluiced/team_watch.h"
#include "src/sluiced/uplinks.h"
#include "src/sluiced/vtep_rows.h"

namespace sluice::daemon {

class Metrics {
public:
    Metrics(datapath::Dataplane& dataplane, const ConfigService& config, const Uplinks& uplinks,
            const TeamWatch& teams, const Options& options);

    /// What `status` says of a source that is not the local store.
    void set_source(std::function<nlohmann::json()> status) { source_ = std::move(status); }

    /// How many alarms of a kind are raised.
    void set_alarms(std::function<std::size_t(AlarmKind)> count) { alarms_ = std::move(count); }

    /// Who counts what is sealed and opened.
    void set_keys(const KeyService& keys) { keys_ = &keys; }

    /// The whole text of one scrape.
    [[nodiscard]] boost::asio::awaitable<std::string> text();

private:
    // A row is copied out, because the configuration may change while an answer is put together.
    struct PortRow {
        PortIndex index;
        std::string labels;  // port="..."
        std::string info;
        bool is_up;
        std::shared_ptr<const ChainProgram> chain;
    };
    struct RuleRow {
        std::uint32_t slot;
        std::string labels;
    };
    [[nodiscard]] std::vector<PortRow> port_rows() const;
    void write_host(MetricsText& out) const;
    void write_source(MetricsText& out) const;
    void write_alarms(MetricsText& out) const;
    void write_port_states(MetricsText& out, const std::vector<PortRow>& ports) const;
    void write_port_counters(MetricsText& out, const std::vector<PortRow>& ports) const;
    void write_uplinks(MetricsText& out) const;
    void write_vteps(MetricsText& out, const VtepLists& lists) const;
    void write_services(MetricsText& out) const;
    void write_encryption(MetricsText& out) const;
    [[nodiscard]] boost::asio::awaitable<void> write_drops(MetricsText& out,
                                                           const std::vector<PortRow>& ports);
    [[nodiscard]] boost::asio::awaitable<void> write_slots(MetricsText& out,
                                                           const std::vector<PortRow>& ports,
                                                           Metric metric);
    [[nodiscard]] boost::asio::awaitable<void> collect_rules(std::vector<RuleRow>& rules);
    void write_rules(MetricsText& out, const std::vector<RuleRow>& rules) const;
    void write_workers(MetricsText& out) const;
    void write_tables(MetricsText& out) const;

    template <typename Figure>
    [[nodiscard]] std::uint64_t sum_port(PortIndex index, Figure&& figure) const;
    [[nodiscard]] std::uint64_t sum_rule(std::uint32_t slot, Counter RuleCounters::*figure) const;

    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    const Uplinks& uplinks_;
    const TeamWatch& teams_;
    const Options& options_;
    std::function<nlohmann::json()> source_;
    std::function<std::size_t(AlarmKind)> alarms_;
    const KeyService* keys_ = nullptr;
    const double start_time_s_;
};

}  // namespace sluice::daemon
