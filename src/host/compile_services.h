// SPDX-License-Identifier: Apache-2.0
// Compile services: the instances and rules of service chains get their numbers, a vNIC its
// programs of slots 4 to 12 and 15, legs their tags, hosts the networks by which they hand each
// other frames; and key policies. Numbers and tags are those of the snapshot before, so that pins
// of connections keep their meaning. Runs on the compile helper thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/result.h"
#include "sluice/iochain/slots.h"
#include "src/host/compile.h"
#include "src/host/compile_overlay.h"
#include "src/host/rule_names.h"

namespace sluice::host {

/// Fills `next.service_rules` (but for the ids of their counters), `next.service_instances` (but
/// for where they are) and `next.key_policies`. Before the chains are compiled.
void number_services(const model::Document& document, const datapath::Snapshot& previous,
                     datapath::Snapshot& next);

/// Programs of a port by slot, those of services and encryption filled in.
using SlotPrograms = std::array<std::shared_ptr<const SlotProgram>, kSlotCount>;

/// What the programs are made of.
struct ServiceNames {
    const model::Document& document;
    Expressions& expressions;
    Targets& targets;
    std::function<RuleId(const std::string& section, const std::string& name)> rule_id;
};

/// Section names of the counters of rules.
[[nodiscard]] inline std::string service_section(const std::string& chain) {
    return "service " + chain;
}
inline constexpr const char* kEncryptionSection = "encryption rule";

/// Programs of slots 4 to 12 of each port, legs left out; sets the ids in `rules`.
void compile_redirect(const ServiceNames& names, std::vector<datapath::ServiceRuleConfig>& rules,
                      std::vector<SlotPrograms>& of_port);

/// Programs of slot 15 of each port.
void compile_encryption(const ServiceNames& names, std::vector<SlotPrograms>& of_port);

/// A leg's port, in no domain yet.
[[nodiscard]] datapath::PortConfig describe_leg(const Compilation& compilation,
                                                const model::Port& port);

/// Opens the networks by which hosts hand each other frames for services. Before the VTEPs join.
[[nodiscard]] Status open_service_paths(const Compilation& compilation, Switching& switching);

/// Says where instances are, gives domains their tags and legs their domains. Behind everything
/// that opens domains.
[[nodiscard]] Status place_services(const Compilation& compilation, const Remotes& remotes,
                                    const ModuleSource& modules);

}  // namespace sluice::host
