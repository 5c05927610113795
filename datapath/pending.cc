// SPDX-License-Identifier: Apache-2.0
// Pending: the addresses that SpoofGuard `manual` refused a vNIC, each with how often, for the
// operator to approve or reject (src/sluiced/spoofguard.cc). Rows kPending of the learned table,
// which no decision reads. Called where a frame from the VM ends for its address: inspected frames,
// and the first packets of flows. Worker that polls the vNIC.
#include <limits>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kAgeNs = std::uint64_t{kPendingAgeS} * 1'000'000'000U;

bool is_listable(const IpAddr& ip) noexcept {
    const bool is_group = ip.is_v6() ? ip.bytes[0] == 0xff : ip.v4_host() >= 0xe0000000U;
    return ip.bytes != IpAddr{}.bytes && !is_group;
}

void note(WorkerContext& context, const LearnedKey& row, const MacAddr& mac,
          LearnedSource source) noexcept {
    const std::optional<LearnedValue> known = context.learned.find(row, context.now_ns);
    LearnedValue value = known.value_or(LearnedValue{});
    value.mac = mac;
    value.source = source;
    if (value.detail != std::numeric_limits<std::uint32_t>::max()) { ++value.detail; }
    const bool is_rejected = (value.flags & kPendingRejected) != 0;
    value.expires_ns = is_rejected ? 0 : context.now_ns + kAgeNs;
    context.learned.learn(row, value, kPendingPerPortMax, context.now_ns);
}

}  // namespace

void note_refused(WorkerContext& context, const FlowKey& key, DomainId domain,
                  const BindingClaims& tried) noexcept {
    const PortConfig& in = *context.snapshot->port(key.port);
    if (!in.lists_refused || key.source_mac != in.mac) { return; }
    for (std::uint8_t i = 0; i < tried.count; ++i) {
        const IpAddr& ip = tried.ips[i];
        if (!is_listable(ip)) { continue; }
        const LearnedKey row = LearnedKey::pending(domain, key.port, ip);
        note(context, row, key.source_mac, tried.source);
    }
}

}  // namespace sluice::datapath
