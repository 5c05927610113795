// SPDX-License-Identifier: Apache-2.0
// PortMigration: documents written and read; see port_migration.h. Tables are read in slices, rows
// with a breath of the control loop between some hundred of them.
#include "src/sluiced/port_migration.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "admin/params.h"
#include "datapath/command.h"
#include "sluice/model/resolve.h"
#include "sluice/net/address_text.h"
#include "src/host/connection_walk.h"
#include "src/sluiced/learned_rows.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using ImportRow = datapath::ImportConnections::Row;

constexpr std::size_t kRowsAtOnce = 256;  // Written or read between two breaths: about 1 ms.
constexpr std::array kLearnedKinds{LearnedKind::kBinding, LearnedKind::kPending, LearnedKind::kMac,
                                   LearnedKind::kGroupMember};

std::string subject(const std::string& port) { return "port " + port; }

Error about(const std::string& port, Errc code, const std::string& what) {
    return Error{code, subject(port) + ": " + what, subject(port)};
}

bool comes_before(const ConnectionTuple& a, const ConnectionTuple& b) {
    return std::memcmp(&a, &b, sizeof a) < 0;
}

bool has_vni(const PortPlace& place) {
    const auto domains = place.domains();
    return std::any_of(domains.begin(), domains.end(),
                       [](const datapath::Domain* domain) { return domain->vni != 0; });
}

// A list of the document; nullptr if it has none.
Result<const json*> list(const json& document, const std::string& port, const char* key) {
    const auto at = document.find(key);
    if (at == document.end()) { return static_cast<const json*>(nullptr); }
    if (!at->is_array()) { return about(port, Errc::kInvalid, std::string(key) + " is no list"); }
    if (at->size() > kPortRowMax) {
        return about(port, Errc::kLimit,
                     std::string(key) + " has " + std::to_string(at->size()) + " rows, at most " +
                         std::to_string(kPortRowMax) + " expected");
    }
    return &*at;
}

Error at_row(const std::string& port, const char* key, std::size_t row, const Error& error) {
    return about(port, error.code,
                 std::string(key) + "[" + std::to_string(row) + "]: " + error.message);
}

}  // namespace

PortMigration::PortMigration(asio::io_context& io, datapath::Dataplane& dataplane,
                             const ConfigService& config,
                             std::shared_ptr<admin::ChangeQueue> changes)
    : timer_(io),
      io_(io),
      dataplane_(dataplane),
      config_(config),
      changes_(std::move(changes)),
      announcer_(io, dataplane) {}

void PortMigration::stop() {
    is_stopped_ = true;
    timer_.cancel();
    announcer_.stop();
}

Result<PortPlace> PortMigration::place_of(const std::string& name) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const Result<PortIndex> index = find_port(config_.registries().ports, snapshot, name);
    if (!index) { return index.error(); }
    const datapath::PortConfig& config = *snapshot.port(index.value());
    if (config.is_uplink || config.leg_of != datapath::kNoService) {
        return about(name, Errc::kInvalid, "only a VM's port moves");
    }
    return PortPlace{snapshot, config_.registries().rules, index.value(), worker_now_ns(), {}};
}

// Figures that flows carry are folded first.
asio::awaitable<PortMigration::Rows> PortMigration::collect(PortIndex port) {
    co_await run_on_workers<datapath::FoldCommand>(dataplane_);
    Rows rows;
    host::ConnectionWalk::Options options;
    options.port = port;
    options.now_ns = worker_now_ns();
    host::ConnectionWalk walk(dataplane_.connections(), host::ConnectionFilter{}, options);
    const auto take = [&](const Connection& record, const host::ConnectionView&) {
        if (is_closed(record.state)) { return; }
        PortConnection& row = rows.connections.emplace_back();
        row.record = record;
        if (record.redirected != 0) {
            row.pins = dataplane_.pins().of(ConnectionHandle{walk.cursor() - 1U, 0});
        }
    };
    while (walk.step(take)) { co_await breathe(); }
    const auto add = [&](const LearnedRow& row) {
        if (row.owner() == port && list_of(row.key.kind) != nullptr) {
            rows.learned.push_back(row);
        }
    };
    co_await for_each_learned(std::as_const(dataplane_).learned(), add);
    co_return rows;
}

