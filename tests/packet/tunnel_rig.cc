// SPDX-License-Identifier: Apache-2.0
// TunnelRig: see tunnel_rig.h.
#include "tests/packet/tunnel_rig.h"

#include <algorithm>

#include "datapath/neighbours.h"
#include "datapath/remote_index.h"
#include "datapath/vtep_port.h"
#include "sluice/base/assert.h"

namespace sluice::test {
namespace {

constexpr DomainId kUnderlay{0x7fffffff};

void add16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8U));
    out.push_back(static_cast<std::uint8_t>(value));
}
unsigned get16(const Bytes& bytes, std::size_t at) {
    return bytes.at(at) * 256U + bytes.at(at + 1);
}

template <typename Range>
void append(Bytes& out, const Range& range) {
    out.insert(out.end(), range.begin(), range.end());
}

void add_address(Bytes& out, const IpAddr& address) {
    out.insert(out.end(), address.bytes.begin() + (address.is_v4() ? 12 : 0), address.bytes.end());
}

unsigned sum_of(const Bytes& bytes, std::size_t begin, std::size_t end, std::uint32_t sum = 0) {
    for (std::size_t i = begin; i < end; ++i) {
        sum += (i - begin) % 2 == 0 ? bytes[i] * 256U : bytes[i];
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return sum;
}
void set16(Bytes& out, std::size_t at, unsigned value) {
    out[at] = static_cast<std::uint8_t>(value >> 8U);
    out[at + 1] = static_cast<std::uint8_t>(value);
}

void add_ip(Bytes& out, const Outer& outer, std::size_t size) {
    const std::size_t start = out.size();
    if (outer.source.is_v6()) {
        add16(out, 0x6000U | unsigned{outer.traffic_class} << 4U | (outer.label >> 16U & 0xfU));
        add16(out, outer.label & 0xffffU);
        add16(out, static_cast<unsigned>(size));
        append(out, Bytes{17, 64});
    } else {
        append(out, Bytes{0x45, outer.traffic_class});
        add16(out, static_cast<unsigned>(20 + size));
        add16(out, outer.id);
        add16(out, outer.dont_fragment ? 0x4000 : 0);
        append(out, Bytes{64, 17, 0, 0});
    }
    add_address(out, outer.source);
    add_address(out, outer.destination);
    if (outer.source.is_v4()) { set16(out, start + 10, ~sum_of(out, start, start + 20) & 0xffffU); }
}

void add_checksum(Bytes& out, const Outer& outer, std::size_t udp) {
    const std::size_t addresses = outer.source.is_v6() ? 32 : 8;
    const std::uint32_t pseudo =
        sum_of(out, udp - addresses, udp) + 17 + static_cast<unsigned>(out.size() - udp);
    const unsigned sum =
        ~sum_of(out, udp, out.size(), (pseudo & 0xffffU) + (pseudo >> 16U)) & 0xffffU;
    set16(out, udp + 6, sum == 0 ? 0xffff : sum);
}

}  // namespace

Bytes wrapped(const Outer& outer, const Bytes& inner) {
    Bytes out;
    append(out, outer.destination_mac.bytes);
    append(out, outer.source_mac.bytes);
    if (outer.vlan != 0) {
        add16(out, 0x8100);
        add16(out, outer.vlan);
    }
    add16(out, outer.source.is_v6() ? 0x86dd : 0x0800);
    const std::size_t size = 8 + 8 + inner.size();
    add_ip(out, outer, size);
    const std::size_t udp = out.size();
    add16(out, outer.source_port);
    add16(out, outer.port);
    add16(out, static_cast<unsigned>(size));
    add16(out, 0);
    append(out, Bytes{outer.flags, 0, 0, 0});
    add16(out, outer.vni >> 8U);
    add16(out, outer.vni << 8U & 0xff00U);
    append(out, inner);
    if (outer.has_checksum) { add_checksum(out, outer, udp); }
    return out;
}

