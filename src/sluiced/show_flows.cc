// SPDX-License-Identifier: Apache-2.0
// show flows, flush flows.
#include <algorithm>

#include "sluice/net/address_text.h"
#include "src/sluiced/show_service.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using datapath::Ending;
using datapath::Program;
using nlohmann::json;

json key_json(const FlowKey& key, const std::string& copy_to) {
    json out{{"source_mac", to_string(key.source_mac)},
             {"destination_mac", to_string(key.destination_mac)}};
    char ethertype[8];
    std::snprintf(ethertype, sizeof ethertype, "0x%04x", key.ethertype.host());
    out["ethertype"] = ethertype;
    if (key.has(kKeyTagged)) { out["vlan"] = key.vlan; }
    if (key.is_ip()) {
        out["source"] = to_string(key.source());
        out["destination"] = to_string(key.destination());
        out["protocol"] = key.protocol;
    }
    if (key.has(kKeyPorts)) {
        out["source_port"] = key.source_port.host();
        out["destination_port"] = key.destination_port.host();
    }
    if (key.dscp != 0) { out["dscp"] = key.dscp; }
    if (key.side == KeySide::kEgressCopy) { out["copy_to"] = copy_to; }
    return out;
}

void add_steps(const datapath::Steps& steps, json& out) {
    if (steps.dscp != 0) { out.push_back("set_dscp " + std::to_string(steps.dscp - 1)); }
    if (steps.rewrite != 0) { out.push_back("route"); }
    if (steps.vlan == datapath::Steps::kVlanPop) {
        out.push_back("pop_vlan");
    } else if (steps.vlan != 0) {
        out.push_back("push_vlan " + std::to_string(steps.vlan & 0xfffU));
    }
    if (steps.remote != 0) { out.push_back("encapsulate"); }
}

json program_json(const Program& program) {
    json steps = json::array();
    if ((program.flags & datapath::kProgramTemplate) != 0) { steps.push_back("each packet anew"); }
    if (program.tracked || (program.flags & datapath::kProgramTracks) != 0) {
        steps.push_back("connection");
    }
    add_steps(program.steps, steps);
    if ((program.key_policy & datapath::kKeyPolicyMask) != 0) { steps.push_back("seal"); }
    switch (program.ending) {
        case Ending::kDrop:
            steps.push_back("drop " + std::string(to_string(program.reason)));
            break;
        case Ending::kOutput: steps.push_back("output"); break;
        case Ending::kReplicate: steps.push_back("replicate"); break;
        case Ending::kMirrored: steps.push_back("output and promiscuous"); break;
        case Ending::kRouter: steps.push_back("router"); break;
        case Ending::kWait: steps.push_back("wait"); break;
        case Ending::kRedirect: steps.push_back("redirect"); break;
        case Ending::kResume: steps.push_back("back from services, output"); break;
        case Ending::kNsh: steps.push_back("open NSH"); break;
    }
    return steps;
}

}  // namespace

AnswerLater ShowService::flows(std::uint64_t top) {
    const auto lists = co_await run_on_workers<datapath::ListFlows>(
        dataplane_, static_cast<std::size_t>(std::min<std::uint64_t>(top, 1000000)));
    struct Row {
        const datapath::ListFlows::Row* flow;
        std::uint32_t now_ms;
    };
    std::vector<Row> all;
    for (const auto& list : lists) {
        for (const auto& row : list->rows) { all.push_back({&row, list->now_ms}); }
    }
    std::sort(all.begin(), all.end(), [](const Row& a, const Row& b) {
        return a.flow->state.packets > b.flow->state.packets;
    });
    if (all.size() > top) { all.resize(top); }
    json rows = json::array();
    for (const Row& row : all) {
        const FlowKey& key = row.flow->key;
        const datapath::FlowState& state = row.flow->state;
        const bool leaves =
            state.program.ending != Ending::kDrop && state.program.output != kNoPort;
        rows.push_back({{"ingress", name_of(key.port)},
                        {"key", key_json(key, name_of(PortIndex{key.copy_port}))},
                        {"program", program_json(state.program)},
                        {"output", leaves ? json(name_of(state.program.output)) : json(nullptr)},
                        {"packets", state.packets},
                        {"bytes", state.bytes},
                        {"idle_s", (row.now_ms - state.last_used_ms) / 1000U}});
    }
    co_return rows;
}

AnswerLater ShowService::flush_flows() {
    std::uint64_t removed = 0;
    for (const auto& flush : co_await run_on_workers<datapath::FlushFlows>(dataplane_)) {
        removed += flush->removed;
    }
    co_return json{{"removed", removed}};
}

}  // namespace sluice::daemon
