// SPDX-License-Identifier: Apache-2.0
// show vteps: the host's own VTEPs, and the remote ones as each of them sees them: BFD, loss, round
// trip, next hop.
#include <map>

#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"
#include "src/sluiced/vtep_rows.h"

namespace sluice::daemon {
namespace {

using datapath::BfdDiagnostic;
using datapath::BfdState;
using datapath::ListVteps;
using datapath::LocalVtep;
using nlohmann::json;

constexpr std::uint64_t kRivalNs = 60 * kNsPerSecond;  // So long a claim of the address is shown.

const char* bfd_state_text(BfdState state) {
    switch (state) {
        case BfdState::kAdminDown: return "admin_down";
        case BfdState::kDown: return "down";
        case BfdState::kInit: return "init";
        case BfdState::kUp: return "up";
    }
    return "";
}

// RFC 5880 §4.1; a peer may send others, but these are our own.
const char* diagnostic_text(BfdDiagnostic why) {
    switch (why) {
        case BfdDiagnostic::kNone: return "none";
        case BfdDiagnostic::kDetectionTimeExpired: return "detection_time_expired";
        case BfdDiagnostic::kNeighbourDown: return "neighbour_down";
        case BfdDiagnostic::kAdministrativelyDown: return "administratively_down";
        default: return "other";
    }
}

json bfd_json(const datapath::VtepPeer& peer) {
    if (!peer.has_bfd) { return nullptr; }
    return {{"state", bfd_state_text(peer.bfd.state())},
            {"remote_state", bfd_state_text(peer.bfd.remote_state())},
            {"diag", diagnostic_text(peer.bfd.diagnostic())},
            {"interval_ms", peer.bfd.interval_us() / 1000U},
            {"multiplier", peer.bfd.timers().multiplier}};
}

json mac_or_null(const MacAddr& mac) { return mac.is_zero() ? json() : json(to_string(mac)); }

using MacCounts = std::map<std::pair<PortIndex, std::uint16_t>, std::uint64_t>;

json peer_json(const datapath::Snapshot& snapshot, const ListVteps::Peer& row,
               const MacCounts& macs, std::uint64_t now_ns) {
    const datapath::VtepPeer& peer = row.state;
    const auto learned = macs.find({snapshot.vteps[row.vtep].port, row.remote});
    const bool has_path_mtu = peer.path_mtu != 0 && now_ns < peer.path_mtu_until_ns;
    const bool was_answered = peer.echo.average_rtt_us != 0;
    return {{"kind", "remote"},
            {"vtep", vtep_name(snapshot, row.vtep)},
            {"ip", to_string(peer.ip)},
            {"state", to_text(peer.state)},
            {"since_s", (now_ns - std::min(peer.since_ns, now_ns)) / kNsPerSecond},
            {"next_hop", to_string(peer.next_hop)},
            {"next_hop_mac", mac_or_null(row.next_hop_mac)},
            {"bfd", bfd_json(peer)},
            {"loss_percent", peer.echo.counted == 0 ? json() : json(peer.echo.loss_percent())},
            {"rtt_us", was_answered ? json(peer.echo.average_rtt_us) : json()},
            {"last_rtt_us", was_answered ? json(peer.echo.last_rtt_us) : json()},
            {"path_mtu", has_path_mtu ? json(peer.path_mtu) : json()},
            {"macs", learned == macs.end() ? 0 : learned->second},
            {"source", "static"}};
}

std::string why_down(const LocalVtep& local, const std::string& uplink, const std::string& why,
                     std::uint64_t now_ns) {
    if (!local.is_up) { return "uplink " + uplink + (why.empty() ? " does not work" : ": " + why); }
    if (local.rival_ns != 0 && now_ns < local.rival_ns + kRivalNs) {
        return "its address is claimed by " + to_string(local.rival);
    }
    return "";
}

}  // namespace

// rx is decapsulated from the fabric, tx encapsulated to it.
json ShowService::vtep_row(std::uint16_t vtep, const LocalVtep& local, std::uint32_t pinned,
                           std::uint64_t now_ns) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const datapath::VtepConfig& config = snapshot.vteps[vtep];
    const datapath::PortConfig* port = snapshot.port(config.uplink);
    const std::string uplink = port == nullptr ? "" : port->name;
    const auto figure = [&](Counter PortCounters::*which) {
        return sum(config.port,
                   [which](const PortCounters& c) -> const Counter& { return c.*which; });
    };
    return {{"kind", "local"},
            {"name", vtep_name(snapshot, vtep)},
            {"vtep", vtep_name(snapshot, vtep)},
            {"switch", config.switch_name},
            {"ip", to_string(config.ip) + "/" + std::to_string(config.prefix_length)},
            {"mac", to_string(config.mac)},
            {"uplink", uplink},
            {"vlan", config.vlan},
            {"mtu", config.mtu},
            {"state", local.is_up ? "up" : "down"},
            {"why", why_down(local, uplink, uplinks_.state(uplink).why, now_ns)},
            {"rx_packets", figure(&PortCounters::rx_packets)},
            {"rx_bytes", figure(&PortCounters::rx_bytes)},
            {"tx_packets", figure(&PortCounters::tx_packets)},
            {"tx_bytes", figure(&PortCounters::tx_bytes)},
            {"ports", pinned},
            {"source", "static"}};
}

AnswerLater ShowService::vteps() {
    MacCounts macs;
    const auto count = [&](const LearnedRow& row) {
        if (row.key.kind == LearnedKind::kMac && row.value.remote != 0) {
            ++macs[{row.value.port, row.value.remote}];
        }
    };
    co_await for_each_learned(dataplane_.learned(), count);
    const auto count_told = [&](const LearnedRow& row) {  // By the first VTEP, as learned ones.
        const datapath::Snapshot& now = dataplane_.snapshot();
        const datapath::Domain* domain =
            row.key.kind == LearnedKind::kMac ? domain_of(now, row.key.domain) : nullptr;
        if (domain == nullptr || domain->vteps.empty()) { return; }
        ++macs[{now.vteps[domain->vteps[0]].port, row.value.remote}];
    };
    co_await for_each_learned(dataplane_.fleet(), count_told);
    const VtepLists lists = co_await list_vteps(dataplane_);
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    json rows = json::array();
    const auto vtep_count = static_cast<std::uint16_t>(snapshot.vteps.size());
    for (std::uint16_t vtep = 0; vtep < vtep_count; ++vtep) {
        for (const auto& list : lists) {
            const LocalVtep& local = list->locals[vtep];
            if (local.is_served && local.port == snapshot.vteps[vtep].port) {
                rows.push_back(vtep_row(vtep, local, lists[0]->pinned[vtep], list->now_ns));
            }
        }
    }
    for (const auto& list : lists) {
        for (const ListVteps::Peer& peer : list->peers) {
            if (peer.vtep >= snapshot.vteps.size()) { continue; }
            rows.push_back(peer_json(snapshot, peer, macs, list->now_ns));
        }
    }
    co_return rows;
}

}  // namespace sluice::daemon
