// SPDX-License-Identifier: Apache-2.0
// LocalView: what a fleet has to know of this host's vNICs and VTEPs: which are up, where they are,
// and the addresses that they have or that workers learned of them. Control thread; workers go on
// learning beside it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "controller-agent/fleet/host_control.h"
#include "datapath/dataplane.h"
#include "src/sluiced/config_service.h"

namespace sluice::daemon {

class LocalView {
public:
    LocalView(const datapath::Dataplane& dataplane, const ConfigService& config)
        : dataplane_(dataplane), config_(config) {}

    /// As HostControl::local_state. Learned addresses are gathered over several calls if there are
    /// many: a call looks at kRowsACall rows.
    [[nodiscard]] fleet::LocalState state(std::uint64_t known_epoch);

private:
    using Addresses = std::map<std::uint16_t, std::vector<IpAddr>>;  // By index of the port.

    [[nodiscard]] bool has_changed();
    void gather();
    void take(const LearnedRow& row, std::uint64_t now_ns);
    [[nodiscard]] std::uint64_t ports_up() const;
    [[nodiscard]] std::vector<fleet::LocalPort> ports() const;
    [[nodiscard]] std::vector<fleet::LocalVtep> vteps() const;

    const datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    std::uint64_t epoch_ = 1;
    std::uint64_t generation_ = 0;   // Of the snapshot when epoch_ was set.
    std::uint64_t ports_up_ = 0;     // The same.
    std::uint32_t gathered_at_ = 0;  // learned().epoch() when the present walk began.
    bool is_gathering_ = true;
    std::uint32_t cursor_ = 0;
    Addresses learned_, gathering_;
};

}  // namespace sluice::daemon
