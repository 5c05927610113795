// SPDX-License-Identifier: Apache-2.0
// show services: each rule that redirects, and its instances: whether they work, since when, what
// they carried. Figures are the instance's, of all rules that name it.
#include <map>

#include "controller-agent/write_json.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/service_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

using Numbers = std::map<std::string, std::uint16_t>;

Numbers numbers_of(const datapath::Snapshot& snapshot) {
    Numbers out;
    for (std::size_t i = 1; i < snapshot.service_instances.size(); ++i) {
        out[snapshot.service_instances[i].name] = static_cast<std::uint16_t>(i);
    }
    return out;
}

json text_or_null(const std::string& text) { return text.empty() ? json() : json(text); }

json instance_json(const model::ServiceInstance& instance, const ServiceRow& row) {
    return {{"name", instance.name},
            {"state", row.state},
            {"since_s", row.since_ns == 0 ? json() : json(row.since_ns / kNsPerSecond)},
            {"in", text_or_null(instance.in)},
            {"out", text_or_null(instance.out.empty() ? instance.in : instance.out)},
            {"vtep", instance.vtep ? json(to_string(*instance.vtep)) : json()},
            {"module", text_or_null(instance.module)},
            {"encapsulation", agent::to_text(instance.encapsulation)},
            {"weight", instance.weight},
            {"connections", row.connections},
            {"sent_packets", row.sent_packets},
            {"sent_bytes", row.sent_bytes},
            {"returned_packets", row.returned_packets},
            {"skipped_packets", row.skipped_packets},
            {"dropped_packets", row.dropped_packets},
            {"heartbeat_us", row.heartbeat_us == 0 ? json() : json(row.heartbeat_us)}};
}

}  // namespace

Answer ShowService::services() const {
    const Numbers numbers = numbers_of(dataplane_.snapshot());
    json rows = json::array();
    for (const model::ServiceChain& chain : config_.document().service_chains) {
        for (const model::ServiceRule& rule : chain.rules) {
            if (rule.action != model::ServiceAction::kRedirect) { continue; }
            json instances = json::array();
            for (const model::ServiceInstance& instance : rule.instances) {
                const auto at = numbers.find(instance.name);
                if (at == numbers.end()) { continue; }
                const ServiceRow row = service_row(dataplane_, at->second, instance.weight != 0);
                instances.push_back(instance_json(instance, row));
            }
            rows.push_back({{"chain", chain.name},
                            {"rule", rule.name},
                            {"slot", rule.slot},
                            {"on_failure", agent::to_text(rule.on_failure)},
                            {"instances", std::move(instances)}});
        }
    }
    return rows;
}

}  // namespace sluice::daemon
