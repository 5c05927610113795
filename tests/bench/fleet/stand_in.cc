// SPDX-License-Identifier: Apache-2.0
// StandIn: see stand_in.h.
#include "tests/bench/fleet/stand_in.h"

#include <algorithm>

#include "sluice/net/address_text.h"

namespace sluice::scale {
namespace {

/// Segment names by port group, as the document has them.
std::map<std::string, std::string> segments_of(const nlohmann::json& document) {
    std::map<std::string, std::string> out;
    for (const nlohmann::json& group : document.value("port_groups", nlohmann::json::array())) {
        out[group.at("name")] = "dvs0/vni" + std::to_string(group.at("vni").get<int>());
    }
    return out;
}

}  // namespace

boost::asio::awaitable<Result<nlohmann::json>> StandIn::apply(nlohmann::json document) {
    const auto segments = segments_of(document);
    state_.ports.clear();
    for (const nlohmann::json& port : document.value("ports", nlohmann::json::array())) {
        fleet::LocalPort one;
        one.name = port.at("name");
        const auto segment = segments.find(port.at("port_group"));
        if (segment != segments.end()) { one.segment = segment->second; }
        one.mac = parse_mac(port.at("mac").get<std::string>()).value_or(MacAddr{});
        for (const nlohmann::json& ip : port.at("ips")) {
            if (const auto address = parse_ip(ip.get<std::string>())) {
                one.ips.push_back(*address);
            }
        }
        std::sort(one.ips.begin(), one.ips.end());
        one.is_up = true;
        state_.ports.push_back(std::move(one));
    }
    state_.vteps = {{"tep0", "dvs0", vtep_of(host_)}};
    ++state_.epoch;
    ++apply_count;
    applied_at = Clock::now();
    nlohmann::json reply{{"changed", 1}, {"generation", state_.epoch}};
    co_return Result<nlohmann::json>(std::move(reply));
}

void StandIn::change_bindings(const std::vector<fleet::BindingChange>& changes) {
    for (const fleet::BindingChange& change : changes) {
        std::pair key{change.binding.segment, change.binding.mac};
        if (change.is_gone) {
            bindings_.erase(key);
        } else {
            bindings_[std::move(key)] = change.binding;
        }
    }
    binding_count += changes.size();
    bound_at = Clock::now();
}

fleet::LocalState StandIn::local_state(std::uint64_t known_epoch) const {
    if (known_epoch == state_.epoch) { return {{}, {}, state_.epoch}; }
    return state_;
}

std::vector<IpAddr> StandIn::ips_of(const std::string& port) const {
    for (const fleet::LocalPort& one : state_.ports) {
        if (one.name == port) { return one.ips; }
    }
    return {};
}

}  // namespace sluice::scale
