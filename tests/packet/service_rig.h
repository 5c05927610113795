// SPDX-License-Identifier: Apache-2.0
// ServiceRig: the pipeline of two VMs whose connections an instance "ids1" with legs "ids-in" and
// "ids-out" inspects (slot 4, rule "ids/all"), and a service behind the legs that passes frames on.
// Time goes by in heartbeats.
#pragma once

#include <string>

#include "datapath/service_health.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {

inline constexpr std::uint64_t kBeat = kServiceHeartbeatMs * kMillisecond;

/// two_vms() with the legs and a rule. `instance` is merged over the instance, `rule` over the
/// rule.
[[nodiscard]] nlohmann::json inspected_vms(const std::string& instance = "{}",
                                           const std::string& rule = "{}");

class ServiceRig {
public:
    explicit ServiceRig(const nlohmann::json& document, const PipelineOptions& options = {})
        : pipeline_(document, options) {}

    [[nodiscard]] Pipeline& pipeline() noexcept { return pipeline_; }
    [[nodiscard]] datapath::ServiceStates& states() { return pipeline_.dataplane().services(); }
    /// Index of an instance; aborts if there is none of that name.
    [[nodiscard]] std::uint16_t instance(const std::string& name = "ids1");
    [[nodiscard]] bool works(const std::string& name = "ids1") {
        return states().works(instance(name));
    }
    /// Sum over the workers.
    [[nodiscard]] std::uint64_t returned(const std::string& name = "ids1");

    /// What the service does with a frame of a leg: hands it out by the other one (the same, if it
    /// has one leg). In NSH the service index is counted down.
    bool passes_in = true;   ///< From `in` to `out`.
    bool passes_out = true;  ///< From `out` to `in`.
    std::string in = "ids-in", out = "ids-out";

    /// Lets the service do its work until nothing moves.
    ServiceRig& serve();
    /// A heartbeat later, the service at work.
    ServiceRig& beat(unsigned count = 1);

private:
    bool carry(const std::string& from, const std::string& to, bool passes);

    Pipeline pipeline_;
};

}  // namespace sluice::test
