// SPDX-License-Identifier: Apache-2.0
// Claimant: the vNIC that a frame speaks for, as SpoofGuard sees it: its policy, and the addresses
// that it was seen to use. Read only, for the length of one verdict. Worker that polls the vNIC.
#pragma once

#include "iochain/swsec/program.h"

namespace sluice::iochain {

class Claimant {
public:
    Claimant(const SwsecProgram& program, PortIndex port, const BindingView& bindings) noexcept
        : program_(program), port_(port), bindings_(bindings) {}

    [[nodiscard]] const SwsecProgram& program() const noexcept { return program_; }
    [[nodiscard]] const SwsecInput& config() const noexcept { return program_.config(); }

    /// True if `ip` is the vNIC's: given by the document or, under `auto`, bound to it by a lease
    /// or by first use, and nobody comes before it.
    [[nodiscard]] bool owns(const IpAddr& ip) const noexcept {
        return program_.owns(ip) || is_given_here(ip) ||
               (config().first_use && holder(ip) == Holder::kSelf);
    }
    /// True if SpoofGuard is off or `ip` is the vNIC's.
    [[nodiscard]] bool may_use(const IpAddr& ip) const noexcept {
        return !config().spoofguard || owns(ip);
    }
    /// True if SpoofGuard is off or `mac` is the vNIC's.
    [[nodiscard]] bool may_use(const MacAddr& mac) const noexcept {
        return !config().spoofguard || mac == config().mac;
    }
    /// True if the vNIC may say that all of these are its own: they are, or there is room for what
    /// is new and nobody's.
    [[nodiscard]] bool may_claim(const BindingClaims& claims) const noexcept;
    [[nodiscard]] bool may_claim(const IpAddr& ip) const noexcept {
        return may_claim(BindingClaims{{ip}, 1, LearnedSource::kArp});
    }

    /// What of `claims` is to be learned: not what the document gives the vNIC anyway.
    [[nodiscard]] BindingClaims new_or_learned(const BindingClaims& claims) const noexcept;

    /// Those of `claims` that the vNIC could make if nobody else had the address: to be remembered
    /// although the frame is refused. None unless `auto`.
    [[nodiscard]] BindingClaims contested(const BindingClaims& claims) const noexcept;

private:
    /// Who has an address here, before any question of limits.
    enum class Holder : std::uint8_t { kNobody, kSelf, kOther };
    [[nodiscard]] Holder holder(const IpAddr& ip) const noexcept;
    /// True if the document makes `ip` the vNIC's in this domain.
    [[nodiscard]] bool is_given_here(const IpAddr& ip) const noexcept {
        return bindings_.owners != nullptr && bindings_.owners->owns(port_, ip);
    }
    /// True if `count` more addresses of the family fit into the vNIC's limit.
    [[nodiscard]] bool has_room(IpFamily family, std::uint32_t count) const noexcept;

    const SwsecProgram& program_;
    PortIndex port_;
    const BindingView& bindings_;
};

/// Adds an address to what a frame claims; there is room for what one frame can name.
inline void add_claim(BindingClaims& claims, const IpAddr& ip) noexcept {
    for (std::uint8_t i = 0; i < claims.count; ++i) {
        if (claims.ips[i] == ip) { return; }
    }
    if (claims.count < claims.ips.size()) { claims.ips[claims.count++] = ip; }
}

// Judges of frames from the VM. They don't charge the rate limits. `claims` is filled for frames
// that pass, and for those that are refused for the address that they name.
[[nodiscard]] DropReason judge_arp(const Claimant& who, const ParsedFrame& frame,
                                   BindingClaims& claims) noexcept;
[[nodiscard]] DropReason judge_nd(const Claimant& who, const ParsedFrame& frame,
                                  BindingClaims& claims) noexcept;
[[nodiscard]] DropReason judge_dhcp4(const Claimant& who, const ParsedFrame& frame) noexcept;
[[nodiscard]] DropReason judge_dhcp6(const Claimant& who, const ParsedFrame& frame) noexcept;

}  // namespace sluice::iochain