Unwrapped unwrapped(const Bytes& frame) {
    Unwrapped out;
    std::copy_n(frame.begin(), 6, out.outer.destination_mac.bytes.begin());
    std::copy_n(frame.begin() + 6, 6, out.outer.source_mac.bytes.begin());
    std::size_t at = 12;
    if (get16(frame, at) == 0x8100) {
        out.outer.vlan = static_cast<std::uint16_t>(get16(frame, at + 2));
        at += 4;
    }
    const bool is_v6 = get16(frame, at) == 0x86dd;
    SLUICE_ASSERT(is_v6 || get16(frame, at) == 0x0800);
    at += 2;
    const std::size_t width = is_v6 ? 16 : 4;
    const auto address = [&](std::size_t from) {
        IpAddr ip;
        ip.family = is_v6 ? IpFamily::kV6 : IpFamily::kV4;
        std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(from), width,
                    ip.bytes.end() - static_cast<std::ptrdiff_t>(width));
        return ip;
    };
    out.outer.source = address(at + (is_v6 ? 8 : 12));
    out.outer.destination = address(at + (is_v6 ? 24 : 16));
    out.outer.traffic_class =
        is_v6 ? static_cast<std::uint8_t>(get16(frame, at) >> 4U) : frame[at + 1];
    if (is_v6) { out.outer.label = (frame[at + 1] & 0xfU) << 16U | get16(frame, at + 2); }
    at += is_v6 ? 40 : 20;
    out.outer.source_port = static_cast<std::uint16_t>(get16(frame, at));
    out.outer.port = static_cast<std::uint16_t>(get16(frame, at + 2));
    out.outer.flags = frame.at(at + 8);
    out.outer.vni = get16(frame, at + 12) << 8U | frame.at(at + 14);
    out.inner.assign(frame.begin() + static_cast<std::ptrdiff_t>(at + 16), frame.end());
    return out;
}

namespace {

// Not the VTEP's own questions and reports.
bool is_vxlan(const Bytes& frame) {
    std::size_t at = 12;
    if (get16(frame, at) == 0x8100) { at += 4; }
    const bool is_v6 = get16(frame, at) == 0x86dd;
    if (!is_v6 && get16(frame, at) != 0x0800) { return false; }
    const std::size_t l4 = at + 2 + (is_v6 ? 40 : 20);
    return frame[at + 2 + (is_v6 ? 6 : 9)] == 17 && get16(frame, l4 + 2) == 4789;
}

}  // namespace

Frames TunnelRig::cable() {
    Frames out = pipeline_->sent("vm3");
    std::erase_if(out, [](const Bytes& frame) { return !is_vxlan(frame); });
    return out;
}

TunnelRig::TunnelRig(const RigOptions& options)
    : options_(options),
      pipeline_(std::make_unique<Pipeline>(
          options.document.is_null() ? three_vms() : options.document, options.pipeline)) {
    shape();
}

IpAddr TunnelRig::tep_ip() const { return ip(options_.is_v6 ? "fd00::1" : "172.16.0.1"); }

void TunnelRig::shape() {
    auto next = std::make_unique<datapath::Snapshot>(pipeline_->dataplane().snapshot());
    ++next->generation;
    const PortIndex uplink = pipeline_->index_of("vm3");
    tep_ = PortIndex{static_cast<std::uint16_t>(next->ports.size())};
    datapath::PortConfig& cable = *next->ports[uplink.value];
    cable.is_uplink = true;
    cable.has_vteps = true;
    cable.frame_size_max = options_.mtu + 14U;
    cable.policy_epoch = next->generation;
    cable.chain = std::make_shared<const ChainProgram>();
    datapath::PortConfig tep = cable;
    tep.name = "tep0";
    tep.has_vteps = false;
    tep.vtep = 0;
    tep.frame_size_max = 1514;
    tep.learning = {true, false, 4096, 0};
    tep.device = std::make_shared<datapath::VtepPort>();
    tep.vlan = {};
    tep.vlan.vnis = std::make_shared<const std::vector<std::pair<std::uint32_t, std::uint16_t>>>(
        1, std::pair<std::uint32_t, std::uint16_t>{kVni, 0});
    next->ports.emplace_back(tep);
    next->ports[uplink.value]->vlan.untagged_domain = datapath::kNoDomain;
    datapath::Domain& domain = next->domains[0];
    std::erase(domain.members, uplink);
    auto rows = domain.macs.rows();
    std::erase_if(rows, [&](const auto& row) { return row.port == uplink; });
    domain.macs = datapath::MacTable(std::move(rows));
    domain.vni = kVni;
    domain.vteps = {0};
    domain.fabric = {tep_};
    domain.replication = options_.replication;
    domain.flood_remotes = options_.flood_remotes;
    if (model::uses_multicast(options_.replication)) {
        domain.multicast_group = ip(options_.is_v6 ? "ff05::1:2" : "239.1.1.1");
    }
    domain.epoch = next->generation;
    datapath::VtepConfig vtep;
    vtep.port = tep_;
    vtep.uplink = uplink;
    vtep.switch_name = "dvs0";
    vtep.underlay = kUnderlay;
    vtep.mac = kTepMac;
    vtep.ip = tep_ip();
    vtep.prefix_length = options_.is_v6 ? 64 : 24;
    vtep.gateway = ip(options_.is_v6 ? "fd00::fe" : "172.16.0.254");
    vtep.vlan = options_.vlan;
    vtep.mtu = options_.mtu;
    vtep.udp_port = 4789;
    next->vteps = {vtep};
    next->remotes = {datapath::RemoteVtep{}};
    for (const std::string& remote : options_.remotes) {
        next->remotes.push_back({ip(remote), "dvs0", true});
    }
    next->remote_index = std::make_shared<const datapath::RemoteIndex>(next->vteps, next->remotes);
    static_cast<void>(pipeline_->dataplane().publish(std::move(next)));
    pipeline_->step();
    pipeline_->dataplane().reclaim();
}

