// SPDX-License-Identifier: Apache-2.0
// Agent: what other hosts say in Sluice_Status, and what this one claims (agent_impl.h). Rows of
// table Binding become claims, entry by entry; VTEPs of table Host become remote VTEPs of switches.
// Control thread.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller-agent/fleet/agent_impl.h"
#include "controller-agent/fleet/segment_name.h"
#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

std::string text_at(const ovsdb::Row& row, const char* name) {
    return ovsdb::column(row, name).text();
}

const std::string* text_of(const ovsdb::Atom& atom) { return std::get_if<std::string>(&atom); }

/// Calls visit(key, value) for entries that `one` has and `other` has not, or with another value;
/// both are maps of texts with ascending keys.
template <typename Visit>
void for_each_difference(const ovsdb::Datum& one, const ovsdb::Datum& other, Visit&& visit) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < one.keys.size() && i < one.values.size(); ++i) {
        while (at < other.keys.size() && other.keys[at] < one.keys[i]) { ++at; }
        const bool is_same = at < other.keys.size() && at < other.values.size() &&
                             other.keys[at] == one.keys[i] && other.values[at] == one.values[i];
        const std::string* key = text_of(one.keys[i]);
        const std::string* value = text_of(one.values[i]);
        if (!is_same && key != nullptr && value != nullptr) { visit(*key, *value); }
    }
}

// {"switch","ip"}
std::optional<std::pair<std::string, std::string>> parse_vtep(const std::string& text) {
    const json value = json::parse(text, nullptr, false);
    if (!value.is_object()) { return std::nullopt; }
    const auto on = value.find("switch"), ip = value.find("ip");
    if (on == value.end() || ip == value.end() || !on->is_string() || !ip->is_string()) {
        return std::nullopt;
    }
    const auto address = parse_ip(ip->get_ref<const std::string&>());
    if (!address) { return std::nullopt; }
    return std::pair{on->get<std::string>(), to_string(*address)};
}

// Where a row of table Binding says that its MACs are; nullopt: it makes no sense.
std::optional<IpAddr> vtep_of_row(const ovsdb::Row& row) {
    const auto place = parse_segment_name(text_at(row, "segment"));
    if (!place) { return std::nullopt; }
    const std::string text = text_at(row, "vtep");
    if (place->segment.vni == 0 && text.empty()) { return IpAddr{}; }
    return parse_ip(text);
}

}  // namespace

void Agent::Impl::connect_status(std::vector<ovsdb::Remote> remotes) {
    status_remotes_ = std::move(remotes);
    if (status_) {
        left_tables_ = status_->tables();
        status_->stop();
        status_.reset();
    }
    has_status_ = false;
    host_row_.reset();
    status_why_.clear();
    has_news_ = true;
    if (status_remotes_.empty()) { return; }
    ovsdb::ClientOptions options;
    options.remotes = status_remotes_;
    options.database = "Sluice_Status";
    options.tls = options_.tls;
    options.seed = options_.seed + 1;
    const std::weak_ptr<Impl> weak = weak_from_this();
    ovsdb::ClientEvents events;
    events.on_state = [weak](ovsdb::ClientState state, const std::string& why) {
        if (const auto self = weak.lock()) { self->status_state(state, why); }
    };
    events.on_change = [weak](const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
        if (const auto self = weak.lock()) { self->status_changed(changes, is_complete); }
    };
    status_ = std::make_unique<ovsdb::Client>(io_, std::move(options), std::move(events));
    status_->set_interest(status_interest());
    status_->start();
}

// Of all hosts their VTEPs only: what else they say of themselves is nothing to this one.
std::vector<ovsdb::Interest> Agent::Impl::status_interest() const {
    const json own = json::array({json::array({"host", "==", name_})});
    json bindings = own;
    for (const std::string& segment : segments_) {
        bindings.push_back(json::array({"segment", "==", segment}));
    }
    return {{"Host", {"host", "vteps"}, true},
            {"Heartbeat", {"host", "at_ms"}, own},
            {"Binding", {"host", "segment", "vtep", "chunk", "items"}, bindings},
            {"Port", {"host", "chunk", "items"}, own},
            {"Problem", {"host", "chunk", "items"}, own}};
}

