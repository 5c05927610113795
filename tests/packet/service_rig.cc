// SPDX-License-Identifier: Apache-2.0
// ServiceRig: see service_rig.h.
#include "tests/packet/service_rig.h"

#include "datapath/nsh_header.h"
#include "sluice/base/assert.h"

namespace sluice::test {
namespace {

bool is_nsh(const Bytes& frame) {
    return frame.size() > 38 && frame[12] == 0x89 && frame[13] == 0x4f;
}

}  // namespace

nlohmann::json inspected_vms(const std::string& instance, const std::string& rule) {
    nlohmann::json document = two_vms();
    for (const char* leg : {"ids-in", "ids-out"}) {
        document["ports"].push_back(
            {{"name", leg}, {"kind", "service"}, {"socket", std::string("/run/") + leg}});
    }
    nlohmann::json one = json_of(R"({"name": "ids1", "in": "ids-in", "out": "ids-out"})");
    one.merge_patch(json_of(instance));
    nlohmann::json all = json_of(R"({"name": "all", "slot": 4, "on_failure": "open"})");
    all["instances"] = nlohmann::json::array({one});
    all.merge_patch(json_of(rule));
    document["service_chains"] =
        nlohmann::json::array({{{"name", "ids"}, {"rules", nlohmann::json::array({all})}}});
    return document;
}

std::uint16_t ServiceRig::instance(const std::string& name) {
    const auto& all = pipeline_.dataplane().snapshot().service_instances;
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (all[i].name == name) { return static_cast<std::uint16_t>(i); }
    }
    assertion_failed(__FILE__, __LINE__, name.c_str());
}

std::uint64_t ServiceRig::returned(const std::string& name) {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < pipeline_.dataplane().worker_count(); ++i) {
        sum += pipeline_.dataplane()
                   .worker(i)
                   .context()
                   .service_counters[instance(name)]
                   .returned_packets.get();
    }
    return sum;
}

bool ServiceRig::carry(const std::string& from, const std::string& to, bool passes) {
    bool has_moved = false;
    for (Bytes& frame : pipeline_.sent(from)) {
        if (!passes) { continue; }
        if (is_nsh(frame)) { --frame[14 + 7]; }
        pipeline_.send(to, std::move(frame));
        has_moved = true;
    }
    return has_moved;
}

ServiceRig& ServiceRig::serve() {
    pipeline_.step();
    bool has_moved = true;
    while (has_moved) {
        has_moved = carry(in, out, passes_in);
        if (out != in) { has_moved = carry(out, in, passes_out) || has_moved; }
        pipeline_.step();
    }
    return *this;
}

ServiceRig& ServiceRig::beat(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        pipeline_.advance(kBeat);
        serve();
    }
    return *this;
}

}  // namespace sluice::test
