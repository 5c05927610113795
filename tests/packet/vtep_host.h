// SPDX-License-Identifier: Apache-2.0
// VtepHost: a Pipeline with one VTEP on its uplink "up", for what VTEPs say themselves on the
// underlay. Two of them can be joined by a wire.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/packet/pipeline.h"

namespace sluice::test {

struct VtepHostOptions {
    std::string ip = "172.16.0.1";
    MacAddr mac{{0x02, 0, 0, 0, 0x99, 1}};
    std::uint8_t prefix_length = 24;
    std::string gateway;  ///< Empty: none.
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 1600;
    std::uint32_t bfd_interval_ms = 300;  ///< 0: no BFD.
    std::uint8_t bfd_multiplier = 3;
    std::vector<std::string> remotes;  ///< Indices from 1 on.
    PipelineOptions pipeline = {};
};

class VtepHost {
public:
    explicit VtepHost(const VtepHostOptions& options);

    /// Applies what `options` say by now.
    void apply();
    VtepHostOptions options;

    /// A frame of the fabric comes by the uplink. True: the VTEP took it.
    bool give(const Bytes& frame);
    /// What went to the fabric since the last call.
    [[nodiscard]] std::vector<Bytes> sent() { return pipeline_.sent("up"); }
    /// Time goes by in steps of a millisecond.
    VtepHost& pass(std::uint64_t ms);
    /// Answers the ARP or ND question in `frames` for `ip` from `mac`. False: nobody asked.
    bool answer(const std::vector<Bytes>& frames, const std::string& ip, const MacAddr& mac);

    [[nodiscard]] Pipeline& pipeline() noexcept { return pipeline_; }
    [[nodiscard]] datapath::WorkerContext& context() {
        return pipeline_.dataplane().worker(0).context();
    }
    [[nodiscard]] const datapath::VtepPeer& peer(std::uint16_t remote) {
        return *context().vtep_peers.find(0, remote);
    }
    [[nodiscard]] bool works(std::uint16_t remote) {
        return pipeline_.dataplane().reach().works(0, remote);
    }
    [[nodiscard]] std::uint64_t drops(DropReason reason) { return pipeline_.drops("up", reason); }

private:
    Pipeline pipeline_;
};

/// Runs both for `ms`; frames of one reach the other where `passes` (from the first?) says so.
void join(VtepHost& a, VtepHost& b, std::uint64_t ms,
          const std::function<bool(bool from_a, const Bytes&)>& passes = nullptr);

}  // namespace sluice::test
