// SPDX-License-Identifier: Apache-2.0
// Script: front-ends by name, driven by JSON requests, one reply each. README.md lists the
// operations. Runs on the program's main thread; a background flood has a thread of its own and
// owns its front-ends until it is stopped.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "flood.h"
#include "front_end.h"
#include "probe.h"

namespace sluice::frontend {

class Script {
public:
    using Json = nlohmann::json;

    ~Script();
    /// Does one request. Never throws: what is wrong comes back as {"ok": false, "error": "one
    /// sentence"}.
    [[nodiscard]] Json handle(const std::string& line) noexcept;

private:
    struct Pair {
        std::string other;  ///< Id of the second front-end.
        std::unique_ptr<Probe> probe;
    };
    struct Background {
        std::vector<std::string> ids;
        std::vector<FloodPort> ports;
        FloodOptions options;
        std::atomic<bool> stop{false};
        Result<std::vector<FloodResult>> result{std::vector<FloodResult>{}};
        std::thread thread;
    };

    [[nodiscard]] Json dispatch(const Json& request);
    [[nodiscard]] FrontEnd& find(const Json& request);
    void check_idle(const std::string& id) const;

    [[nodiscard]] Json open(const Json& request);
    [[nodiscard]] Json close(const Json& request);
    [[nodiscard]] Json send(const Json& request);
    [[nodiscard]] Json receive(const Json& request);
    [[nodiscard]] Json receive_until(const Json& request);
    [[nodiscard]] Json flood_start(const Json& request);
    [[nodiscard]] Json flood_stop(const Json& request);
    [[nodiscard]] Json attack_one(const Json& request);
    [[nodiscard]] Json probe(const Json& request);
    [[nodiscard]] Json stats(const Json& request);

    std::map<std::string, std::unique_ptr<FrontEnd>> front_ends_;
    std::map<std::string, std::unique_ptr<Background>> floods_;
    std::map<std::string, Pair> probes_;  // By the first front-end. Ends before they do.
};

}  // namespace sluice::frontend
