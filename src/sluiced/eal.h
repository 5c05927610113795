// SPDX-License-Identifier: Apache-2.0
// Eal: DPDK's environment for one daemon: hugepages where there are enough, else 4 KiB pages with a
// warning; its own file prefix, so that daemons run beside each other; removed again at the end.
// Main thread, before any other.
#pragma once

#include <memory>
#include <string>

#include "sluice/base/result.h"
#include "src/sluiced/options.h"

struct rte_mempool;

namespace sluice::daemon {

class Eal {
public:
    [[nodiscard]] static Result<std::unique_ptr<Eal>> start(const Options& options);
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;

    [[nodiscard]] rte_mempool* pool() const noexcept { return pool_; }
    [[nodiscard]] bool uses_hugepages() const noexcept { return uses_hugepages_; }
    /// The daemon's own folder for sockets that only it and its library use; 0700.
    [[nodiscard]] const std::string& runtime_dir() const noexcept { return runtime_dir_; }

private:
    Eal() = default;
    rte_mempool* pool_ = nullptr;
    bool uses_hugepages_ = false;
    std::string runtime_dir_;
};

}  // namespace sluice::daemon
