// SPDX-License-Identifier: Apache-2.0
// ServiceModules: the in-process services that are loaded, by name. One is loaded when a document
// first names it, and goes when no snapshot has it any more: a new file of that name is loaded when
// it is named again. get() on the helper that compiles; control reads.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "datapath/service_module.h"
#include "sluice/base/result.h"

namespace sluice::daemon {

class ServiceModules {
public:
    /// @param folder  of NAME.so and NAME.conf
    explicit ServiceModules(std::string folder) : folder_(std::move(folder)) {}

    /// As ServiceModule::load().
    [[nodiscard]] Result<std::shared_ptr<datapath::ServiceModule>> get(const std::string& name) {
        const std::lock_guard lock(mutex_);
        if (auto loaded = loaded_[name].lock()) { return loaded; }
        auto module = datapath::ServiceModule::load(folder_, name);
        if (module) { loaded_[name] = module.value(); }
        return module;
    }

private:
    std::string folder_;
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<datapath::ServiceModule>> loaded_;
};

}  // namespace sluice::daemon
