// SPDX-License-Identifier: Apache-2.0
// Applier: see applier.h.
#include "controller-agent/vtep/applier.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace sluice::vtep {
namespace {

using nlohmann::json;

// The placement of "port NAME"; end() if there is none.
json::iterator placement(json& ports, const std::string& object) {
    return std::find_if(ports.begin(), ports.end(), [&](const json& port) {
        return object == "port " + port.value("name", "");
    });
}

}  // namespace

boost::asio::awaitable<void> Applier::apply(json document) {
    if (document == wanted_ && !refused_any()) { co_return; }
    wanted_ = document;
    std::map<std::string, std::string> refused;
    std::string refusal;
    while (true) {
        json attempt = document;
        const Result<json> done = co_await host_.apply(std::move(attempt));
        if (done.ok()) { break; }
        json& ports = document["ports"];
        const auto bad = placement(ports, done.error().object);
        if (bad == ports.end()) {
            refusal = done.error().message;
            break;
        }
        const std::string prefix = done.error().object + ": ";
        const std::string& why = done.error().message;
        refused[bad->value("name", "")] = why.starts_with(prefix) ? why.substr(prefix.size()) : why;
        ports.erase(bad);
    }
    for (const auto& [port, why] : refused) {
        const auto before = refused_ports_.find(port);
        if (before == refused_ports_.end() || before->second != why) {
            spdlog::warn("vtep: port {}: {}; it is attached to nothing", port, why);
        }
    }
    if (refusal != refusal_ && !refusal.empty()) {
        spdlog::error("vtep: {}; what ran before goes on running", refusal);
    }
    refused_ports_ = std::move(refused);
    refusal_ = std::move(refusal);
}

}  // namespace sluice::vtep