// Names of the key policies that rules give the vNIC's traffic: without them the destination would
// drop what must be sealed.
json PortMigration::key_policies(PortIndex port) const {
    const model::Document& document = config_.document();
    const model::Resolver resolver(document);
    const std::string& name = dataplane_.snapshot().port(port)->name;
    std::set<std::string> names;
    for (const model::EncryptionRule& rule : document.encryption.rules) {
        const model::PortIndices ports = resolver.ports(rule.applied_to);
        const bool is_its = std::any_of(ports.begin(), ports.end(), [&](std::size_t index) {
            return document.ports[index].name == name;
        });
        if (is_its && !rule.key_policy.empty()) { names.insert(rule.key_policy); }
    }
    return names;
}

// Where the vNIC is as long as it is here.
json PortMigration::own_vteps(const PortPlace& place) const {
    json ips = json::array();
    for (const datapath::Domain* domain : place.domains()) {
        for (const std::uint16_t vtep : domain->vteps) {
            const std::string ip = to_string(place.snapshot.vteps[vtep].ip);
            if (std::find(ips.begin(), ips.end(), json(ip)) == ips.end()) { ips.push_back(ip); }
        }
    }
    return ips;
}

// Where a vNIC is that comes here later; nullopt: this host does not know the source's VTEPs.
std::optional<host::MovedTo> PortMigration::home_of(const PortPlace& place,
                                                    const json& document) const {
    if (!has_vni(place)) { return host::MovedTo{IpAddr{}, true}; }
    for (const json& text : document.value("vteps", json::array())) {
        const auto ip = text.is_string() ? parse_ip(text.get<std::string>()) : std::nullopt;
        if (ip && host::remote_index(place.snapshot, *ip) != 0) { return host::MovedTo{*ip, true}; }
    }
    return std::nullopt;
}

asio::awaitable<json> PortMigration::write(PortPlace place, Rows rows, bool is_final) {
    const datapath::PortConfig config = *place.snapshot.port(place.port);
    json document{{"format", kPortFormat},
                  {"version", kPortVersion},
                  {"host", config_.document().host.name},
                  {"port", config.name},
                  {"port_group", config.port_group},
                  {"mac", to_string(config.mac)},
                  {"vteps", own_vteps(place)},
                  {"final", is_final},
                  {"key_policies", key_policies(place.port)},
                  {"connections", json::array()}};
    for (const LearnedKind kind : kLearnedKinds) { document[list_of(kind)] = json::array(); }
    std::size_t count = 0;
    for (const PortConnection& row : rows.connections) {
        json text = write_connection(place, row);
        if (!text.is_null()) { document["connections"].push_back(std::move(text)); }
        if (++count % kRowsAtOnce == 0) { co_await breathe(); }
    }
    for (const LearnedRow& row : rows.learned) {
        json text = write_learned(place, row);
        if (!text.is_null()) { document[list_of(row.key.kind)].push_back(std::move(text)); }
        if (++count % kRowsAtOnce == 0) { co_await breathe(); }
    }
    co_return document;
}

// Where a final export sends stragglers. kNone: by the uplinks of its VLAN.
Result<IpAddr> PortMigration::destination(const PortPlace& place, const std::string& to) const {
    const std::string& name = place.snapshot.port(place.port)->name;
    if (!has_vni(place)) {
        if (to.empty()) { return IpAddr{}; }
        return about(name, Errc::kInvalid, "is in a VLAN: --to is for VNIs");
    }
    const std::optional<IpAddr> ip = parse_ip(to);
    if (!ip) {
        return about(name, Errc::kInvalid,
                     "to \"" + to + "\" is not the address of the destination's VTEP");
    }
    if (host::remote_index(place.snapshot, *ip) != 0) { return *ip; }
    return about(name, Errc::kNotFound, "to " + to + " is none of the VTEPs that this host knows");
}

// From now on what comes for it is sent on; who stays has its peer in the fabric.
asio::awaitable<void> PortMigration::leave(PortPlace place, const Rows& rows, IpAddr to) {
    std::string name = place.snapshot.port(place.port)->name;
    std::vector<ImportRow> staying;
    for (const PortConnection& row : rows.connections) {
        const PortIndex other = row.record.opener_port == place.port ? row.record.responder_port
                                                                     : row.record.opener_port;
        if (!is_local(place, other) || other == place.port) { continue; }
        const auto side = row.record.opener_port == place.port ? ConnectionSide::kOpener
                                                               : ConnectionSide::kResponder;
        const PortIndex fabric = fabric_of(place, row.record.tuple.domain);
        staying.push_back(row_moved(place, row, side, fabric, false));
    }
    const host::MovedTo there{to, false};
    co_await set_place(name, there);
    if (!staying.empty()) {
        datapath::ImportConnections command(std::move(staying), {});
        co_await run_on_worker(dataplane_, 0, command);
    }
    stragglers_[name] = Stragglers{};
    start_watch();
}