// What rows no longer say comes first: another row of the batch may say it now.
void Agent::Impl::status_changed(const std::vector<ovsdb::RowChange>& changes, bool is_complete) {
    if (is_stopped_) { return; }
    const auto take = [this](const std::string& table, const ovsdb::Uuid& id,
                             const ovsdb::RowPtr& before, const ovsdb::RowPtr& after) {
        const ovsdb::RowPtr& row = after != nullptr ? after : before;
        if (row == nullptr || text_at(*row, "host") == name_) { return; }
        if (table == "Binding") { take_binding_row({table, id, before, after}); }
        if (table == "Host") { take_host_row({table, id, before, after}); }
    };
    for (const ovsdb::RowChange& each : changes) {
        const ovsdb::RowPtr& row = each.after != nullptr ? each.after : each.before;
        if (row != nullptr && text_at(*row, "host") == name_) {
            has_news_ = has_news_ || each.table != "Heartbeat";
            if (each.table == "Host" && each.after == nullptr) { host_row_.reset(); }
        }
        if (each.after == nullptr) { take(each.table, each.id, each.before, nullptr); }
    }
    for (const ovsdb::RowChange& each : changes) {
        if (each.after != nullptr) { take(each.table, each.id, each.before, each.after); }
    }
    update_remote_vteps();
    tell_bindings();
    if (is_complete && !has_status_) { status_complete(); }
}

// From now on the replica says what there is: what came from elsewhere goes, late.
void Agent::Impl::status_complete() {
    if (std::exchange(has_status_, true)) { return; }
    const std::int64_t deadline_ms = monotonic_ms() + kFleetGraceMs;
    claims_.withdraw_restored(deadline_ms);
    for (LateVtep& each : late_vteps_) {
        each.deadline_ms = std::min(each.deadline_ms, deadline_ms);
    }
    const ovsdb::Tables left = std::exchange(left_tables_, {});
    const auto replay = [&](const ovsdb::Tables& tables, const char* name, bool comes) {
        const auto table = tables.find(name);
        if (table == tables.end()) { return; }
        for (const auto& [id, row] : table->second) {
            if (text_at(*row, "host") == name_) { continue; }
            const ovsdb::RowChange change{name, id, comes ? nullptr : row, comes ? row : nullptr};
            if (change.table == "Host") {
                take_host_row(change);
            } else {
                take_binding_row(change);
            }
        }
    };
    for (const char* name : {"Host", "Binding"}) {
        if (left.empty()) { break; }
        replay(left, name, false);
        replay(status_->tables(), name, true);
    }
    update_remote_vteps();
    has_news_ = true;
    tell_bindings();
    wake();
}

void Agent::Impl::take_binding_row(const ovsdb::RowChange& change) {
    if (change.before != nullptr && change.after != nullptr) {
        const auto differs = [&](const char* name) {
            return ovsdb::column(*change.before, name) != ovsdb::column(*change.after, name);
        };
        if (differs("host") || differs("segment") || differs("vtep")) {
            take_binding_row({change.table, change.id, change.before, nullptr});
            take_binding_row({change.table, change.id, nullptr, change.after});
            return;
        }
    }
    static const ovsdb::Row kNone;
    const ovsdb::Row& before = change.before != nullptr ? *change.before : kNone;
    const ovsdb::Row& after = change.after != nullptr ? *change.after : kNone;
    const ovsdb::Row& row = change.after != nullptr ? after : before;
    const auto vtep = vtep_of_row(row);
    if (!vtep) {
        bad_claims_ += change.after != nullptr ? 1 : 0;
        return;
    }
    const std::string segment = text_at(row, "segment");
    const Claimant who{text_at(row, "host"), *vtep};
    const ovsdb::Datum& old = ovsdb::column(before, "items");
    const ovsdb::Datum& now = ovsdb::column(after, "items");
    const std::int64_t deadline_ms = monotonic_ms() + kFleetGraceMs;
    for_each_difference(old, now, [&](const std::string& key, const std::string&) {
        if (const auto mac = parse_mac(key)) {
            claims_.withdraw({segment, *mac}, who, deadline_ms);
        }
    });
    for_each_difference(now, old, [&](const std::string& key, const std::string& value) {
        const auto mac = parse_mac(key);
        auto claim = parse_claim(value);
        if (!mac || !claim || mac->is_group() || mac->is_zero()) {
            ++bad_claims_;
            return;
        }
        claims_.set({segment, *mac}, who, std::move(*claim));
    });
    has_news_ = has_news_ || !own_claims_.empty();  // Of duplicates.
}

void Agent::Impl::take_host_row(const ovsdb::RowChange& change) {
    const ovsdb::Row& row = change.after != nullptr ? *change.after : *change.before;
    const std::string host = text_at(row, "host");
    std::set<std::pair<std::string, std::string>> now;
    if (change.after != nullptr) {
        for (const auto& [name, text] : ovsdb::column(row, "vteps").text_map()) {
            if (auto vtep = parse_vtep(text)) { now.insert(std::move(*vtep)); }
        }
    }
    const std::int64_t deadline_ms = monotonic_ms() + kFleetGraceMs;
    for (const auto& [on, ip] : vteps_[host]) {
        if (!now.contains({on, ip})) { late_vteps_.push_back({on, ip, deadline_ms}); }
    }
    if (now.empty()) {
        vteps_.erase(host);
    } else {
        vteps_[host] = std::move(now);
    }
}

