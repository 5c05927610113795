// SPDX-License-Identifier: Apache-2.0
// Compile ports: what a port is to the datapath but for its chain and its domains, where it is
// polled, and what changed of it. Uplinks and VTEPs are ports, too. Runs on the compile helper
// thread.
#pragma once

#include <string>

#include "datapath/snapshot.h"
#include "sluice/base/result.h"
#include "sluice/model/document.h"
#include "sluice/model/resolve.h"
#include "src/host/registry.h"

namespace sluice::host {

inline constexpr std::uint32_t kEthernetHeaderBytes = 14;
inline constexpr std::uint64_t kSecond = 1000000000;

struct Registries;

/// What every part of a compilation works on.
struct Compilation {
    const model::Document& document;
    const model::Resolver& resolver;
    const datapath::Snapshot& previous;
    datapath::Snapshot& next;
    Registries& registries;
};

/// A place for the port in `next`; a new, empty PortConfig.
[[nodiscard]] datapath::PortConfig& add_port(datapath::Snapshot& next, PortIndex index);

/// Polled by that worker: a port keeps its worker for life, a new one goes to the worker with the
/// fewest ports.
void give_worker(const datapath::Snapshot& previous, datapath::Snapshot& next, PortIndex index);

/// Everything of a vNIC's port but its chain, epoch, domains and team.
[[nodiscard]] datapath::PortConfig describe_port(const model::Port& port,
                                                 const model::PortGroup& group,
                                                 const model::Switch& on);

/// A port to the fabric: it has no policy, its chain is empty.
[[nodiscard]] datapath::PortConfig describe_fabric_port(const std::string& name,
                                                        const model::Switch& on);

enum class PolicyChange { kNone, kRules, kOther };

/// What changed of a port. kRules: no more than rules of slots 0 and 2, which a PolicyDifference
/// of the two images describes.
[[nodiscard]] PolicyChange policy_change(const datapath::PortConfig& a,
                                         const datapath::PortConfig& b, const PolicyImage* before,
                                         const PolicyImage* after);

/// Epoch of a port to the fabric, once nothing of it changes any more.
void set_fabric_epoch(const datapath::Snapshot& previous, datapath::Snapshot& next,
                      PortIndex index);

/// kLimit, of `object` ("port vm1").
[[nodiscard]] Error too_many_ports(const std::string& object);

}  // namespace sluice::host