PortMigration::AnswerLater PortMigration::export_port(ExportQuestion question) {
    if (question.cancel) { co_return co_await come_back(std::move(question.port)); }
    const Result<PortPlace> found = place_of(question.port);
    if (!found) { co_return found.error(); }
    PortPlace place = found.value();
    if (const auto at = left_.find(question.port); at != left_.end()) {
        co_return at->second;  // What it had when it left is what there is to say.
    }
    if (!question.is_final) {
        if (!question.to.empty()) {
            co_return about(question.port, Errc::kInvalid, "--to needs --final");
        }
        Rows rows = co_await collect(place.port);
        place.now_ns = worker_now_ns();
        co_return co_await write(place, std::move(rows), false);
    }
    const Result<IpAddr> to = destination(place, question.to);
    if (!to) { co_return to.error(); }
    Rows rows = co_await collect(place.port);
    place.now_ns = worker_now_ns();
    json document = co_await write(place, rows, true);
    co_await leave(place, rows, to.value());
    left_[question.port] = document;
    spdlog::info("port {}: moved to {}, {} connections", question.port,
                 to.value() == IpAddr{} ? "another host of its VLAN" : to_string(to.value()),
                 rows.connections.size());
    co_return document;
}

// The migration failed after the switch-over was announced: the VM goes on here.
PortMigration::AnswerLater PortMigration::come_back(std::string name) {
    const auto left = left_.find(name);
    if (left == left_.end()) {
        co_return about(name, Errc::kState, "has not moved: there is nothing to cancel");
    }
    json document = left->second;
    Result<json> done = co_await import_port(name, std::move(document));
    if (!done) { co_return done.error(); }
    co_return json{{"port", name}, {"moved", false}};
}

Status PortMigration::check_head(const PortPlace& place, const json& document) const {
    const datapath::PortConfig& config = *place.snapshot.port(place.port);
    if (!document.is_object() || document.value("format", json()) != kPortFormat) {
        return about(config.name, Errc::kInvalid, "this is no document of `port export`");
    }
    if (document.value("version", json()) != kPortVersion) {
        return about(config.name, Errc::kUnsupported,
                     "the document has version " + document.value("version", json()).dump() +
                         ", this host reads " + std::to_string(kPortVersion));
    }
    if (document.value("mac", json()) != to_string(config.mac)) {
        return about(config.name, Errc::kInvalid,
                     "the document is of MAC " + document.value("mac", json()).dump() +
                         ", the port here has " + to_string(config.mac));
    }
    static const std::set<std::string> kKeys{
        "format", "version",      "host",        "port",     "port_group", "mac",  "vteps",
        "final",  "key_policies", "connections", "bindings", "pending",    "macs", "groups"};
    for (const auto& [key, value] : document.items()) {
        if (!kKeys.contains(key)) {
            return about(config.name, Errc::kInvalid, "unknown key \"" + key + "\"");
        }
    }
    const Result<const json*> wanted = list(document, config.name, "key_policies");
    if (!wanted) { return wanted.error(); }
    const auto& known = config_.document().encryption.key_policies;
    for (const json& policy : wanted.value() != nullptr ? *wanted.value() : json::array()) {
        const bool is_here = std::any_of(known.begin(), known.end(),
                                         [&](const auto& one) { return policy == one.name; });
        if (!is_here) {
            return about(config.name, Errc::kState,
                         "its traffic is sealed under key policy " + policy.dump() +
                             ", which this host does not have");
        }
    }
    return Ok{};
}

PortMigration::AnswerLater PortMigration::import_port(std::string name, json document) {
    const Result<PortPlace> found = place_of(name);
    if (!found) { co_return found.error(); }
    if (const Status head = check_head(found.value(), document); !head) { co_return head.error(); }
    std::optional<host::MovedTo> home;
    if (!document.value("final", false) && !has_arrived(name)) {
        home = home_of(found.value(), document);
    }
    co_return co_await put(found.value(), document, home);
}

