// SPDX-License-Identifier: Apache-2.0
// show bindings, show arps, flush bindings. The table of what workers learned is read in slices,
// with a breath of the control loop between them, beside workers that go on.
#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "sluice/iochain/learned_order.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using datapath::Domain;
using datapath::PortConfig;
using datapath::Snapshot;
using nlohmann::json;

/// @param port  nullptr: a host elsewhere
json row_of(const PortConfig* port, const MacAddr& mac, const IpAddr& ip, const char* source) {
    json row = {{"port", nullptr},     {"port_group", nullptr}, {"mac", to_string(mac)},
                {"ip", to_string(ip)}, {"source", source},      {"state", "active"},
                {"switch", nullptr},   {"vlan", nullptr},       {"vni", nullptr},
                {"age_s", nullptr},    {"expires_s", nullptr}};
    if (port != nullptr) {
        row["port"] = port->name;
        row["port_group"] = port->port_group;
    }
    return row;
}

void set_domain(json& row, const Domain* domain) {
    if (domain != nullptr) { set_network(row, *domain); }
}

/// The `ips` of a port. A trunk's belong to none of its VLANs.
void add_static(const Snapshot& snapshot, const PortConfig& port, json& rows) {
    const std::uint16_t index = port.vlan.untagged_domain;
    for (const IpAddr& ip : port.ips) {
        json row = row_of(&port, port.mac, ip, "static");
        if (index != datapath::kNoDomain) { set_domain(row, &snapshot.domains[index]); }
        rows.push_back(std::move(row));
    }
}

/// How far the listing of the document's bindings has come.
struct OwnersCursor {
    std::size_t domain = 0, row = 0;
};

/// Adds a slice of the `bindings` of the document; what one of them adds to a port's `ips` is none.
/// False when there are no more. A snapshot that changes meanwhile may cost rows, or repeat some.
bool add_bindings(const Snapshot& snapshot, PortIndex wanted, OwnersCursor& at, json& rows) {
    for (std::uint32_t i = 0; i < kLearnedSlice && at.domain < snapshot.domains.size(); ++i) {
        const Domain& domain = snapshot.domains[at.domain];
        if (at.row >= domain.owners.rows().size()) {
            at = {at.domain + 1, 0};
            continue;
        }
        const AddressOwner& owner = domain.owners.rows()[at.row++];
        if (wanted != kNoPort && owner.port != wanted) { continue; }
        const PortConfig* port = snapshot.port(owner.port);
        if (port != nullptr && std::count(port->ips.begin(), port->ips.end(), owner.ip) > 0) {
            continue;
        }
        json row = row_of(port, owner.mac, owner.ip, "static");
        set_domain(row, &domain);
        rows.push_back(std::move(row));
    }
    return at.domain < snapshot.domains.size();
}

/// Learned bindings, copied, and which of those of an address comes first.
class Claims {
public:
    void add(const LearnedRow& row) {
        rows_.push_back(row);
        const auto [first, is_new] = first_.try_emplace(place_of(row), row);
        if (!is_new && comes_before(row, first->second)) { first->second = row; }
    }
    [[nodiscard]] const std::vector<LearnedRow>& rows() const { return rows_; }
    /// Whether a row counts, or waits for whoever comes before it.
    [[nodiscard]] bool is_active(const LearnedRow& row, const Domain* domain) const {
        const IpAddr ip = row.key.ip_address();
        if (domain != nullptr && domain->owner(ip) != nullptr) {
            return domain->owners.owns(row.key.port, ip);
        }
        return first_.at(place_of(row)).key.port == row.key.port;
    }

private:
    static std::string place_of(const LearnedRow& row) {
        LearnedKey key = row.key;
        key.port = PortIndex{0};
        return {reinterpret_cast<const char*>(&key), sizeof key};
    }

    std::vector<LearnedRow> rows_;
    std::unordered_map<std::string, LearnedRow> first_;
};

json learned_row(const Snapshot& snapshot, const Claims& claims, const LearnedRow& learned,
                 std::uint64_t now) {
    const LearnedValue& value = learned.value;
    json row = row_of(snapshot.port(learned.key.port), value.mac, learned.key.ip_address(),
                      source_text(value.source, "data"));
    const Domain* domain = domain_of(snapshot, learned.key.domain);
    set_domain(row, domain);
    if (!claims.is_active(learned, domain)) { row["state"] = "seen"; }
    row["age_s"] = (now - std::min(now, value.last_seen_ns)) / kNsPerSecond;
    if (value.expires_ns != 0) {
        row["expires_s"] = (value.expires_ns - std::min(value.expires_ns, now)) / kNsPerSecond;
    }
    return row;
}

