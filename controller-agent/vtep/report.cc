// SPDX-License-Identifier: Apache-2.0
// Report: see report.h.
#include "controller-agent/vtep/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sluice/net/address_text.h"

namespace sluice::vtep {
namespace {

using nlohmann::json;
using ovsdb::Row;
using ovsdb::Tables;
using ovsdb::Uuid;

constexpr const char* kUcast = "Ucast_Macs_Local";
constexpr const char* kMcast = "Mcast_Macs_Local";

json uuid(const Uuid& id) { return json::array({"uuid", id.text()}); }
json named(const std::string& name) { return json::array({"named-uuid", name}); }
json set_of(json items) { return json::array({"set", std::move(items)}); }
json where(const Uuid& id) { return json::array({json::array({"_uuid", "==", uuid(id)})}); }

json update(const char* table, const Uuid& id, json row) {
    return {{"op", "update"}, {"table", table}, {"where", where(id)}, {"row", std::move(row)}};
}

json erase(const char* table, const Uuid& id) {
    return {{"op", "delete"}, {"table", table}, {"where", where(id)}};
}

json insert(const char* table, json row, const std::string& name = "") {
    json out = {{"op", "insert"}, {"table", table}, {"row", std::move(row)}};
    if (!name.empty()) { out["uuid-name"] = name; }
    return out;
}

json mutate(const char* table, json where, const char* column, const char* mutator, json items) {
    return {{"op", "mutate"},
            {"table", table},
            {"where", std::move(where)},
            {"mutations", json::array({json::array({column, mutator, set_of(std::move(items))})})}};
}

/// One look at what differs.
class Report {
public:
    Report(const Tables& tables, const OwnHost& own, const Networks& networks,
           const fleet::LocalState& state, const std::map<std::string, std::string>& faults)
        : tables_(tables), own_(own), networks_(networks), state_(state), faults_(faults) {
        for (const OwnVtep& vtep : own.vteps) { tunnel_ips_.push_back(to_string(vtep.address.ip)); }
        std::sort(tunnel_ips_.begin(), tunnel_ips_.end());
        faults_.insert(networks.faults.begin(), networks.faults.end());
        for (const auto& [id, network] : networks.by_id) { by_segment_[network.segment] = id; }
    }

    json run(bool is_refused) {
        if (const auto id = own_switch(tables_, own_)) {
            update_switch(*id, is_refused);
            update_ports(*id);
        } else {
            insert_switch();
        }
        report_macs();
        report_floods();
        return std::move(out_);
    }

private:
    static json port_row(const std::string& name) {
        return {{"name", name}, {"description", "vNIC of sluiced"}};
    }

    // The controller binds ports once they are there; what it finds wrong comes with the next look.
    void insert_switch() {
        json ports = json::array();
        for (const std::string& name : own_.ports) { ports.push_back(insert_port(name)); }
        out_.push_back(insert("Physical_Switch",
                              {{"name", own_.name},
                               {"description", "sluiced"},
                               {"tunnel_ips", set_of(tunnel_ips_)},
                               {"ports", set_of(std::move(ports))}},
                              "switch"));
        const ovsdb::Table& global = table_of(tables_, "Global");
        if (global.empty()) {
            out_.push_back(
                insert("Global", {{"switches", set_of(json::array({named("switch")}))}}));
        } else {
            out_.push_back(mutate("Global", where(global.begin()->first), "switches", "insert",
                                  json::array({named("switch")})));
        }
    }

    json insert_port(const std::string& name) {
        const std::string id = "port" + std::to_string(++port_count_);
        out_.push_back(insert("Physical_Port", port_row(name), id));
        return named(id);
    }

    void update_switch(const Uuid& id, bool is_refused) {
        const Row& row = *find_row(tables_, "Physical_Switch", id);
        std::vector<std::string> is = ovsdb::column(row, "tunnel_ips").texts();
        std::sort(is.begin(), is.end());
        if (is != tunnel_ips_) {
            out_.push_back(update("Physical_Switch", id, {{"tunnel_ips", set_of(tunnel_ips_)}}));
        }
        std::set<std::string> faults = networks_.switch_faults;
        if (is_refused) { faults.insert("unspecified_fault"); }
        update_faults("Physical_Switch", "switch_fault_status", id, row, faults);
    }

    void update_faults(const char* table, const char* column, const Uuid& id, const Row& row,
                       const std::set<std::string>& faults) {
        const std::vector<std::string> is = ovsdb::column(row, column).texts();
        if (std::set<std::string>(is.begin(), is.end()) == faults) { return; }
        out_.push_back(update(table, id, {{column, set_of(json(faults))}}));
    }

