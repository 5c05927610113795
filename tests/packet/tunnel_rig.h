// SPDX-License-Identifier: Apache-2.0
// TunnelRig: the pipeline with a VTEP: vm1 and vm2 of port group "lan" in VNI 5001, vm3's port as
// the uplink, and remote VTEPs on the test's side of it. Outer headers are written by an
// implementation of its own. The snapshot is shaped by hand: what is tested is the tunnel, not how
// documents make one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datapath/tunnel.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {

using Frames = std::vector<Bytes>;

inline constexpr std::uint32_t kVni = 5001;

struct RigOptions {
    bool is_v6 = false;  ///< The underlay.
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 1600;
    model::Replication replication = model::Replication::kUnicast;
    std::vector<std::string> remotes = {
        "172.16.0.2"};                              ///< The VTEP is 172.16.0.1/24, or fd00::1/64.
    std::vector<std::uint16_t> flood_remotes = {};  ///< Of head_end and service_node, from 1 on.
    PipelineOptions pipeline = {};
    nlohmann::json document = {};  ///< Null: three_vms().
};

/// Outer headers of one frame.
struct Outer {
    MacAddr source_mac, destination_mac;
    IpAddr source, destination;
    std::uint16_t vlan = 0;
    std::uint16_t source_port = 50000;
    std::uint16_t port = 4789;
    std::uint32_t vni = kVni;
    std::uint8_t flags = 0x08;
    std::uint8_t traffic_class = 0;
    std::uint32_t label = 0;  ///< IPv6.
    std::uint16_t id = 0;
    bool dont_fragment = true;
    bool has_checksum = false;
};
[[nodiscard]] Bytes wrapped(const Outer& outer, const Bytes& inner);

/// A frame as far as its outer headers go; aborts on what is no VXLAN.
struct Unwrapped {
    Outer outer;
    Bytes inner;
};
[[nodiscard]] Unwrapped unwrapped(const Bytes& frame);

inline const MacAddr kTepMac = mac("02:00:00:00:99:01");
inline const MacAddr kHopMac = mac("02:00:00:00:99:02");
/// A VM behind the first remote VTEP.
inline const Vnic kFar{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};

class TunnelRig {
public:
    explicit TunnelRig(const RigOptions& options = {});

    [[nodiscard]] Pipeline& pipeline() noexcept { return *pipeline_; }
    [[nodiscard]] const RigOptions& options() const noexcept { return options_; }
    /// From remote VTEP number `remote` (from 0) to ours.
    [[nodiscard]] Outer from(std::size_t remote = 0) const;
    /// From ours to that one, as far as headers don't hang on the flow.
    [[nodiscard]] Outer to(std::size_t remote = 0) const;
    /// Sends an inner frame through the tunnel.
    TunnelRig& receive(const Bytes& inner, std::size_t remote = 0);
    /// Sends what came by the cable.
    TunnelRig& receive_raw(const Bytes& frame);
    /// What left by the cable in tunnels since the last call.
    [[nodiscard]] Frames cable();
    [[nodiscard]] std::vector<Unwrapped> tunnelled();
    /// The next hop of remote VTEP `remote` is at kHopMac, which all of them are.
    void resolve(std::size_t remote = 0);
    void resolve_all();
    /// kFar is known to be behind remote VTEP 0.
    void learn_far();
    void set_works(std::size_t remote, bool works);
    [[nodiscard]] std::uint64_t drops(DropReason reason) const;  ///< Of the VTEP's port.
    [[nodiscard]] std::uint64_t tep_packets(bool is_received) const;
    [[nodiscard]] PortIndex tep() const noexcept { return tep_; }
    [[nodiscard]] IpAddr tep_ip() const;
    [[nodiscard]] IpAddr remote_ip(std::size_t remote) const {
        return ip(options_.remotes[remote]);
    }

private:
    void shape();

    RigOptions options_;
    std::unique_ptr<Pipeline> pipeline_;
    PortIndex tep_ = kNoPort;
};

}  // namespace sluice::test
