// SPDX-License-Identifier: Apache-2.0
// show ports, port.
#include <algorithm>

#include "controller-agent/write_json.h"
#include "sluice/model/resolve.h"
#include "sluice/net/address_text.h"
#include "src/host/moved_ports.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using datapath::PortConfig;
using nlohmann::json;

constexpr std::uint32_t kEthernetBytes = 14;

json ips_json(const std::vector<IpAddr>& ips) {
    json list = json::array();
    for (const IpAddr& ip : ips) { list.push_back(to_string(ip)); }
    return list;
}

std::string vlan_text(const model::Vlan& vlan) {
    if (vlan.mode == model::VlanMode::kNone) { return "none"; }
    if (vlan.mode == model::VlanMode::kAccess) { return "access " + std::to_string(vlan.id); }
    std::string text = "trunk";
    for (const auto& range : vlan.ranges) {
        text += " " + std::to_string(range.first) +
                (range.last != range.first ? "-" + std::to_string(range.last) : "");
    }
    return text;
}

const char* spoofguard_text(model::SpoofGuard mode) {
    switch (mode) {
        case model::SpoofGuard::kOff: return "off";
        case model::SpoofGuard::kAuto: return "auto";
        case model::SpoofGuard::kManual: return "manual";
    }
    return "off";
}

// Where the VM of a port is, if live migration has it elsewhere.
json moved_json(const datapath::Snapshot& snapshot, PortIndex index) {
    const std::optional<host::MovedTo> to = host::placed(snapshot, index);
    if (!to) { return nullptr; }
    return {{"to", to->vtep == IpAddr{} ? json() : json(to_string(to->vtep))},
            {"awaited", to->is_awaited}};
}

std::string moved_text(const json& moved) {
    if (moved.is_null()) { return ""; }
    const std::string place =
        moved["to"].is_null() ? "another host of its VLAN" : moved["to"].get<std::string>();
    return moved["awaited"] == true ? "awaited by migration from " + place
                                    : "moved to " + place + ": see `show moved`";
}

bool is_up(const PortConfig& config) { return config.is_enabled && config.device->is_up(); }

// A guest whose MTU does not fit its network. Empty: nothing speaks for that.
std::string size_warning(const json& drops, const PortConfig& config) {
    const std::uint64_t count =
        drops.value("too_big", std::uint64_t{0}) + drops.value("oversize_frame", std::uint64_t{0});
    if (count == 0 || config.frame_size_max < kEthernetBytes) { return ""; }
    return std::to_string(count) + " frames of it were too long: its MTU should be at most " +
           std::to_string(config.frame_size_max - kEthernetBytes) +
           ", or what the way to the destination carries";
}

}  // namespace

Result<PortIndex> ShowService::index_of(const std::string& port) const {
    return find_port(config_.registries().ports, dataplane_.snapshot(), port);
}

std::string ShowService::name_of(PortIndex index) const {
    const PortConfig* config = dataplane_.snapshot().port(index);
    return config == nullptr ? "" : config->name;
}

json ShowService::drops_of(PortIndex index) const {
    json drops = json::object();
    for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
        const std::uint64_t count = sum(
            index, [reason](const PortCounters& c) -> const Counter& { return c.drops[reason]; });
        if (count > 0) { drops[std::string(kDropReasons[reason].text)] = count; }
    }
    return drops;
}

json ShowService::port_row(PortIndex index, const PortConfig& config) const {
    std::uint64_t held_rounds = 0;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        held_rounds += dataplane_.worker(w).context().held_rounds[index.value].get();
    }
    return {
        {"name", config.name},
        {"port_group", config.port_group},
        {"kind", "vhost"},
        {"state", is_up(config) ? "up" : "down"},
        {"mac", to_string(config.mac)},
        {"ips", ips_json(config.ips)},
        {"rx_packets",
         sum(index, [](const PortCounters& c) -> const Counter& { return c.rx_packets; })},
        {"rx_bytes",
         sum(index, [](const PortCounters& c) -> const Counter& { return c.rx_bytes; })},
        {"tx_packets",
         sum(index, [](const PortCounters& c) -> const Counter& { return c.tx_packets; })},
        {"tx_bytes",
         sum(index, [](const PortCounters& c) -> const Counter& { return c.tx_bytes; })},
        {"answered",
         sum(index, [](const PortCounters& c) -> const Counter& { return c.answered; })},
        {"drops", drops_of(index)},
        {"worker", config.worker},
        {"cycles", sum(index, [](const PortCounters& c) -> const Counter& { return c.cycles; })},
        {"held_rounds", held_rounds}};
}