/// What a controller says of an address elsewhere; "seen" if the document knows better.
json told_row(const Snapshot& snapshot, const LearnedRow& told, std::uint64_t now) {
    const IpAddr ip = told.key.ip_address();
    json row = row_of(nullptr, told.value.mac, ip, "controller");
    const Domain* domain = domain_of(snapshot, told.key.domain);
    set_domain(row, domain);
    const bool is_ours = domain != nullptr && (domain->owner(ip) != nullptr ||
                                               domain->macs.find(told.value.mac) != kNoPort);
    if (is_ours) { row["state"] = "seen"; }
    row["age_s"] = (now - std::min(now, told.value.last_seen_ns)) / kNsPerSecond;
    return row;
}

std::string_view port_of(const json& row) {
    return row["port"].is_null() ? std::string_view() : row["port"].get_ref<const std::string&>();
}

using Place = std::tuple<std::string, unsigned, unsigned, std::string>;
Place place_of(const json& row) {
    const json& name = row["switch"];
    const auto number = [&row](const char* key) {
        return row[key].is_null() ? 0U : row[key].get<unsigned>();
    };
    return {name.is_null() ? "" : name.get<std::string>(), number("vni"), number("vlan"),
            row["ip"].get<std::string>()};
}

}  // namespace

AnswerLater ShowService::bindings(std::string port) {
    PortIndex wanted = kNoPort;
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        wanted = index.value();
    }
    json rows = json::array();
    const auto add_given = [&](const Snapshot& snapshot) {
        for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
            const PortConfig* config = snapshot.port(PortIndex{i});
            if (config == nullptr || (wanted != kNoPort && wanted.value != i)) { continue; }
            add_static(snapshot, *config, rows);
        }
    };
    add_given(dataplane_.snapshot());
    for (OwnersCursor at; add_bindings(dataplane_.snapshot(), wanted, at, rows);) {
        co_await breathe();
    }
    Claims claims;
    const std::uint64_t now = worker_now_ns();
    const auto add = [&](const LearnedRow& learned) {
        if (learned.key.kind == LearnedKind::kBinding) { claims.add(learned); }
    };
    co_await for_each_learned(dataplane_.learned(), add);
    for (std::size_t at = 0; at < claims.rows().size(); ++at) {
        const LearnedRow& learned = claims.rows()[at];
        const Snapshot& snapshot = dataplane_.snapshot();
        const bool is_wanted = wanted == kNoPort || learned.key.port == wanted;
        if (is_wanted && snapshot.port(learned.key.port) != nullptr) {
            rows.push_back(learned_row(snapshot, claims, learned, now));
        }
        if (at % kLearnedSlice != kLearnedSlice - 1) { continue; }
        co_await breathe();
    }
    const std::size_t most = rows.size() + (wanted == kNoPort ? kToldRowsMax : 0);
    const auto add_told = [&](const LearnedRow& told) {
        if (told.key.kind != LearnedKind::kNeighbour || rows.size() >= most) { return; }
        rows.push_back(told_row(dataplane_.snapshot(), told, now));
    };
    if (wanted == kNoPort) { co_await for_each_learned(dataplane_.fleet(), add_told); }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const json& a, const json& b) { return port_of(a) < port_of(b); });
    co_return rows;
}

// The same rows by the network that they are in, and the neighbours of routers and VTEPs.
AnswerLater ShowService::arps() {
    std::string every;
    Answer rows = co_await bindings(every);
    if (!rows) { co_return rows.error(); }
    const std::uint64_t now = worker_now_ns();
    const auto add = [&](const LearnedRow& learned) {
        if (learned.key.kind != LearnedKind::kNeighbour) { return; }
        rows.value().push_back(neighbour_row(learned, now));
    };
    co_await for_each_learned(dataplane_.learned(), add);
    std::stable_sort(rows.value().begin(), rows.value().end(),
                     [](const json& a, const json& b) { return place_of(a) < place_of(b); });
    co_return rows;
}

// Every worker has passed on when it answers: what is sent from then on needs a new claim.
AnswerLater ShowService::flush_bindings(std::string port) {
    LearnedFilter filter;
    filter.kind = LearnedKind::kBinding;
    if (!port.empty()) {
        const Result<PortIndex> index = index_of(port);
        if (!index) { co_return index.error(); }
        filter = LearnedFilter::of_port(index.value(), LearnedKind::kBinding);
    }
    LearnedFilter questions = filter;  // What is yet to be answered must bind nothing, either.
    questions.kind = LearnedKind::kDhcpClient;
    datapath::FlushLearned flush_questions(questions);
    co_await run_on_worker(dataplane_, 0, flush_questions);
    datapath::FlushLearned flush(filter);
    co_await run_on_worker(dataplane_, 0, flush);
    filter.kind = LearnedKind::kPending;  // With what was rejected: it may be listed again.
    datapath::FlushLearned flush_pending(filter);
    co_await run_on_worker(dataplane_, 0, flush_pending);
    co_await fold();
    co_return json{{"removed", flush.removed + flush_pending.removed}};
}

}  // namespace sluice::daemon
