// SPDX-License-Identifier: Apache-2.0
// Bindings: the addresses that vNICs are seen to use. ARP and neighbour discovery that the whole
// chain let pass teach them; traffic from them keeps them from ageing. Called by the worker that
// polls the vNIC: inspected frames in order of arrival, flows when their figures are folded.
#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

std::uint64_t expiry(const PortBindings& bindings, std::uint64_t seen_ns) noexcept {
    return bindings.age_ns == 0 ? 0 : seen_ns + bindings.age_ns;
}

}  // namespace

void learn_claims(WorkerContext& context, const FlowKey& key, DomainId domain,
                  const BindingClaims& claims) noexcept {
    const PortConfig& in = *context.snapshot->port(key.port);
    if (claims.count == 0 || in.is_uplink || in.leg_of != kNoService) { return; }
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        const IpAddr& ip = claims.ips[i];
        LearnedValue value;
        value.mac = key.source_mac;
        value.source = claims.source;
        value.expires_ns = expiry(in.bindings, context.now_ns);
        const std::uint32_t limit = ip.is_v4() ? in.bindings.limit_v4 : in.bindings.limit_v6;
        context.learned.learn(LearnedKey::binding(domain, key.port, ip), value,
                              limit == 0 ? kBindingPerPortMax : limit, context.now_ns);
    }
    context.refresh_stamp();
}

void keep_binding(WorkerContext& context, const FlowKey& key, std::uint32_t used_ms) noexcept {
    const PortConfig* in = context.snapshot->port(key.port);
    if (in == nullptr || in->bindings.age_ns == 0 || !key.is_ip()) [[likely]] { return; }
    const std::uint16_t index = ingress_domain(*in, key);
    if (index == kNoDomain || key.side != KeySide::kIngress) { return; }
    const LearnedKey row =
        LearnedKey::binding(context.snapshot->domains[index].id, key.port, key.source());
    const std::uint64_t idle_ns = std::uint64_t{context.now_ms - used_ms} * 1'000'000U;
    const std::uint64_t seen_ns = context.now_ns - std::min(idle_ns, context.now_ns);
    const std::optional<LearnedValue> known = context.learned.find(row, context.now_ns);
    if (!known || known->last_seen_ns >= seen_ns) { return; }
    context.learned.touch(row, seen_ns, expiry(in->bindings, seen_ns), context.now_ns);
}

}  // namespace sluice::datapath
