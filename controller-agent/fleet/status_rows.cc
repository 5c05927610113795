// SPDX-License-Identifier: Apache-2.0
// StatusRows: see status_rows.h.
#include "controller-agent/fleet/status_rows.h"

#include <algorithm>
#include <set>

#include "controller-agent/fleet/segment_name.h"
#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Items = std::map<std::string, std::string>;

constexpr const char* kTables[] = {"Host", "Heartbeat", "Binding", "Port", "Problem"};

std::uint64_t hash_of(const std::string& name) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, 64 bits.
    for (const char c : name) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL; }
    return hash;
}

// A power of two, so that growth splits chunks and what stays in its chunk is not written again.
std::uint64_t chunk_count(std::size_t items) {
    std::uint64_t count = 1;
    while (count * kFleetChunkItems < items) { count *= 2; }
    return count;
}

void add_items(StatusRows& rows, const StatusKey& scope, const Items& items) {
    const std::uint64_t count = chunk_count(items.size());
    std::map<std::int64_t, Items> chunks;
    for (const auto& [name, value] : items) {
        chunks[static_cast<std::int64_t>(hash_of(name) % count)].emplace(name, value);
    }
    for (const auto& [chunk, part] : chunks) {
        StatusKey key = scope;
        key.chunk = chunk;
        rows[key] = {{"items", ovsdb::datum(part)}};
    }
}

std::string port_text(const LocalPort& port) {
    json ips = json::array();
    for (const IpAddr& ip : port.ips) { ips.push_back(to_string(ip)); }
    return json{{"state", port.is_up ? "up" : "down"},
                {"mac", to_string(port.mac)},
                {"ips", ips},
                {"segment", port.segment}}
        .dump();
}

void add_host(StatusRows& rows, const HostReport& report, const LocalState& local,
              std::size_t problems) {
    Items vteps;
    for (const LocalVtep& vtep : local.vteps) {
        vteps[vtep.name] = json{{"switch", vtep.switch_name}, {"ip", to_string(vtep.ip)}}.dump();
    }
    ovsdb::Row& row = rows[{"Host", "", "", 0}];
    row = {{"version", ovsdb::datum(report.version)},
           {"state", ovsdb::datum(report.state)},
           {"since_ms", ovsdb::datum(report.since_ms)},
           {"generation", ovsdb::datum(report.generation)},
           {"epoch", ovsdb::datum(report.epoch)},
           {"ports", ovsdb::datum(static_cast<std::int64_t>(local.ports.size()))},
           {"problems", ovsdb::datum(static_cast<std::int64_t>(problems))},
           {"alarms", ovsdb::datum(report.alarms)},
           {"vteps", ovsdb::datum(vteps)}};
    // A database of an older schema has no such column: it is not named before it is needed.
    if (!report.public_key.empty()) { row["public_key"] = ovsdb::datum(report.public_key); }
}

void add_claims(StatusRows& rows, const OwnClaims& claims, const std::vector<LocalVtep>& vteps) {
    std::map<std::string, Items> segments;
    for (const auto& [place, claim] : claims) {
        segments[place.segment][to_string(place.mac)] = to_text(claim);
    }
    for (const auto& [segment, items] : segments) {
        add_items(rows, {"Binding", segment, to_string(vtep_of(segment, vteps)), 0}, items);
    }
}

json identity(const std::string& host, const StatusKey& key) {
    json columns{{"host", host}};
    if (key.table == "Binding") {
        columns["segment"] = key.segment;
        columns["vtep"] = key.vtep;
    }
    if (key.table != "Host" && key.table != "Heartbeat") { columns["chunk"] = key.chunk; }
    return columns;
}

json insertion(const std::string& host, const StatusKey& key, const ovsdb::Row& columns) {
    json row = identity(host, key);
    for (const auto& [name, value] : columns) { row[name] = ovsdb::to_json(value); }
    return {{"op", "insert"}, {"table", key.table}, {"row", std::move(row)}};
}

json where(const ovsdb::Uuid& id) {
    return json::array({json::array({"_uuid", "==", json::array({"uuid", id.text()})})});
}

