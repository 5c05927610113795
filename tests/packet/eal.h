// SPDX-License-Identifier: Apache-2.0
// Eal: DPDK's environment for one test or benchmark process, without hugepages, devices or a name
// that another process could meet. Main thread.
#pragma once

namespace sluice::test {

class Eal {
public:
    Eal();
    /// Leaves nothing behind.
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;
};

}  // namespace sluice::test
