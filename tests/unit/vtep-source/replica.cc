// SPDX-License-Identifier: Apache-2.0
// Replica: see replica.h.
#include "tests/unit/vtep-source/replica.h"

#include <nlohmann/json.hpp>

#include "sluice/net/address_text.h"

namespace sluice::vtep::test {

using ovsdb::datum;
using ovsdb::Row;
using ovsdb::Uuid;

IpAddr ip(const std::string& text) { return parse_ip(text).value(); }
MacAddr mac(const std::string& text) { return parse_mac(text).value(); }

ovsdb::Datum refs(const std::vector<Uuid>& ids) {
    const std::set<Uuid> sorted(ids.begin(), ids.end());
    ovsdb::Datum out;
    for (const Uuid& id : sorted) { out.keys.emplace_back(id); }
    return out;
}

ovsdb::Datum vlans(const std::map<std::int64_t, Uuid>& bindings) {
    ovsdb::Datum out;
    out.is_map = true;
    for (const auto& [vlan, id] : bindings) {
        out.keys.emplace_back(vlan);
        out.values.emplace_back(id);
    }
    return out;
}

OwnHost host_a() {
    return read_own_host("host-a", nlohmann::json::parse(R"({
      "uplinks": [{"name": "up0", "device": "net_null0"}],
      "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "uplink": "up0"}],
      "ports": [{"name": "vm1"}, {"name": "vm2"}, {"name": "fixed", "port_group": "web"}]})"));
}

Uuid Replica::add(const std::string& table, Row row) {
    Uuid id;
    id.bytes[15] = ++count_;
    tables[table][id] = std::make_shared<const Row>(std::move(row));
    return id;
}

void Replica::set(const std::string& table, const Uuid& id, const Row& columns) {
    Row row = *tables.at(table).at(id);
    for (const auto& [name, value] : columns) { row[name] = value; }
    tables[table][id] = std::make_shared<const Row>(std::move(row));
}

void Replica::erase(const std::string& table, const Uuid& id) { tables.at(table).erase(id); }

Uuid Replica::logical_switch(const std::string& name, std::int64_t key, const std::string& mode) {
    Row row{{"name", datum(name)}, {"tunnel_key", key != 0 ? datum(key) : ovsdb::Datum{}}};
    if (!mode.empty()) { row["replication_mode"] = datum(mode); }
    return add("Logical_Switch", std::move(row));
}

Uuid Replica::locator(const std::string& address) {
    return add("Physical_Locator", {{"dst_ip", datum(address)},
                                    {"encapsulation_type", datum(std::string("vxlan_over_ipv4"))}});
}

Uuid Replica::port(const std::string& name, const std::map<std::int64_t, Uuid>& bindings) {
    return add("Physical_Port", {{"name", datum(name)}, {"vlan_bindings", vlans(bindings)}});
}

Uuid Replica::physical_switch(const std::string& name, const std::vector<Uuid>& ports) {
    return add("Physical_Switch", {{"name", datum(name)}, {"ports", refs(ports)}});
}

Uuid Replica::ucast(const std::string& table, const std::string& mac_text, const Uuid& on,
                    const Uuid& at, const std::string& ipaddr) {
    return add(table, {{"MAC", datum(mac_text)},
                       {"logical_switch", refs({on})},
                       {"locator", refs({at})},
                       {"ipaddr", datum(ipaddr)}});
}

Uuid Replica::mcast(const std::string& table, const std::string& mac_text, const Uuid& on,
                    const std::vector<Uuid>& locators) {
    const Uuid set = add("Physical_Locator_Set", {{"locators", refs(locators)}});
    return add(
        table,
        {{"MAC", datum(mac_text)}, {"logical_switch", refs({on})}, {"locator_set", refs({set})}});
}

}  // namespace sluice::vtep::test
