// SPDX-License-Identifier: Apache-2.0
// model::ServiceChain: the noun `service_chains`, which connections are handed to third-party
// services in slots 4 to 12, and where those services are. Rules of a slot are tried in order of
// the document, the first match wins. Plain values, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/model/service.h"
#include "sluice/net/address.h"

namespace sluice::model {

enum class ServiceAction : std::uint8_t { kRedirect, kBypass };

/// Who opened the connection, seen from the VM: kOut did itself.
enum class Initiator : std::uint8_t { kBoth, kIn, kOut };

/// What becomes of connections while no instance works: kOpen goes on without the service.
enum class OnFailure : std::uint8_t { kOpen, kClosed };

/// How frames travel to an instance.
enum class Encapsulation : std::uint8_t {
    kPlain,  ///< As they are, with a VLAN tag that says which layer-2 domain they belong to.
    kNsh,    ///< In a Network Service Header (RFC 8300), MD type 1.
};

/// One instance of a service. Rules that name the same instance say the same of it, `weight` apart.
/// Exactly one of: `in` (a leg on this host), `vtep` (elsewhere), `module` (in this process).
struct ServiceInstance {
    std::string name;
    std::string in;            ///< Port of kind service: what leaves the VM goes out by it.
    std::string out;           ///< The other leg; empty = `in` again (one leg).
    std::uint32_t weight = 1;  ///< 0 = draining: it keeps its connections and gets no new ones.
    Encapsulation encapsulation = Encapsulation::kPlain;
    std::optional<IpAddr> vtep;  ///< The remote VTEP behind which it is.
    std::uint32_t vni = 0;       ///< On which hosts hand it frames; 0 = it is not reached from
                                 ///< elsewhere. With `vtep` it is needed.
    std::uint32_t path = 0;      ///< NSH service path (24 bits) that means it; 0 = by its name.
    std::string module;          ///< Name of an in-process service (sluice_service.h).

    bool operator==(const ServiceInstance&) const = default;
};

struct ServiceRule {
    std::string name;  ///< Unique in its chain.
    ServiceAction action = ServiceAction::kRedirect;
    Initiator initiator = Initiator::kBoth;
    std::vector<std::string> source;       ///< As of a firewall rule: of the opening packet.
    std::vector<std::string> destination;  ///< As of a firewall rule: of the opening packet.
    std::vector<Service> services;         ///< Empty = any.
    std::vector<std::string> applied_to;   ///< Groups, port groups, ports; empty = every vNIC.
    std::uint8_t slot = 4;                 ///< 4..12.
    OnFailure on_failure = OnFailure::kOpen;
    std::vector<ServiceInstance> instances;  ///< Of kRedirect: at least one.

    bool operator==(const ServiceRule&) const = default;
};

struct ServiceChain {
    std::string name;
    std::vector<ServiceRule> rules;

    bool operator==(const ServiceChain&) const = default;
};

/// The service path of an instance that the document gives none: 1..2^24-1, a pure function of the
/// name, so that all hosts agree.
[[nodiscard]] constexpr std::uint32_t default_path(std::string_view name) noexcept {
    std::uint32_t hash = 0x811c9dc5U;  // FNV-1a, 32 bits, folded.
    for (const char c : name) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193U; }
    return (hash ^ hash >> 24U) % 0xffffffU + 1U;
}

}  // namespace sluice::model
