// SPDX-License-Identifier: Apache-2.0
// SpoofGuardService: `sluice spoofguard pending|approve|reject`: the addresses that SpoofGuard
// `manual` refused a vNIC (datapath/pending.cc), or that DHCP gave it, wait for the operator's
// word. To approve is an edit of the document: the address joins the port's `ips`. To reject marks
// the row, which is not listed until it is flushed. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "admin/server.h"
#include "datapath/dataplane.h"
#include "sluice/base/result.h"
#include "src/sluiced/config_service.h"

namespace sluice::daemon {

class SpoofGuardService {
public:
    using AnswerLater = boost::asio::awaitable<Result<nlohmann::json>>;

    SpoofGuardService(datapath::Dataplane& dataplane, ConfigService& config)
        : dataplane_(dataplane), config_(config) {}

    /// Rows {"port","ip","mac","vlan","source","count","first_seen_s","last_seen_s"}, the last two
    /// in seconds before now; of one port, or of all if it is empty.
    [[nodiscard]] AnswerLater pending(std::string port);
    /// {"changed","generation"}, as `edit` answers.
    [[nodiscard]] AnswerLater approve(std::string port, std::vector<IpAddr> ips);
    /// {"rejected": N}
    [[nodiscard]] AnswerLater reject(std::string port, std::vector<IpAddr> ips);

private:
    using Rows = std::map<std::tuple<std::string, IpAddr, std::uint32_t>, LearnedRow>;

    /// Everything that waits or was rejected, of one port or of all, by port, address and domain.
    [[nodiscard]] boost::asio::awaitable<Result<Rows>> collect(std::string port);
    void add_row(const LearnedRow& row, const std::string& port, Rows& rows) const;
    /// Rows of exactly these addresses; an error names one that there is none of.
    [[nodiscard]] boost::asio::awaitable<Result<std::vector<LearnedKey>>> rows_of(
        std::string port, std::vector<IpAddr> ips);
    [[nodiscard]] boost::asio::awaitable<void> settle(std::vector<LearnedKey> rows,
                                                      bool is_rejected);
    [[nodiscard]] nlohmann::json row_json(const LearnedRow& row) const;

    datapath::Dataplane& dataplane_;
    ConfigService& config_;
};

/// Adds the methods. The service must outlive the server.
void add_spoofguard_methods(admin::AdminServer& server, SpoofGuardService& spoofguard);

}  // namespace sluice::daemon
