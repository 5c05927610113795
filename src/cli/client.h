// SPDX-License-Identifier: Apache-2.0
// Questions to sluiced over its Unix socket, blocking, with a deadline. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "failure.h"

namespace sluice::cli {

/// Where the daemon is and how long to wait for it.
struct Endpoint {
    std::string socket_path = "/run/sluice/sluiced.sock";
    std::chrono::milliseconds timeout{120'000};  ///< For the whole question.
};

/// Is given what the daemon tells of its progress.
using Progress = std::function<void(const nlohmann::json& params)>;

/// One connection, for commands that ask several questions or whose state in the daemon is bound to
/// it. Ends when it goes.
class Dialogue {
public:
    explicit Dialogue(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}
    ~Dialogue();
    Dialogue(const Dialogue&) = delete;
    Dialogue& operator=(const Dialogue&) = delete;

    /// Failure "io" if the daemon cannot be reached. Once, before call().
    [[nodiscard]] Outcome<bool> open();
    /// The same for a call of whose progress the daemon tells while it works on it.
    [[nodiscard]] Outcome<nlohmann::json> call(const std::string& method,
                                               const std::string& params_text,
                                               const Progress& tell);
    /// As the function call(), each with the endpoint's deadline.
    [[nodiscard]] Outcome<nlohmann::json> call(const std::string& method,
                                               const std::string& params_text);

private:
    Endpoint endpoint_;
    int fd_ = -1;
};

/// Calls `method` and waits for the answer's result.
/// @param params_text  one JSON object as text without newlines; sent as it is
/// Failures: "io" if the daemon cannot be reached or does not answer, else what the daemon says.
[[nodiscard]] Outcome<nlohmann::json> call(const Endpoint& endpoint, const std::string& method,
                                           const std::string& params_text);

}  // namespace sluice::cli
