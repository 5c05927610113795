// SPDX-License-Identifier: Apache-2.0
// Claimant: see claimant.h. Trust on first use is first come, first served within the vNIC's
// limits.
#include "iochain/swsec/claimant.h"

namespace sluice::iochain {

Claimant::Holder Claimant::holder(const IpAddr& ip) const noexcept {
    if (bindings_.owners != nullptr && bindings_.owners->find(ip) != nullptr) {
        return is_given_here(ip) ? Holder::kSelf : Holder::kOther;
    }
    if (bindings_.table == nullptr) { return Holder::kNobody; }
    const PortIndex port = bindings_.table->holder(bindings_.domain, ip, bindings_.now_ns);
    if (port == kNoPort) { return Holder::kNobody; }
    return port == port_ ? Holder::kSelf : Holder::kOther;
}

bool Claimant::has_room(IpFamily family, std::uint32_t count) const noexcept {
    const model::BindingLimits& limits = config().bindings;
    const std::uint32_t limit = family == IpFamily::kV4 ? limits.arp : limits.nd;
    if (limit == 0) { return true; }
    const std::uint32_t taken =
        bindings_.table == nullptr ? 0 : bindings_.table->first_use_count(port_, family);
    return taken + count <= limit;
}

bool Claimant::may_claim(const BindingClaims& claims) const noexcept {
    if (!config().spoofguard) { return true; }
    std::uint32_t fresh = 0;
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        const IpAddr& ip = claims.ips[i];
        if (owns(ip)) { continue; }
        if (holder(ip) == Holder::kOther) { return false; }
        ++fresh;
    }
    if (fresh == 0) { return true; }
    return config().first_use && has_room(claims.ips[0].family, fresh);
}

BindingClaims Claimant::contested(const BindingClaims& claims) const noexcept {
    BindingClaims out;
    if (!config().first_use) { return out; }
    out.source = claims.source;
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        const IpAddr& ip = claims.ips[i];
        if (!owns(ip) && holder(ip) == Holder::kOther) { add_claim(out, ip); }
    }
    out.is_contested = out.count > 0;
    return out;
}

BindingClaims Claimant::new_or_learned(const BindingClaims& claims) const noexcept {
    BindingClaims out;
    out.source = claims.source;
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        const IpAddr& ip = claims.ips[i];
        if (!program_.is_given(ip) && !is_given_here(ip)) { add_claim(out, ip); }
    }
    return out;
}

}  // namespace sluice::iochain
