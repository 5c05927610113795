// SPDX-License-Identifier: Apache-2.0
// TunnelTable: the ways from VTEPs of this host to remote ones as one worker knows them: the outer
// headers of each, made once and written before every frame. A way holds as long as nothing was
// learned and no snapshot came (WorkerContext::stamp); then it is made again, which takes one look
// at the next hop. Thread: the worker that polls the VTEP's uplink.
#pragma once

#include <array>
#include <cstdint>

#include "datapath/flow_table.h"
#include "datapath/vxlan.h"

namespace sluice::datapath {

/// Outer headers, complete but for lengths, checksum, DSCP and ECN, source port and VNI.
struct alignas(64) TunnelWay {
    std::uint64_t stamp = 0;   ///< WorkerContext::stamp at which it was last known to hold.
    std::uint16_t vtep = 0;    ///< Index into Snapshot::vteps.
    std::uint16_t remote = 0;  ///< Index into Snapshot::remotes; 0 = free.
    PortIndex uplink{0};
    std::uint16_t mtu = 0;     ///< Bytes of layer 3 that the underlay carries.
    std::uint8_t size = 0;     ///< Bytes of `headers` in use.
    std::uint8_t l3 = 0;       ///< Offset of the outer IP header.
    bool is_v6 = false;        ///
    std::uint32_t ip_sum = 0;  ///< IPv4: of the header's words as they lie in memory.
    std::array<std::uint8_t, kOuterMax> headers;
};
static_assert(sizeof(TunnelWay) == 128);

class TunnelTable {
public:
    TunnelTable() : memory_(kSlots * sizeof(TunnelWay)) {}
    /// Where the way from `vtep` to `remote` is kept, if it is: others may have taken its place.
    [[nodiscard]] TunnelWay& slot(std::uint16_t vtep, std::uint16_t remote) noexcept {
        const std::uint32_t at = (remote + vtep * (kSlots / kVtepMax)) % kSlots;
        return static_cast<TunnelWay*>(memory_.get())[at];
    }

private:
    static constexpr std::uint32_t kSlots = 4096;
    LazyMemory memory_;  // All zero: free.
};

}  // namespace sluice::datapath
