// SPDX-License-Identifier: Apache-2.0
// Stage: see stage.h.
#include "stage.h"

#include <algorithm>

namespace sluice::fleet::test {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

boost::asio::awaitable<Result<json>> PlainHost::apply(json document) {
    const std::string text = document.dump();
    for (const auto& [name, object] : refused) {
        if (text.find('"' + name + '"') != std::string::npos) {
            co_return Error{Errc::kInvalid, object + ": is not what this host takes", object};
        }
    }
    documents.push_back(std::move(document));
    co_return json{{"changed", 1}, {"generation", documents.size()}};
}

json PlainHost::running_document() const {
    return documents.empty() ? json::object() : documents.back();
}

void PlainHost::change_bindings(const std::vector<BindingChange>& changes) {
    for (const BindingChange& each : changes) {
        ++binding_changes;
        const SegmentMac place{each.binding.segment, each.binding.mac};
        if (each.is_gone) {
            bindings.erase(place);
        } else {
            bindings[place] = each.binding;
        }
    }
}

LocalState PlainHost::local_state(std::uint64_t known_epoch) const {
    if (known_epoch != state.epoch) { return state; }
    LocalState same;
    same.epoch = state.epoch;
    return same;
}

void PlainHost::plug(const std::string& name, const std::string& mac, const std::string& ip) {
    unplug(name);
    state.ports.push_back({name, "dvs0/vni5001", *parse_mac(mac), {*parse_ip(ip)}, true});
    ++state.epoch;
}

void PlainHost::unplug(const std::string& name) {
    std::erase_if(state.ports, [&](const LocalPort& each) { return each.name == name; });
    ++state.epoch;
}

Stage::Stage(json running) {
    host.state.epoch = 1;
    host.state.vteps = {{"tep1", "dvs0", *parse_ip("172.16.0.1")}};
    if (!running.empty()) { host.documents.push_back(std::move(running)); }
    start_agent();
}

Stage::~Stage() { end_agent(); }

void Stage::start_agent() {
    AgentOptions options;
    options.remotes = ovsdb::parse_remotes(config.remote()).value();
    options.state_dir = folder.path("");
    options.version = "1.2.3";
    options.behind_ms = behind_ms;
    agent = std::make_unique<Agent>(io, host, std::move(options));
    agent->load();
    agent->start();
}

void Stage::end_agent() {
    if (!agent) { return; }
    agent->stop();
    pass(milliseconds(50));
    agent.reset();
}

// Without an agent there is nothing to do, and the loop says that it has stopped.
void Stage::turn() {
    if (io.stopped()) { io.restart(); }
    io.run_one_for(milliseconds(10));
}

void Stage::wait(const std::string& what, const std::function<bool()>& is_met,
                 std::chrono::seconds limit) {
    const auto deadline = steady_clock::now() + limit;
    while (!is_met() && steady_clock::now() < deadline) { turn(); }
    ASSERT_TRUE(is_met()) << what << "; the agent says " << agent->status();
}

void Stage::wait_state(AgentState state) {
    wait(std::string("state ") + to_text(state), [&] { return agent->state() == state; });
}

void Stage::pass(milliseconds time) {
    const auto deadline = steady_clock::now() + time;
    while (steady_clock::now() < deadline) { turn(); }
}

void Stage::commit(const json& document, std::int64_t epoch) {
    const bool has_global = !config.rows("Global").empty();
    config.transact(commit_operations(
        document, {++generation, epoch, status.remote(), has_global, json::object()}));
}

void Stage::tell_h2(const json& items) {
    json pairs = json::array();
    for (const auto& [key, value] : items.items()) { pairs.push_back(json::array({key, value})); }
    json mine = json::array({json::array({"host", "==", "h2"})});
    const json row{{"host", "h2"},
                   {"segment", "dvs0/vni5001"},
                   {"vtep", "172.16.0.2"},
                   {"chunk", 0},
                   {"items", json::array({"map", pairs})}};
    json operations =
        json::array({{{"op", "update"}, {"table", "Binding"}, {"where", mine}, {"row", row}}});
    if (status.transact(operations)[0]["count"] == 0) {
        status.transact(json::array({{{"op", "insert"}, {"table", "Binding"}, {"row", row}}}));
    }
}

json Stage::own_row(const std::string& table) const {
    for (const json& row : status.rows(table)) {
        if (row["host"] == "h1") { return row; }
    }
    return {};
}

json fleet_of(int count) {
    json document = json::parse(R"({
        "hosts": [{"name": "h1"}, {"name": "h2"}],
        "uplinks": [{"name": "up0", "host": "h1", "device": "net_null0"},
                    {"name": "up0", "host": "h2", "device": "net_null0"}],
        "vteps": [{"name": "tep1", "host": "h1", "ip": "172.16.0.1/24", "uplink": "up0"},
                  {"name": "tep2", "host": "h2", "ip": "172.16.0.2/24", "uplink": "up0"}],
        "switches": [{"name": "dvs0", "uplinks": ["up0"]}],
        "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}],
        "ports": []})");
    for (int i = 1; i <= count; ++i) {
        document["ports"].push_back(
            {{"name", "vm" + std::to_string(i)}, {"host", "h1"}, {"port_group", "web"}});
    }
    return document;
}

SegmentMac in_web(const std::string& mac) { return {"dvs0/vni5001", *parse_mac(mac)}; }

}  // namespace sluice::fleet::test
