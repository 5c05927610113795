// SPDX-License-Identifier: Apache-2.0
// OwnHost: see own_host.h.
#include "controller-agent/vtep/own_host.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "controller-agent/check_addresses.h"
#include "sluice/model/vtep.h"
#include "sluice/net/address_text.h"

namespace sluice::vtep {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

// The objects of a list of the file.
std::vector<const json*> objects(const json& file, const char* key) {
    std::vector<const json*> out;
    const auto list = file.find(key);
    if (list == file.end() || !list->is_array()) { return out; }
    for (const json& item : *list) {
        if (item.is_object() && !text_of(item, "name").empty()) { out.push_back(&item); }
    }
    return out;
}

std::optional<OwnVtep> read_vtep(const json& item) {
    const std::string text = text_of(item, "ip");
    const std::size_t slash = text.find('/');
    const auto ip = parse_ip(std::string_view(text).substr(0, slash));
    if (!ip || !ip->is_v4() || slash == std::string::npos) { return std::nullopt; }
    OwnVtep vtep;
    vtep.address.ip = *ip;
    std::from_chars(text.data() + slash + 1, text.data() + text.size(), vtep.address.prefix_length);
    vtep.has_gateway = !text_of(item, "gateway").empty();
    vtep.mtu = model::Vtep{}.mtu;
    const auto mtu = item.find("mtu");
    if (mtu != item.end() && mtu->is_number_unsigned()) { vtep.mtu = mtu->get<std::uint16_t>(); }
    return vtep;
}

}  // namespace

bool OwnHost::has_vtep(const IpAddr& ip) const {
    return std::any_of(vteps.begin(), vteps.end(),
                       [&](const OwnVtep& vtep) { return vtep.address.ip == ip; });
}

IpAddr OwnHost::locator() const { return vteps.empty() ? IpAddr{} : vteps.front().address.ip; }

std::string OwnHost::why_unreachable(const IpAddr& ip) const {
    if (!ip.is_v4() || !agent::is_unicast(ip)) { return "is not a unicast IPv4 address"; }
    if (vteps.empty()) { return "can't be reached, the host has no IPv4 VTEP"; }
    const bool is_near = std::any_of(vteps.begin(), vteps.end(), [&](const OwnVtep& vtep) {
        return vtep.has_gateway || model::subnet_of(vtep.address).contains(ip);
    });
    return is_near ? "" : "is in no subnet of a VTEP of the host, and none has a gateway";
}

OwnHost read_own_host(const std::string& name, const json& file) {
    OwnHost own;
    own.name = name;
    for (const json* item : objects(file, "uplinks")) {
        own.uplinks.push_back(text_of(*item, "name"));
    }
    for (const json* item : objects(file, "vteps")) {
        if (std::optional<OwnVtep> vtep = read_vtep(*item)) {
            own.vteps.push_back(*vtep);
        } else {
            own.problems.push_back({"vtep " + text_of(*item, "name"),
                                    "has no IPv4 address, hardware_vtep can't name it"});
        }
    }
    for (const json* item : objects(file, "ports")) {
        const std::string port = text_of(*item, "name");
        if (text_of(*item, "port_group").empty()) {
            own.ports.push_back(port);
        } else {
            own.problems.push_back({"port " + port,
                                    "is not offered to the controller, the host's own file gives "
                                    "it a port_group"});
        }
    }
    return own;
}

}  // namespace sluice::vtep
