// SPDX-License-Identifier: Apache-2.0
// show macs, show multicast, flush macs: what the switch knows of who is where, from the document
// and from frames. Learned rows are read beside the workers, a slice at a time.

#include "datapath/moved.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using datapath::Domain;
using nlohmann::json;

const char* kind_text(LearnedKind kind) {
    switch (kind) {
        case LearnedKind::kGroupMember: return "group";
        case LearnedKind::kRouterPort: return "router";
        case LearnedKind::kQuerier: return "querier";
        default: return "";
    }
}

// Seconds until a row expires, null if never.
json expires_json(const LearnedValue& value, std::uint64_t now_ns) {
    if (value.expires_ns == 0) { return nullptr; }
    return value.expires_ns > now_ns ? (value.expires_ns - now_ns) / kNsPerSecond : 0;
}

json age_json(const LearnedValue& value, std::uint64_t now_ns) {
    return now_ns > value.last_seen_ns ? (now_ns - value.last_seen_ns) / kNsPerSecond : 0;
}

// Where a MAC is: the network, the port that has it or heard it, and the VTEP behind which it is.
json place_json(const datapath::Snapshot& snapshot, const Domain& domain, PortIndex port,
                std::uint16_t remote) {
    const datapath::PortConfig* config = snapshot.port(port);
    const bool is_remote = remote != 0 && remote < snapshot.remotes.size();
    json row{{"port", config == nullptr ? json() : json(config->name)},
             {"port_group", config == nullptr ? json() : json(config->port_group)},
             {"vtep", is_remote ? json(to_string(snapshot.remotes[remote].ip)) : json()}};
    set_network(row, domain);
    return row;
}

json static_macs(const datapath::Snapshot& snapshot) {
    json rows = json::array();
    for (const Domain& domain : snapshot.domains) {
        for (const auto& entry : domain.macs.rows()) {
            json row = place_json(snapshot, domain, entry.port, datapath::remote_of(entry));
            row["mac"] = to_string(entry.mac);
            row["source"] = "static";
            rows.push_back(std::move(row));
        }
    }
    return rows;
}

// What a controller says of a MAC elsewhere. Null for one of this host: it counts no more.
json told_json(const datapath::Snapshot& snapshot, const LearnedRow& row, std::uint64_t now_ns) {
    const Domain* domain = domain_of(snapshot, row.key.domain);
    const MacAddr mac = row.key.mac_address();
    if (domain == nullptr || domain->macs.row(mac) != nullptr) { return nullptr; }
    json shown = place_json(snapshot, *domain, kNoPort, row.value.remote);
    shown["mac"] = to_string(mac);
    shown["source"] = "controller";
    shown["age_s"] = age_json(row.value, now_ns);
    shown["expires_s"] = nullptr;
    return shown;
}

// A row whose port or domain is gone, or no longer learns, is not shown: it counts no more.
json mac_json(const datapath::Snapshot& snapshot, const LearnedRow& row, std::uint64_t now_ns) {
    const Domain* domain = domain_of(snapshot, row.key.domain);
    const datapath::PortConfig* config = snapshot.port(row.value.port);
    if (domain == nullptr || config == nullptr || !config->learning.is_on()) { return nullptr; }
    json shown = place_json(snapshot, *domain, row.value.port, row.value.remote);
    shown["mac"] = to_string(row.key.mac_address());
    shown["source"] = source_text(row.value.source, "learned");
    shown["age_s"] = age_json(row.value, now_ns);
    shown["expires_s"] = expires_json(row.value, now_ns);
    return shown;
}

json multicast_json(const datapath::Snapshot& snapshot, const LearnedRow& row,
                    std::uint64_t now_ns) {
    const Domain* domain = domain_of(snapshot, row.key.domain);
    const datapath::PortConfig* config = snapshot.port(row.owner());
    if (domain == nullptr || config == nullptr) { return nullptr; }
    json out{{"kind", kind_text(row.key.kind)},
             {"port", config->name},
             {"source", source_text(row.value.source, "learned")},
             {"age_s", age_json(row.value, now_ns)},
             {"expires_s", expires_json(row.value, now_ns)}};
    set_network(out, *domain);
    if (row.key.kind == LearnedKind::kGroupMember) {
        out["group"] = to_string(row.key.mac_address());
    }
    return out;
}

// Our own queriers: they are configured, not heard.
json own_queriers(const datapath::Snapshot& snapshot) {
    json rows = json::array();
    for (const Domain& domain : snapshot.domains) {
        if (domain.multicast.querier_interval_s == 0) { continue; }
        json row{{"kind", "querier"},
                 {"port", nullptr},
                 {"source", "static"},
                 {"interval_s", domain.multicast.querier_interval_s}};
        set_network(row, domain);
        rows.push_back(std::move(row));
    }
    return rows;
}

bool is_multicast(LearnedKind kind) {
    return kind == LearnedKind::kGroupMember || kind == LearnedKind::kRouterPort ||
           kind == LearnedKind::kQuerier;
}

}  // namespace

AnswerLater ShowService::macs() {
    json rows = static_macs(dataplane_.snapshot());
    const std::uint64_t now_ns = worker_now_ns();
    const auto add = [&](const LearnedRow& row) {
        if (row.key.kind != LearnedKind::kMac) { return; }
        json shown = mac_json(dataplane_.snapshot(), row, now_ns);
        if (!shown.is_null()) { rows.push_back(std::move(shown)); }
    };
    co_await for_each_learned(dataplane_.learned(), add);
    const std::size_t most = rows.size() + kToldRowsMax;
    const auto add_told = [&](const LearnedRow& row) {
        if (row.key.kind != LearnedKind::kMac || rows.size() >= most) { return; }
        json shown = told_json(dataplane_.snapshot(), row, now_ns);
        if (!shown.is_null()) { rows.push_back(std::move(shown)); }
    };
    co_await for_each_learned(dataplane_.fleet(), add_told);
    co_return rows;
}

AnswerLater ShowService::multicast() {
    json rows = own_queriers(dataplane_.snapshot());
    const std::uint64_t now_ns = worker_now_ns();
    const auto add = [&](const LearnedRow& row) {
        if (!is_multicast(row.key.kind)) { return; }
        json shown = multicast_json(dataplane_.snapshot(), row, now_ns);
        if (!shown.is_null()) { rows.push_back(std::move(shown)); }
    };
    co_await for_each_learned(dataplane_.learned(), add);
    co_return rows;
}

AnswerLater ShowService::flush_macs(std::string port_group) {
    LearnedFilter filter;
    filter.kind = LearnedKind::kMac;
    if (!port_group.empty()) {
        const auto& groups = config_.document().port_groups;
        const bool exists = std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
            return group.name == port_group;
        });
        if (!exists) {
            co_return Error{Errc::kNotFound, "port_group " + port_group + " does not exist",
                            "port_group " + port_group};
        }
        filter.all_ports = false;
        const auto& ports = dataplane_.snapshot().ports;
        for (std::size_t i = 0; i < ports.size(); ++i) {
            if (ports[i] && ports[i]->port_group == port_group) { filter.ports.set(i); }
        }
    }
    datapath::FlushLearned flush(filter);
    co_await run_on_worker(dataplane_, 0, flush);
    co_return json{{"removed", flush.removed}};
}

}  // namespace sluice::daemon
