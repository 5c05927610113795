// SPDX-License-Identifier: Apache-2.0
// SpoofGuardService: see spoofguard.h. The learned table is read in slices, with a breath of the
// control loop between them.
#include "src/sluiced/spoofguard.h"

#include <algorithm>
#include <tuple>

#include "admin/params.h"
#include "datapath/command.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"

namespace sluice::daemon {
namespace {

using admin::Access;
using admin::Peer;
using nlohmann::json;

std::string port_subject(const std::string& port) { return "port " + port; }

bool is_rejected(const LearnedRow& row) {
    return row.key.kind == LearnedKind::kPending && (row.value.flags & kPendingRejected) != 0;
}

/// What the document makes the port's own needs no word.
bool is_own(const datapath::PortConfig& port, const IpAddr& ip) {
    return std::find(port.ips.begin(), port.ips.end(), ip) != port.ips.end();
}

LearnedKey as_pending(LearnedKey key) {
    key.kind = LearnedKind::kPending;
    return key;
}

}  // namespace

// A refused frame says more of an address than the lease that it was given.
void SpoofGuardService::add_row(const LearnedRow& row, const std::string& port, Rows& rows) const {
    const bool is_lease =
        row.key.kind == LearnedKind::kBinding && row.value.source == LearnedSource::kDhcp;
    if (row.key.kind != LearnedKind::kPending && !is_lease) { return; }
    const datapath::PortConfig* config = dataplane_.snapshot().port(row.key.port);
    if (config == nullptr || !config->lists_refused || (!port.empty() && config->name != port) ||
        is_own(*config, row.key.ip_address())) {
        return;
    }
    const auto place = std::tuple(config->name, row.key.ip_address(), row.key.domain.value);
    const auto [at, is_new] = rows.try_emplace(place, row);
    if (!is_new && !is_lease) { at->second = row; }
}

boost::asio::awaitable<Result<SpoofGuardService::Rows>> SpoofGuardService::collect(
    std::string port) {
    if (!port.empty()) {
        const auto known = find_port(config_.registries().ports, dataplane_.snapshot(), port);
        if (!known) { co_return known.error(); }
    }
    Rows rows;
    const auto add = [&](const LearnedRow& row) { add_row(row, port, rows); };
    co_await for_each_learned(dataplane_.learned(), add);
    co_return rows;
}

json SpoofGuardService::row_json(const LearnedRow& row) const {
    const std::uint64_t now = worker_now_ns();
    const auto ago = [now](std::uint64_t then) {
        return (now - std::min(now, then)) / kNsPerSecond;
    };
    json out{{"port", dataplane_.snapshot().port(row.key.port)->name},
             {"ip", to_string(row.key.ip_address())},
             {"mac", to_string(row.value.mac)},
             {"vlan", nullptr},
             {"vni", nullptr},
             {"source", source_text(row.value.source, "data")},
             {"count", row.key.kind == LearnedKind::kPending ? row.value.detail : 0U},
             {"first_seen_s", ago(row.value.first_seen_ns)},
             {"last_seen_s", ago(row.value.last_seen_ns)}};
    const datapath::Domain* domain = domain_of(dataplane_.snapshot(), row.key.domain);
    if (domain != nullptr) { set_network(out, *domain); }
    return out;
}

SpoofGuardService::AnswerLater SpoofGuardService::pending(std::string port) {
    Result<Rows> rows = co_await collect(std::move(port));
    if (!rows) { co_return rows.error(); }
    json out = json::array();
    for (const auto& [place, row] : rows.value()) {
        // A port may have gone since its row was read.
        if (is_rejected(row) || dataplane_.snapshot().port(row.key.port) == nullptr) { continue; }
        out.push_back(row_json(row));
    }
    co_return out;
}

boost::asio::awaitable<Result<std::vector<LearnedKey>>> SpoofGuardService::rows_of(
    std::string port, std::vector<IpAddr> ips) {
    Result<Rows> rows = co_await collect(port);
    if (!rows) { co_return rows.error(); }
    std::vector<LearnedKey> keys;
    for (const IpAddr& ip : ips) {
        const std::size_t before = keys.size();
        for (const auto& [place, row] : rows.value()) {
            if (std::get<IpAddr>(place) == ip) { keys.push_back(as_pending(row.key)); }
        }
        if (keys.size() == before) {
            co_return Error{Errc::kNotFound,
                            port_subject(port) + ": " + to_string(ip) +
                                " is none of the addresses that wait: see `spoofguard pending`",
                            port_subject(port)};
        }
    }
    co_return keys;
}

boost::asio::awaitable<void> SpoofGuardService::settle(std::vector<LearnedKey> rows,
                                                       bool is_rejected) {
    datapath::SettlePending command(std::move(rows), is_rejected);
    co_await run_on_worker(dataplane_, 0, command);
}

SpoofGuardService::AnswerLater SpoofGuardService::approve(std::string port,
                                                          std::vector<IpAddr> ips) {
    Result<std::vector<LearnedKey>> rows = co_await rows_of(port, ips);
    if (!rows) { co_return rows.error(); }
    json all = json::array();
    for (const model::Port& each : config_.document().ports) {
        if (each.name != port) { continue; }
        for (const IpAddr& ip : each.ips) { all.push_back(to_string(ip)); }
    }
    for (const IpAddr& ip : ips) {
        const json text = to_string(ip);
        if (std::find(all.begin(), all.end(), text) == all.end()) { all.push_back(text); }
    }
    json edit{{"op", "set"}, {"kind", "port"}, {"name", port}, {"patch", json::object()}};
    edit["patch"]["ips"] = std::move(all);
    Result<json> done = co_await config_.edit(std::move(edit));
    if (done) { co_await settle(std::move(rows).value(), false); }
    co_return done;
}

SpoofGuardService::AnswerLater SpoofGuardService::reject(std::string port,
                                                         std::vector<IpAddr> ips) {
    Result<std::vector<LearnedKey>> rows = co_await rows_of(port, ips);
    if (!rows) { co_return rows.error(); }
    const std::size_t count = rows.value().size();
    co_await settle(std::move(rows).value(), true);
    co_return json{{"rejected", count}};
}

namespace {

/// {"port", "ips": [...]}
Status read_addresses(const json& params, std::string& port, std::vector<IpAddr>& ips) {
    admin::ParamReader read(params);
    port = read.required_text("port");
    const json* list = read.value("ips");
    if (Status status = read.finish(); !status) { return status; }
    if (list == nullptr || !list->is_array() || list->empty()) {
        return Error{Errc::kInvalid, "parameter ips is not a list of addresses",
                     admin::kParamsObject};
    }
    for (const json& item : *list) {
        const auto ip = item.is_string() ? parse_ip(item.get<std::string>()) : std::nullopt;
        if (!ip) {
            return Error{Errc::kInvalid,
                         port_subject(port) + ": " + item.dump() + " is not an IP address",
                         port_subject(port)};
        }
        ips.push_back(*ip);
    }
    return Ok{};
}

/// `work` is given the port and the addresses.
template <typename Work>
admin::Handler with_addresses(Work work) {
    return [work](const json& params, const Peer&) -> SpoofGuardService::AnswerLater {
        std::string port;
        std::vector<IpAddr> ips;
        if (const Status status = read_addresses(params, port, ips); !status) {
            co_return status.error();
        }
        co_return co_await work(std::move(port), std::move(ips));
    };
}

}  // namespace

void add_spoofguard_methods(admin::AdminServer& server, SpoofGuardService& spoofguard) {
    server.add("spoofguard.pending", Access::kRead,
               [&spoofguard](const json& params, const Peer&) -> SpoofGuardService::AnswerLater {
                   admin::ParamReader read(params);
                   std::string port = read.text("port");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await spoofguard.pending(std::move(port));
               });
    server.add("spoofguard.approve", Access::kChange,
               with_addresses([&spoofguard](std::string port, std::vector<IpAddr> ips) {
                   return spoofguard.approve(std::move(port), std::move(ips));
               }));
    server.add("spoofguard.reject", Access::kChange,
               with_addresses([&spoofguard](std::string port, std::vector<IpAddr> ips) {
                   return spoofguard.reject(std::move(port), std::move(ips));
               }));
}

}  // namespace sluice::daemon
