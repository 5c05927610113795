// SPDX-License-Identifier: Apache-2.0
// Fleet rig: what a controller says of other hosts, put into a pipeline as the daemon does.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>
#include <utility>
#include <vector>

#include "src/sluiced/fleet_bindings.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {

class Controller {
public:
    explicit Controller(Pipeline& pipeline)
        : pipeline_(pipeline), bindings_(pipeline.dataplane(), io_.get_executor()) {}

    /// `who` is in `segment` behind `vtep` (empty: none) with both its addresses.
    void tell(const std::string& segment, const Vnic& who, const std::string& vtep) {
        fleet::BindingChange change{{segment, who.mac, {who.ip4, who.ip6}, {}}, false};
        if (!vtep.empty()) { change.binding.vtep = ip(vtep); }
        give({change});
    }
    void take_back(const std::string& segment, const Vnic& who) {
        give({{{segment, who.mac, {}, {}}, true}});
    }
    void give(std::vector<fleet::BindingChange> changes) {
        bindings_.change(std::move(changes));
        finish();
    }
    /// After an apply() of the pipeline.
    void on_snapshot() {
        bindings_.on_snapshot();
        finish();
    }
    [[nodiscard]] daemon::FleetBindings& bindings() noexcept { return bindings_; }
    /// Runs one slice. False: there was nothing to do.
    bool run_one() {
        io_.restart();
        return io_.poll_one() > 0;
    }

private:
    void finish() {
        while (run_one()) {}
        pipeline_.step();
    }
    boost::asio::io_context io_;
    Pipeline& pipeline_;
    daemon::FleetBindings bindings_;
};

}  // namespace sluice::test