std::string ShowService::port_detail(const model::Port& port) const {
    if (port.kind == model::PortKind::kKernel) { return kernel_ports_.state_text(port.name); }
    const datapath::VhostPort* device = devices_.find(port.name);
    return device != nullptr && device->is_broken()
               ? "ring_broken: the guest broke a ring; it is served again after the guest sets its "
                 "rings up anew"
               : devices_.state_text(port.name);
}

Answer ShowService::ports() const {
    json rows = json::array();
    for (const model::Port& port : config_.document().ports) {
        const PortIndex index = config_.registries().ports.find(port.name);
        if (const PortConfig* config = dataplane_.snapshot().port(index)) {
            json row = port_row(index, *config);
            row["kind"] = agent::to_text(port.kind);
            std::string detail = size_warning(row["drops"], *config);
            const datapath::VhostPort* device = devices_.find(port.name);
            if (!is_up(*config) || (device != nullptr && device->is_broken())) {
                detail = port.enabled ? port_detail(port) : "disabled";
            }
            const std::string moved = moved_text(moved_json(dataplane_.snapshot(), index));
            if (!moved.empty()) { detail = moved; }
            if (!detail.empty()) { row["detail"] = detail; }
            rows.push_back(std::move(row));
        }
    }
    return rows;
}

Answer ShowService::port(const std::string& name) const {
    const Result<PortIndex> index = index_of(name);
    if (!index) { return index.error(); }
    const PortConfig& config = *dataplane_.snapshot().port(index.value());
    const model::Resolver resolver(config_.document());
    const model::Port& port = *resolver.port(name);
    json row = port_row(index.value(), config);
    row["kind"] = agent::to_text(port.kind);
    row["enabled"] = port.enabled;
    row["tags"] = port.tags;
    if (const model::PortGroup* group = resolver.port_group(port.port_group)) {
        const model::Security security = model::effective_security(port, *group);
        row["switch"] = group->switch_name;
        row["vlan"] = vlan_text(model::effective_vlan(port, *group));
        row["vni"] = group->vni == 0 ? json() : json(group->vni);
        row["security"] = {{"promiscuous", security.promiscuous},
                           {"mac_changes", security.mac_changes},
                           {"forged_transmits", security.forged_transmits}};
        row["spoofguard"] = spoofguard_text(group->spoofguard);
        add_settings(row, port, *group);
    }
    row["worker"] = config.worker;
    row["uplink"] = teams_.way_of(index.value());
    if (const datapath::VhostPort* device = devices_.find(name)) {
        row["queues"] = device->queue_pairs();
        row["features"] = {{"checksum", device->takes_partial_checksum()},
                           {"tso4", device->takes_tso4()},
                           {"tso6", device->takes_tso6()}};
        row["socket"] = port.socket;
        row["socket_mode"] = port.socket_mode == model::SocketMode::kClient ? "client" : "server";
    }
    if (port.kind == model::PortKind::kKernel) {
        row["interface"] = port.interface;
        row["netns"] = port.netns;
        row["addresses"] = json::array();
        for (const model::InterfaceAddress& address : port.addresses) {
            row["addresses"].push_back(to_string(address.ip) + "/" +
                                       std::to_string(address.prefix_length));
        }
    }
    row["detail"] = port.enabled ? port_detail(port) : "disabled";
    row["moved"] = moved_json(dataplane_.snapshot(), index.value());
    if (const std::string text = moved_text(row["moved"]); !text.empty()) { row["detail"] = text; }
    const std::string warning = size_warning(row["drops"], config);
    const bool is_broken = row["detail"].get_ref<const std::string&>().starts_with("ring_broken");
    if (is_up(config) && !is_broken && !warning.empty()) { row["detail"] = warning; }
    return row;
}

}  // namespace sluice::daemon
