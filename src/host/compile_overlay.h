// SPDX-License-Identifier: Apache-2.0
// Compile overlay: remote VTEPs and their indices, this host's VTEPs and the VNIs that they carry.
// Runs on the compile helper thread.
#pragma once

#include <unordered_map>

#include "src/host/compile_switching.h"

namespace sluice::host {

/// Index of each remote VTEP of the document. One keeps its index as long as it is named; a free
/// one is used again last.
class Remotes {
public:
    /// Fills `next.remotes`.
    explicit Remotes(const Compilation& compilation);

    /// Index of a VTEP that the document names, 0 for none.
    [[nodiscard]] std::uint16_t find(const std::optional<IpAddr>& ip) const;

private:
    struct Hash {
        std::size_t operator()(const IpAddr& ip) const noexcept;
    };

    void add(const IpAddr& ip, const std::string& switch_name, bool gets_floods);

    datapath::Snapshot& next_;
    std::unordered_map<IpAddr, std::uint16_t, Hash> indices_;
    std::size_t free_ = 1;  // Where add() goes on to look for an index.
};

/// VTEPs become ports, and ways out of the VNIs that there are. After the uplinks.
[[nodiscard]] Status compile_vteps(const Compilation& compilation, Switching& switching);

}  // namespace sluice::host