    // Exactly those of the file, each once.
    void update_ports(const Uuid& id) {
        std::set<std::string> missing(own_.ports.begin(), own_.ports.end());
        json foreign = json::array();
        for (const Uuid& port : references(*find_row(tables_, "Physical_Switch", id), "ports")) {
            const Row* row = find_row(tables_, "Physical_Port", port);
            const std::string name = row != nullptr ? ovsdb::column(*row, "name").text() : "";
            if (missing.erase(name) == 0) {
                foreign.push_back(uuid(port));
                continue;
            }
            const auto fault = faults_.find(name);
            std::set<std::string> faults;
            if (fault != faults_.end()) { faults.insert(fault->second); }
            update_faults("Physical_Port", "port_fault_status", port, *row, faults);
        }
        json made = json::array();
        for (const std::string& name : missing) { made.push_back(insert_port(name)); }
        if (!foreign.empty()) {
            out_.push_back(mutate("Physical_Switch", where(id), "ports", "delete", foreign));
        }
        if (!made.empty()) {
            out_.push_back(mutate("Physical_Switch", where(id), "ports", "insert", made));
        }
    }

    // Our own, found if somebody made it, else made once in this transaction.
    json locator() {
        if (!locator_.is_null()) { return locator_; }
        for (const auto& [id, row] : table_of(tables_, "Physical_Locator")) {
            if (locator_ip(tables_, id) == own_.locator()) { return locator_ = uuid(id); }
        }
        out_.push_back(insert(
            "Physical_Locator",
            {{"encapsulation_type", "vxlan_over_ipv4"}, {"dst_ip", to_string(own_.locator())}},
            "locator"));
        return locator_ = named("locator");
    }

    bool is_own(const std::optional<Uuid>& locator) const {
        const auto ip = locator ? locator_ip(tables_, *locator) : std::nullopt;
        return ip && own_.has_vtep(*ip);
    }

    // MACs of ports that are up, by network; the address that answers for them in a question.
    std::map<std::pair<Uuid, std::string>, std::string> wanted_macs() const {
        std::map<std::pair<Uuid, std::string>, std::string> out;
        if (own_.vteps.empty()) { return out; }
        for (const fleet::LocalPort& port : state_.ports) {
            const auto network = by_segment_.find(port.segment);
            if (network == by_segment_.end() || !port.is_up) { continue; }
            const auto v4 = std::find_if(port.ips.begin(), port.ips.end(),
                                         [](const IpAddr& ip) { return ip.is_v4(); });
            const IpAddr ip = v4 != port.ips.end() ? *v4
                              : port.ips.empty()   ? IpAddr{}
                                                   : port.ips.front();
            out[{network->second, to_string(port.mac)}] = to_string(ip);
        }
        return out;
    }

    void report_macs() {
        auto wanted = wanted_macs();
        for (const auto& [id, row] : table_of(tables_, kUcast)) {
            if (!is_own(reference(*row, "locator"))) { continue; }
            const auto of = reference(*row, "logical_switch");
            const auto want =
                of ? wanted.find({*of, ovsdb::column(*row, "MAC").text()}) : wanted.end();
            if (want == wanted.end()) {
                out_.push_back(erase(kUcast, id));
                continue;
            }
            if (ovsdb::column(*row, "ipaddr").text() != want->second) {
                out_.push_back(update(kUcast, id, {{"ipaddr", want->second}}));
            }
            wanted.erase(want);
        }
        for (const auto& [key, ip] : wanted) {
            const json at = locator();
            out_.push_back(insert(kUcast, {{"MAC", key.second},
                                           {"logical_switch", uuid(key.first)},
                                           {"locator", at},
                                           {"ipaddr", ip}}));
        }
    }

    // This host wants the floods of the networks that it has ports in.
    void report_floods() {
        std::set<Uuid> wanted;
        if (!own_.vteps.empty()) {
            for (const auto& [id, network] : networks_.by_id) { wanted.insert(id); }
        }
        for (const auto& [id, row] : table_of(tables_, kMcast)) {
            const auto set = reference(*row, "locator_set");
            const Row* list = set ? find_row(tables_, "Physical_Locator_Set", *set) : nullptr;
            const std::vector<Uuid> locators =
                list != nullptr ? references(*list, "locators") : std::vector<Uuid>{};
            if (locators.size() != 1 || !is_own(locators.front())) { continue; }
            const auto of = reference(*row, "logical_switch");
            const bool is_flood = ovsdb::column(*row, "MAC").text() == kUnknownDst;
            const bool is_wanted = is_flood && of && wanted.erase(*of) > 0;
            if (!is_wanted) { out_.push_back(erase(kMcast, id)); }
        }
        if (wanted.empty()) { return; }
        const json at = locator();
        out_.push_back(insert("Physical_Locator_Set", {{"locators", at}}, "floods"));
        for (const Uuid& id : wanted) {
            out_.push_back(insert(kMcast, {{"MAC", kUnknownDst},
                                           {"logical_switch", uuid(id)},
                                           {"locator_set", named("floods")},
                                           {"ipaddr", ""}}));
        }
    }

    const Tables& tables_;
    const OwnHost& own_;
    const Networks& networks_;
    const fleet::LocalState& state_;
    std::map<std::string, std::string> faults_;
    std::vector<std::string> tunnel_ips_;
    std::map<std::string, Uuid> by_segment_;
    json locator_;
    std::size_t port_count_ = 0;
    json out_ = json::array();
};

}  // namespace

json report(const Tables& tables, const OwnHost& own, const Networks& networks,
            const fleet::LocalState& state, const std::map<std::string, std::string>& faults,
            bool is_refused) {
    return Report(tables, own, networks, state, faults).run(is_refused);
}

}  // namespace sluice::vtep