// All rows are read before anything is changed.
PortMigration::AnswerLater PortMigration::put(PortPlace place, const json& document,
                                              std::optional<host::MovedTo> home) {
    const std::string name = place.snapshot.port(place.port)->name;
    const auto bind = [&place](const LearnedRow& row) {
        if (row.key.kind != LearnedKind::kBinding || row.key.port == place.port) { return; }
        place.bound[{row.key.domain, row.key.ip_address()}] = row.key.port;
    };
    co_await for_each_learned(std::as_const(dataplane_).learned(), bind);
    std::vector<ImportRow> rows;
    std::vector<ConnectionTuple> tuples;
    const Result<const json*> connections = list(document, name, "connections");
    if (!connections) { co_return connections.error(); }
    const json none = json::array();
    const json& texts = connections.value() != nullptr ? *connections.value() : none;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        Result<ImportRow> row = read_connection(place, texts[i]);
        if (!row) { co_return at_row(name, "connections", i, row.error()); }
        const ConnectionImport& read = row.value().connection;
        const PortIndex other =
            read.opener_port == place.port ? read.responder_port : read.opener_port;
        if (home && is_local(place, other)) { continue; }  // Its peer's host tracks it already.
        tuples.push_back(row.value().connection.tuple.tuple);
        rows.push_back(std::move(row).value());
        if (rows.size() % kRowsAtOnce == 0) { co_await breathe(); }
    }
    std::vector<LearnedRow> learned;
    for (const LearnedKind kind : kLearnedKinds) {
        const Result<const json*> found = list(document, name, list_of(kind));
        if (!found) { co_return found.error(); }
        const json& facts = found.value() != nullptr ? *found.value() : none;
        for (std::size_t i = 0; i < facts.size(); ++i) {
            Result<LearnedRow> row = read_learned(place, kind, facts[i]);
            if (!row) { co_return at_row(name, list_of(kind), i, row.error()); }
            learned.push_back(row.value());
        }
    }
    co_await set_place(name, home);  // `place` is of a snapshot that may be gone from here on.
    stragglers_.erase(name);
    left_.erase(name);
    std::sort(tuples.begin(), tuples.end(), comes_before);
    Arrival& arrival = arrivals_[name];
    std::vector<ConnectionTuple> gone;
    std::set_difference(arrival.tuples.begin(), arrival.tuples.end(), tuples.begin(), tuples.end(),
                        std::back_inserter(gone), comes_before);
    arrival.tuples = std::move(tuples);
    arrival.is_awaited = true;
    if (document.value("final", false)) { arrival.tuples.clear(); }
    std::vector<TupleOfFrame> ended;
    for (const ConnectionTuple& tuple : gone) { ended.push_back({tuple, false, false, 0}); }
    datapath::ImportLearned facts(std::move(learned));
    co_await run_on_worker(dataplane_, 0, facts);
    datapath::ImportConnections command(std::move(rows), std::move(ended));
    co_await run_on_worker(dataplane_, 0, command);
    start_watch();
    co_return json{{"port", name},
                   {"connections",
                    {{"opened", command.opened},
                     {"renewed", command.renewed},
                     {"ended", command.ended},
                     {"refused", command.refused}}},
                   {"learned", facts.kept},
                   {"learned_refused", facts.refused}};
}

json PortMigration::moved() const {
    json rows = json::array();
    for (const auto& [name, to] : placed_) {
        json row{{"port", name},
                 {"to", to.vtep == IpAddr{} ? json() : json(to_string(to.vtep))},
                 {"awaited", to.is_awaited},
                 {"quiet_s", nullptr},
                 {"flows", 0},
                 {"packets", 0}};
        if (const auto at = stragglers_.find(name); at != stragglers_.end()) {
            const auto quiet = Clock::now() - at->second.last;
            row["quiet_s"] = std::chrono::duration_cast<std::chrono::seconds>(quiet).count();
            row["flows"] = at->second.flows;
            row["packets"] = at->second.packets;
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

void add_migration_methods(admin::AdminServer& server, PortMigration& migration) {
    using admin::Access;
    using admin::Peer;
    server.add("show.moved", Access::kRead, [&migration](const json&, const Peer&) -> Result<json> {
        return migration.moved();
    });
    server.add("port.export", Access::kChange,
               [&migration](const json& params, const Peer&) -> PortMigration::AnswerLater {
                   admin::ParamReader read(params);
                   ExportQuestion question;
                   question.port = read.required_text("port");
                   question.is_final = read.flag("final");
                   question.cancel = read.flag("cancel");
                   question.to = read.text("to");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await migration.export_port(std::move(question));
               });
    server.add("port.import", Access::kChange,
               [&migration](const json& params, const Peer&) -> PortMigration::AnswerLater {
                   admin::ParamReader read(params);
                   std::string port = read.required_text("port");
                   const json* given = read.value("document");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   if (given == nullptr) {
                       co_return Error{Errc::kInvalid, "parameter document is missing",
                                       admin::kParamsObject};
                   }
                   json document = *given;
                   co_return co_await migration.import_port(std::move(port), std::move(document));
               });
}

}  // namespace sluice::daemon
