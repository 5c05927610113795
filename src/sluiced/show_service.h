// SPDX-License-Identifier: Apache-2.0
// ShowService: answers `show ...`, `status` and `flush ...` from what workers counted. Files:
// show_ports.cc, show_network.cc (switches, groups), show_uplinks.cc, show_vteps.cc,
// show_services.cc, show_bindings.cc, show_chain.cc (slots, rules), show_trace.cc, show_conns.cc,
// show_flows.cc, show_books.cc (drops, audit, workers, status). Control thread; figures that flows
// carry are folded on the workers first, so that an answer is exact as of now.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "datapath/dataplane.h"
#include "datapath/trace.h"
#include "sluice/base/result.h"
#include "src/host/connection_filter.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/options.h"
#include "src/sluiced/team_watch.h"
#include "src/sluiced/trace_frame.h"
#include "src/sluiced/vhost_devices.h"

namespace sluice::daemon {

using Answer = Result<nlohmann::json>;
using AnswerLater = boost::asio::awaitable<Result<nlohmann::json>>;

/// `show conns`: which connections, and from where on.
struct ConnsQuestion {
    std::string port;
    std::string filter;                   ///< As host::ConnectionFilter reads it.
    std::uint64_t limit = 0;              ///< Rows at most; 0 = all, or as a page holds.
    std::uint64_t offset = 0;             ///< Rows left out.
    std::optional<std::uint64_t> cursor;  ///< A page is wanted, from here on; 0 = the beginning.
};

class ShowService {
public:
    ShowService(datapath::Dataplane& dataplane, const ConfigService& config,
                const VhostDevices& devices, const KernelPorts& kernel_ports,
                const Uplinks& uplinks, const TeamWatch& teams, const Options& options)
        : dataplane_(dataplane),
          config_(config),
          devices_(devices),
          kernel_ports_(kernel_ports),
          uplinks_(uplinks),
          teams_(teams),
          options_(options) {}

    /// What `status` says of a source that is not the local store.
    void set_source(std::function<nlohmann::json()> status) { source_ = std::move(status); }

    /// What `status` says of the arena.
    void set_arena(std::function<nlohmann::json()> status) { arena_ = std::move(status); }