void Agent::Impl::forget_late_vteps(std::int64_t now_ms) {
    const auto gone = std::erase_if(
        late_vteps_, [&](const LateVtep& each) { return each.deadline_ms <= now_ms; });
    if (gone != 0) { update_remote_vteps(); }
}

void Agent::Impl::update_remote_vteps() {
    RemoteVteps now;
    for (const auto& [host, vteps] : vteps_) {
        for (const auto& [on, ip] : vteps) { now[on].insert(ip); }
    }
    for (const LateVtep& each : late_vteps_) { now[each.switch_name].insert(each.ip); }
    for (const LocalVtep& own : local_.vteps) {  // What another host has of this one's.
        for (auto& [on, ips] : now) { ips.erase(to_string(own.ip)); }
    }
    std::erase_if(now, [](const auto& each) { return each.second.empty(); });
    if (now == remote_vteps_) { return; }
    remote_vteps_ = std::move(now);
    has_new_vteps_ = true;
    is_unsaved_ = true;
    wake();
}

void Agent::Impl::tell_bindings() {
    const std::vector<BindingChange> changes = claims_.take_changes();
    if (changes.empty()) { return; }
    is_unsaved_ = true;
    host_.change_bindings(changes);
}

void Agent::Impl::look_at_ports() {
    if (std::string key = host_.public_key(); key != public_key_) {
        public_key_ = std::move(key);
        has_news_ = true;
    }
    LocalState state = host_.local_state(local_.epoch);
    if (state.epoch != local_.epoch) {
        const bool has_other_vteps = state.vteps != local_.vteps;
        local_ = std::move(state);
        has_news_ = true;
        std::set<SegmentMac> own;
        for (const LocalPort& port : local_.ports) {
            if (port.is_up && !port.segment.empty()) { own.insert({port.segment, port.mac}); }
        }
        claims_.set_own(std::move(own));
        if (has_other_vteps) { update_remote_vteps(); }
    }
    if (has_news_ && has_status_) { update_own_claims(); }
}

// A vNIC that is up claims its MAC once, when it is known what others claim.
void Agent::Impl::update_own_claims() {
    OwnClaims written;
    bool has_read = false;
    OwnClaims now;
    for (const LocalPort& port : local_.ports) {
        const auto place = parse_segment_name(port.segment);
        if (!port.is_up || !place || port.mac.is_group() || port.mac.is_zero()) { continue; }
        if (place->segment.vni != 0 && vtep_of(port.segment, local_.vteps) == IpAddr{}) {
            continue;
        }
        const SegmentMac where{port.segment, port.mac};
        const auto known = own_claims_.find(where);
        if (known == own_claims_.end() && !std::exchange(has_read, true)) {
            for (const auto& [key, row] : rows_of(name_, status_->tables())) {
                if (key.table != "Binding") { continue; }
                for (const auto& [mac, text] : ovsdb::column(*row.second, "items").text_map()) {
                    const auto address = parse_mac(mac);
                    auto claim = parse_claim(text);
                    if (address && claim) { written[{key.segment, *address}] = *claim; }
                }
            }
        }
        Claim claim = known == own_claims_.end() ? own_claim(where, written) : known->second;
        claim.ips = port.ips;
        now.emplace(where, std::move(claim));
    }
    own_claims_ = std::move(now);
}

Claim Agent::Impl::own_claim(const SegmentMac& place, const OwnClaims& written) const {
    const auto before = written.find(place);
    const auto highest = claims_.highest(place);
    if (before != written.end() && before->second.sequence > highest.value_or(-1)) {
        return before->second;
    }
    return {highest.value_or(0) + 1, unix_ms(), {}};
}

// Own MACs that other hosts claim, too.
std::vector<Problem> Agent::Impl::duplicates() const {
    std::vector<Problem> out;
    for (const auto& [place, claim] : own_claims_) {
        const std::vector<std::string> hosts = claims_.hosts(place);
        if (hosts.empty() || out.size() == kFleetProblemMax) { continue; }
        std::string names;
        for (const std::string& host : hosts) { names += (names.empty() ? "" : ", ") + host; }
        const bool counts = claim.sequence > claims_.highest(place).value_or(-1);
        out.push_back({"binding " + place.segment + " " + to_string(place.mac),
                       "is claimed by " + names + ", too; " +
                           (counts ? "this host" : hosts.front()) + " counts elsewhere"});
    }
    return out;
}

}  // namespace sluice::fleet
