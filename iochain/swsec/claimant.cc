// SPDX-License-Identifier: Apache-2.0
// Claimant: see claimant.h. Trust on first use is first come, first served within the vNIC's
// limits.
#include "iochain/swsec/claimant.h"

namespace sluice::iochain {

bool Claimant::is_bound(const IpAddr& ip) const noexcept {
    if (bindings_.table == nullptr) { return false; }
    const LearnedKey key = LearnedKey::binding(bindings_.domain, port_, ip);
    return bindings_.table->find(key, bindings_.now_ns).has_value();
}

bool Claimant::has_room(IpFamily family, std::uint32_t count) const noexcept {
    const model::BindingLimits& limits = config().bindings;
    const std::uint32_t limit = family == IpFamily::kV4 ? limits.arp : limits.nd;
    if (limit == 0) { return true; }
    const std::uint32_t taken = bindings_.table == nullptr
                                    ? 0
                                    : bindings_.table->count(port_, LearnedKind::kBinding, family);
    return taken + count <= limit;
}

bool Claimant::may_claim(const BindingClaims& claims) const noexcept {
    if (!config().spoofguard) { return true; }
    std::uint32_t fresh = 0;
    for (std::uint8_t i = 0; i < claims.count; ++i) { fresh += owns(claims.ips[i]) ? 0U : 1U; }
    if (fresh == 0) { return true; }
    return config().first_use && has_room(claims.ips[0].family, fresh);
}

BindingClaims Claimant::new_or_learned(const BindingClaims& claims) const noexcept {
    BindingClaims out;
    out.source = claims.source;
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        if (!program_.is_given(claims.ips[i])) { add_claim(out, claims.ips[i]); }
    }
    return out;
}

}  // namespace sluice::iochain