    // show_ports.cc
    [[nodiscard]] Answer ports() const;
    [[nodiscard]] Answer port(const std::string& name) const;
    // show_network.cc
    [[nodiscard]] Answer switches() const;
    [[nodiscard]] Answer groups() const;
    // show_bindings.cc
    [[nodiscard]] AnswerLater bindings(std::string port);
    [[nodiscard]] AnswerLater arps();
    [[nodiscard]] AnswerLater flush_bindings(std::string port);
    // show_routes.cc
    [[nodiscard]] AnswerLater routes(std::string router);
    // show_uplinks.cc
    [[nodiscard]] Answer uplinks() const;
    // show_vteps.cc
    [[nodiscard]] AnswerLater vteps();
    // show_services.cc
    [[nodiscard]] Answer services() const;
    // show_switching.cc
    [[nodiscard]] AnswerLater macs();
    [[nodiscard]] AnswerLater multicast();
    [[nodiscard]] AnswerLater flush_macs(std::string port_group);
    // show_chain.cc
    [[nodiscard]] AnswerLater chain(std::string port);
    [[nodiscard]] AnswerLater rules(std::string port);
    [[nodiscard]] AnswerLater acls(std::string port);
    // show_trace.cc
    [[nodiscard]] AnswerLater trace(TraceQuestion question);
    /// The same of a frame that another host's trace put into a tunnel. kNotFound if this host does
    /// not have its end.
    [[nodiscard]] AnswerLater trace_tunnelled(TunnelledFrame frame);
    // show_conns.cc
    [[nodiscard]] AnswerLater conns(ConnsQuestion question);
    [[nodiscard]] AnswerLater flush_conns(std::string port);
    // show_flows.cc
    [[nodiscard]] AnswerLater flows(std::uint64_t top);
    [[nodiscard]] AnswerLater flush_flows();
    // show_books.cc
    [[nodiscard]] AnswerLater drops(std::string port, bool audit);
    [[nodiscard]] Answer workers() const;
    [[nodiscard]] Answer status() const;
    [[nodiscard]] Answer health() const;

private:
    /// Where a traced frame enters, and what that says of it.
    struct TraceStart {
        PortIndex ingress;
        const datapath::PortConfig* in;
        const datapath::PortConfig* receiver;  ///< Of a frame from the network; else null.
        std::optional<std::uint16_t> vlan;
        datapath::TraceTunnel tunnel;
    };
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> run_trace(
        PortIndex ingress, std::vector<std::uint8_t> frame, datapath::TraceTunnel tunnel);
    [[nodiscard]] nlohmann::json tunnel_json(PortIndex vtep_port,
                                             const datapath::TraceCommand& command) const;
    [[nodiscard]] std::string remote_text(std::uint16_t remote) const;
    [[nodiscard]] Result<TraceStart> trace_start(const TraceQuestion& question) const;
    [[nodiscard]] boost::asio::awaitable<Result<TraceFrame>> trace_frame(TraceQuestion question,
                                                                         TraceStart start);
    [[nodiscard]] boost::asio::awaitable<std::optional<MacAddr>> mac_for(DomainId id, IpAddr ip);
    [[nodiscard]] std::string trace_connection(const datapath::Trace& trace) const;
    [[nodiscard]] std::string trace_slot(const datapath::TraceStep& step) const;
    [[nodiscard]] std::string trace_redirect(const datapath::TraceStep& step) const;
    [[nodiscard]] std::string trace_detail(const datapath::Trace& trace,
                                           const datapath::TraceStep& step) const;
    [[nodiscard]] nlohmann::json trace_step(const datapath::Trace& trace,
                                            const datapath::TraceStep& step) const;
    [[nodiscard]] nlohmann::json neighbour_row(const LearnedRow& learned, std::uint64_t now) const;
    [[nodiscard]] boost::asio::awaitable<void> fold();
    [[nodiscard]] Result<PortIndex> index_of(const std::string& port) const;
    [[nodiscard]] std::string name_of(PortIndex index) const;
    [[nodiscard]] nlohmann::json port_row(PortIndex index,
                                          const datapath::PortConfig& config) const;
    [[nodiscard]] nlohmann::json vtep_row(std::uint16_t vtep, const datapath::LocalVtep& local,
                                          std::uint32_t pinned, std::uint64_t now_ns) const;
    [[nodiscard]] nlohmann::json drops_of(PortIndex index) const;
    /// Why a port is down, or who is attached.
    [[nodiscard]] std::string port_detail(const model::Port& port) const;
    /// Adds every setting of the port, and of its group, that the row does not have yet.
    static void add_settings(nlohmann::json& row, const model::Port& port,
                             const model::PortGroup& group);
    [[nodiscard]] std::string rule_text(RuleId rule) const;
    /// hits, packets and bytes of a rule over all workers.
    [[nodiscard]] nlohmann::json rule_figures(const std::string& section,
                                              const std::string& name) const;
    [[nodiscard]] host::FilterNames filter_names() const;
    /// Sum of one figure of a port over all workers.
    template <typename Figure>
    [[nodiscard]] std::uint64_t sum(PortIndex index, Figure&& figure) const {
        std::uint64_t total = 0;
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            const Counter& counter =
                figure(std::as_const(dataplane_).worker(w).context().ports[index.value]);
            total += counter.get();
        }
        return total;
    }

    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    const VhostDevices& devices_;
    const KernelPorts& kernel_ports_;
    const Uplinks& uplinks_;
    const TeamWatch& teams_;
    const Options& options_;
    std::function<nlohmann::json()> source_;
    std::function<nlohmann::json()> arena_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace sluice::daemon
