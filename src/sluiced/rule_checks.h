// SPDX-License-Identifier: Apache-2.0
// RuleChecks: answers `rule check`. Control thread; the check itself runs on a thread of its own,
// on the document as it was when it was asked for, so that neither changes nor answers wait for it.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "datapath/dataplane.h"
#include "sluice/base/result.h"
#include "src/sluiced/config_service.h"

namespace sluice::daemon {

class RuleChecks {
public:
    RuleChecks(datapath::Dataplane& dataplane, const ConfigService& config)
        : dataplane_(dataplane), config_(config) {}

    /// @param name  SECTION or SECTION/RULE, ACLs as "acl NAME"; empty = all
    /// @return `[{"section","rule","finding","by","detail"}]`; kNotFound if there is no such
    /// section or rule
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> check(std::string name);
    /// After the control loop has ended: waits for what runs.
    void stop() { helper_.join(); }

private:
    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    boost::asio::thread_pool helper_{1};
};

}  // namespace sluice::daemon