// Entries that go or change are deleted, then those that come or changed are inserted: an insertion
// leaves a key that is there as it is (RFC 7047 §5.1).
json map_mutations(const std::string& column, const ovsdb::Datum& old, const ovsdb::Datum& now) {
    const Items before = old.text_map(), after = now.text_map();
    json gone = json::array(), come = json::array();
    for (const auto& [key, value] : before) {
        const auto kept = after.find(key);
        if (kept == after.end() || kept->second != value) { gone.push_back(key); }
    }
    for (const auto& [key, value] : after) {
        const auto known = before.find(key);
        if (known == before.end() || known->second != value) {
            come.push_back(json::array({key, value}));
        }
    }
    json mutations = json::array();
    if (!gone.empty()) {
        mutations.push_back(json::array({column, "delete", json::array({"set", gone})}));
    }
    if (!come.empty()) {
        mutations.push_back(json::array({column, "insert", json::array({"map", come})}));
    }
    return mutations;
}

// What makes a row of `old` columns one of `now`; nothing if it is.
void add_update(json& operations, const std::string& table, const ovsdb::Uuid& id,
                const ovsdb::Row& old, const ovsdb::Row& now) {
    json changed = json::object(), mutations = json::array();
    for (const auto& [name, value] : now) {
        const ovsdb::Datum& before = ovsdb::column(old, name);
        if (before == value) { continue; }
        if (value.is_map && before.is_map) {
            for (json& one : map_mutations(name, before, value)) {
                mutations.push_back(std::move(one));
            }
        } else {
            changed[name] = ovsdb::to_json(value);
        }
    }
    if (!changed.empty()) {
        operations.push_back({{"op", "update"},
                              {"table", table},
                              {"where", where(id)},
                              {"row", std::move(changed)}});
    }
    if (!mutations.empty()) {
        operations.push_back({{"op", "mutate"},
                              {"table", table},
                              {"where", where(id)},
                              {"mutations", std::move(mutations)}});
    }
}

}  // namespace

IpAddr vtep_of(const std::string& segment, const std::vector<LocalVtep>& vteps) {
    const auto place = parse_segment_name(segment);
    if (!place || place->segment.vni == 0) { return {}; }
    const LocalVtep* first = nullptr;
    for (const LocalVtep& each : vteps) {
        if (each.switch_name != place->switch_name) { continue; }
        if (first == nullptr || each.name < first->name) { first = &each; }
    }
    return first == nullptr ? IpAddr{} : first->ip;
}

StatusRows status_rows(const HostReport& report, const LocalState& local, const OwnClaims& claims,
                       const std::vector<Problem>& problems) {
    StatusRows rows;
    add_host(rows, report, local, problems.size());
    Items ports, reasons;
    for (const LocalPort& port : local.ports) { ports[port.name] = port_text(port); }
    for (const Problem& problem : problems) { reasons[problem.object] = problem.reason; }
    add_items(rows, {"Port", "", "", 0}, ports);
    add_items(rows, {"Problem", "", "", 0}, reasons);
    add_claims(rows, claims, local.vteps);
    return rows;
}

void add_heartbeat(StatusRows& rows, std::int64_t now_ms) {
    rows[{"Heartbeat", "", "", 0}] = {{"at_ms", ovsdb::datum(now_ms)}};
}

PresentRows rows_of(const std::string& host, const ovsdb::Tables& tables) {
    PresentRows out;
    for (const char* name : kTables) {
        const auto table = tables.find(name);
        if (table == tables.end()) { continue; }
        for (const auto& [id, row] : table->second) {
            if (ovsdb::column(*row, "host").text() != host) { continue; }
            out.insert(
                {{name, ovsdb::column(*row, "segment").text(), ovsdb::column(*row, "vtep").text(),
                  ovsdb::column(*row, "chunk").integer()},
                 {id, row}});
        }
    }
    return out;
}

json status_operations(const std::string& host, const StatusRows& wanted, PresentRows present,
                       std::size_t count_max) {
    json operations = json::array();
    for (const auto& [key, row] : wanted) {
        if (operations.size() >= count_max) { return operations; }
        const auto known = present.find(key);
        if (known == present.end()) {
            operations.push_back(insertion(host, key, row));
            continue;
        }
        add_update(operations, key.table, known->second.first, *known->second.second, row);
        present.erase(known);
    }
    for (const auto& [key, row] : present) {
        if (operations.size() >= count_max) { return operations; }
        operations.push_back({{"op", "delete"}, {"table", key.table}, {"where", where(row.first)}});
    }
    return operations;
}

}  // namespace sluice::fleet
