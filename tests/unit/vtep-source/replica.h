// SPDX-License-Identifier: Apache-2.0
// Replica: a database of hardware_vtep as a client would hold it, built row by row for tests; and
// the host that it is about.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/value.h"
#include "controller-agent/vtep/own_host.h"

namespace sluice::vtep::test {

[[nodiscard]] IpAddr ip(const std::string& text);
[[nodiscard]] MacAddr mac(const std::string& text);
[[nodiscard]] ovsdb::Datum refs(const std::vector<ovsdb::Uuid>& ids);
[[nodiscard]] ovsdb::Datum vlans(const std::map<std::int64_t, ovsdb::Uuid>& bindings);

/// host-a: VTEP 172.16.0.1/24 on up0, ports vm1 and vm2 to be bound, and "fixed", which is not.
[[nodiscard]] OwnHost host_a();

class Replica {
public:
    ovsdb::Uuid add(const std::string& table, ovsdb::Row row);
    /// Changes columns of a row.
    void set(const std::string& table, const ovsdb::Uuid& id, const ovsdb::Row& columns);
    void erase(const std::string& table, const ovsdb::Uuid& id);

    ovsdb::Uuid logical_switch(const std::string& name, std::int64_t key,
                               const std::string& mode = "");
    ovsdb::Uuid locator(const std::string& address);
    ovsdb::Uuid port(const std::string& name, const std::map<std::int64_t, ovsdb::Uuid>& bindings);
    ovsdb::Uuid physical_switch(const std::string& name, const std::vector<ovsdb::Uuid>& ports);
    ovsdb::Uuid ucast(const std::string& table, const std::string& mac, const ovsdb::Uuid& on,
                      const ovsdb::Uuid& locator, const std::string& ipaddr = "");
    ovsdb::Uuid mcast(const std::string& table, const std::string& mac, const ovsdb::Uuid& on,
                      const std::vector<ovsdb::Uuid>& locators);

    ovsdb::Tables tables;

private:
    std::uint8_t count_ = 0;
};

}  // namespace sluice::vtep::test
