// SPDX-License-Identifier: Apache-2.0
// show conns, flush conns. The table is walked in steps of bounded work, and the control loop runs
// what else there is between two of them.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "sluice/model/service.h"
#include "sluice/net/address_text.h"
#include "src/host/compile_chains.h"
#include "src/host/connection_walk.h"
#include "src/sluiced/show_service.h"
#include "src/sluiced/worker_clock.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

constexpr std::uint64_t kPageRowMax = 10000;
constexpr std::chrono::milliseconds kPageTime{
    500};  // An answer that took so long is given as it is.

constexpr std::uint8_t kOfAlg = kConnAlg | kConnRelated;

json row_of(const Connection& connection, const host::ConnectionView& view, std::uint64_t now_ns) {
    json row = {{"proto", host::protocol_text(connection.tuple.protocol)},
                {"src", to_string(view.source)},
                {"sport", view.source_port},
                {"dst", to_string(view.destination)},
                {"dport", view.destination_port},
                {"initiator", view.opened_by_port ? "out" : "in"},
                {"state", host::to_text(connection.state)},
                {"packets", connection.packets},
                {"bytes", std::uint64_t{connection.bytes}},
                {"expires_s", (connection.expires_ns - now_ns) / 1000000000U}};
    if ((connection.flags & kOfAlg) != 0) {
        row["alg"] = connection.tuple.protocol == model::kProtocolTcp ? "ftp" : "tftp";
        row["announced"] = (connection.flags & kConnRelated) != 0;
    }
    return row;
}

// The services that it passes, as its opener's packets meet them. Those that were skipped are not
// among them.
json services_json(const ServicePins& pins, const datapath::Snapshot& snapshot) {
    json rows = json::array();
    for (std::size_t i = 0; i < std::min<std::size_t>(pins.count, pins.hops.size()); ++i) {
        const ServiceHop& hop = pins.hops[i];
        if (hop.instance == datapath::kNoService ||
            hop.instance >= snapshot.service_instances.size()) {
            continue;
        }
        rows.push_back(
            {{"slot", hop.slot}, {"instance", snapshot.service_instances[hop.instance].name}});
    }
    return rows;
}

}  // namespace

host::FilterNames ShowService::filter_names() const {
    return {[this](const std::string& name) -> std::optional<PortIndex> {
                const Result<PortIndex> index = index_of(name);
                return index ? std::optional(index.value()) : std::nullopt;
            },
            [this](const std::string& name) -> std::optional<RuleId> {
                const std::size_t slash = name.find('/');
                const host::RuleRegistry::Key key =
                    name == host::kDefaultRule
                        ? host::RuleRegistry::Key{name, name}
                        : host::RuleRegistry::Key{
                              name.substr(0, slash),
                              slash == std::string::npos ? "" : name.substr(slash + 1)};
                const RuleId rule = config_.registries().rules.find(key);
                return rule.value != 0 ? std::optional(rule) : std::nullopt;
            }};
}

// With a cursor the answer is a page, {"connections", "cursor"}, and ends at its time; without, it
// is the list that the contract names.
AnswerLater ShowService::conns(ConnsQuestion question) {
    if (question.cursor.value_or(0) == 0) { co_await fold(); }
    host::ConnectionWalk::Options options;
    if (!question.port.empty()) {
        const Result<PortIndex> index = index_of(question.port);
        if (!index) { co_return index.error(); }
        options.port = index.value();
    }
    Result<host::ConnectionFilter> filter =
        host::ConnectionFilter::parse(question.filter, filter_names());
    if (!filter) { co_return filter.error(); }
    const bool is_page = question.cursor.has_value();
    options.limit = question.limit;
    if (is_page && (options.limit == 0 || options.limit > kPageRowMax)) {
        options.limit = kPageRowMax;
    }
    options.offset = question.offset;
    options.cursor = static_cast<std::uint32_t>(question.cursor.value_or(0));
    options.now_ns = worker_now_ns();
    host::ConnectionWalk walk(dataplane_.connections(), std::move(filter).value(), options);
    json rows = json::array();
    const auto show = [&](const Connection& connection, const host::ConnectionView& view) {
        json row = row_of(connection, view, options.now_ns);
        row["port"] = name_of(view.port);
        row["rule"] = rule_text(view.rule);
        if (connection.redirected != 0) {
            const ConnectionHandle handle{walk.cursor() - 1U, 0};
            row["services"] = services_json(dataplane_.pins().of(handle), dataplane_.snapshot());
        }
        rows.push_back(std::move(row));
    };
    const auto deadline = std::chrono::steady_clock::now() + kPageTime;
    while (walk.step(show)) {
        if (is_page && std::chrono::steady_clock::now() >= deadline) { break; }
        const auto executor = co_await asio::this_coro::executor;
        co_await asio::post(executor, asio::use_awaitable);
    }
    if (!is_page) { co_return rows; }
    const json next = walk.at_end() ? json(nullptr) : json(walk.cursor());
    co_return json{{"connections", std::move(rows)}, {"cursor", next}};
}

AnswerLater ShowService::flush_conns(std::string port) {
    PortIndex wanted = kNoPort;
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        wanted = index.value();
    }
    // Fragments and stale programs go with them.
    co_await run_on_workers<datapath::FlushFlows>(dataplane_);
    datapath::FlushConnections flush(wanted);
    co_await run_on_worker(dataplane_, 0, flush);
    co_return json{{"removed", flush.removed}};
}

}  // namespace sluice::daemon