Outer TunnelRig::from(std::size_t remote) const {
    Outer out;
    out.source_mac = kHopMac;
    out.destination_mac = kTepMac;
    out.source = remote_ip(remote);
    out.destination = tep_ip();
    out.vlan = options_.vlan;
    return out;
}

Outer TunnelRig::to(std::size_t remote) const {
    Outer out = from(remote);
    std::swap(out.source_mac, out.destination_mac);
    std::swap(out.source, out.destination);
    return out;
}

TunnelRig& TunnelRig::receive(const Bytes& inner, std::size_t remote) {
    return receive_raw(wrapped(from(remote), inner));
}

TunnelRig& TunnelRig::receive_raw(const Bytes& frame) {
    pipeline_->send("vm3", frame).step();
    return *this;
}

std::vector<Unwrapped> TunnelRig::tunnelled() {
    std::vector<Unwrapped> out;
    for (const Bytes& frame : cable()) { out.push_back(unwrapped(frame)); }
    return out;
}

void TunnelRig::resolve(std::size_t remote) {
    const IpAddr hop =
        IpPrefix{remote_ip(remote), options_.is_v6 ? std::uint8_t{64} : std::uint8_t{24}}.contains(
            tep_ip())
            ? remote_ip(remote)
            : ip(options_.is_v6 ? "fd00::fe" : "172.16.0.254");
    for (unsigned i = 0; i < options_.pipeline.worker_count; ++i) {
        datapath::learn_neighbour(pipeline_->dataplane().worker(i).context(), kUnderlay, hop,
                                  kHopMac, pipeline_->index_of("vm3"));
    }
}

void TunnelRig::resolve_all() {
    for (std::size_t i = 0; i < options_.remotes.size(); ++i) { resolve(i); }
}

void TunnelRig::learn_far() {
    receive(arp(kFar.mac, kBroadcast, {1, kFar.mac, kFar.ip4, {}, kFar.ip4}));
    static_cast<void>(pipeline_->sent("vm1"));
    static_cast<void>(pipeline_->sent("vm2"));
}

void TunnelRig::set_works(std::size_t remote, bool works) {
    pipeline_->dataplane().reach().set(0, static_cast<std::uint16_t>(remote + 1), works);
    pipeline_->step();
}

std::uint64_t TunnelRig::drops(DropReason reason) const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < options_.pipeline.worker_count; ++i) {
        sum += pipeline_->dataplane()
                   .worker(i)
                   .context()
                   .ports[tep_.value]
                   .drops[static_cast<std::size_t>(reason)]
                   .get();
    }
    return sum;
}

std::uint64_t TunnelRig::tep_packets(bool is_received) const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < options_.pipeline.worker_count; ++i) {
        const PortCounters& port = pipeline_->dataplane().worker(i).context().ports[tep_.value];
        sum += is_received ? port.rx_packets.get() : port.tx_packets.get();
    }
    return sum;
}

}  // namespace sluice::test
