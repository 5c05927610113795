// SPDX-License-Identifier: Apache-2.0
// VtepHost: see vtep_host.h.
#include "tests/packet/vtep_host.h"

#include <rte_mbuf.h>

#include <cstring>

#include "datapath/underlay.h"
#include "sluice/base/assert.h"
#include "sluice/net/address_text.h"

namespace sluice::test {
namespace {

nlohmann::json document(const VtepHostOptions& options) {
    nlohmann::json out = json_of(R"({
        "uplinks": [{"name": "up", "device": "net_null0"}],
        "port_groups": [{"name": "plain", "switch": "dvs0"},
                        {"name": "web", "switch": "dvs0", "vni": 5001}]})");
    nlohmann::json vtep = {{"name", "tep0"},
                           {"ip", options.ip + "/" + std::to_string(options.prefix_length)},
                           {"mac", to_string(options.mac)},
                           {"uplink", "up"},
                           {"vlan", options.vlan},
                           {"mtu", options.mtu}};
    if (!options.gateway.empty()) { vtep["gateway"] = options.gateway; }
    out["vteps"] = {vtep};
    nlohmann::json bfd = {{"enabled", options.bfd_interval_ms != 0},
                          {"multiplier", options.bfd_multiplier}};
    if (options.bfd_interval_ms != 0) { bfd["interval_ms"] = options.bfd_interval_ms; }
    out["switches"] = {
        {{"name", "dvs0"}, {"uplinks", {"up"}}, {"remote_vteps", options.remotes}, {"bfd", bfd}}};
    out["ports"] = {port_of("vm1", "plain", kVm1), port_of("vm2", "web", kVm2)};
    return out;
}

}  // namespace

VtepHost::VtepHost(const VtepHostOptions& with)
    : options(with), pipeline_(document(with), with.pipeline) {}

void VtepHost::apply() { pipeline_.apply(document(options)); }

bool VtepHost::give(const Bytes& frame) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(&pipeline_.pool());
    SLUICE_ASSERT(mbuf != nullptr);
    char* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
    SLUICE_ASSERT(room != nullptr);
    std::memcpy(room, frame.data(), frame.size());
    mbuf->port = pipeline_.index_of("up").value;
    const bool is_taken = datapath::take_underlay(context(), pipeline_.index_of("up"), mbuf);
    if (is_taken) {
        context().counters.received.add(1);
    } else {
        rte_pktmbuf_free(mbuf);
    }
    pipeline_.step();
    return is_taken;
}

VtepHost& VtepHost::pass(std::uint64_t ms) {
    for (std::uint64_t i = 0; i < ms; ++i) { pipeline_.advance(kMillisecond).step(); }
    return *this;
}

bool VtepHost::answer(const std::vector<Bytes>& frames, const std::string& text,
                      const MacAddr& from) {
    const IpAddr asked = ip(text);
    const IpAddr own = ip(options.ip);
    const std::size_t at = asked.is_v4() ? 12 : 0;
    for (const Bytes& frame : frames) {
        const bool is_arp = frame[12] == 0x08 && frame[13] == 0x06;
        const bool is_nd = frame[12] == 0x86 && frame[20] == 58 && frame[54] == 135;
        if (!is_arp && !is_nd) { continue; }
        if (std::memcmp(frame.data() + (is_arp ? 38 : 62), asked.bytes.data() + at, 16 - at) != 0) {
            continue;
        }
        give(is_arp ? arp(from, options.mac, {2, from, asked, options.mac, own})
                    : neighbour({from, options.mac, asked, own}, 136, asked));
        return true;
    }
    return false;
}

void join(VtepHost& a, VtepHost& b, std::uint64_t ms,
          const std::function<bool(bool, const Bytes&)>& passes) {
    for (std::uint64_t i = 0; i < ms; ++i) {
        a.pass(1);
        b.pass(1);
        for (int turn = 0; turn < 3; ++turn) {
            for (const Bytes& frame : a.sent()) {
                if (!passes || passes(true, frame)) { b.give(frame); }
            }
            for (const Bytes& frame : b.sent()) {
                if (!passes || passes(false, frame)) { a.give(frame); }
            }
        }
    }
}

}  // namespace sluice::test
