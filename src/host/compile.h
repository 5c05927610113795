// SPDX-License-Identifier: Apache-2.0
// Compile: a checked document becomes the snapshot that workers read. Pure but for the registries,
// which only grow here; runs on the compile helper thread, one change at a time. What did not
// change keeps its epoch, so that its flows keep their programs.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "datapath/snapshot.h"
#include "sluice/base/result.h"
#include "sluice/model/document.h"
#include "src/host/registry.h"

namespace sluice::host {

struct Registries {
    PortRegistry ports;
    DomainRegistry domains;
    RuleRegistry rules;
};

/// Gives the device of a port: the present one if it is the same, else a new one.
using DeviceSource = std::function<Result<std::shared_ptr<datapath::Port>>(const model::Port&)>;

/// Gives the device of an uplink; null if there is none.
using UplinkSource = std::function<std::shared_ptr<datapath::Port>(const std::string& uplink)>;

struct Compiled {
    std::unique_ptr<datapath::Snapshot> snapshot;
    std::set<RuleId>
        rules;  ///< In use: for RuleRegistry::keep_only() once the snapshot is in force.
    LoggedRules logged;
};

/// Gives an in-process service by its name, or says why there is none.
using ModuleSource =
    std::function<Result<std::shared_ptr<datapath::ServiceModule>>(const std::string& name)>;

/// @param previous  what runs now; epochs of unchanged parts and workers of ports are taken from it
/// @return kLimit if the document needs more ports or layer-2 domains than there can be, or what
/// `devices` or `modules` returned
[[nodiscard]] Result<Compiled> compile(const model::Document& document,
                                       const datapath::Snapshot& previous, unsigned worker_count,
                                       Registries& registries, const DeviceSource& devices,
                                       const UplinkSource& uplinks = {},
                                       const ModuleSource& modules = {});

}  // namespace sluice::host
