// SPDX-License-Identifier: Apache-2.0
// StandIn: a daemon as an agent sees it, without a data path: it notes when a document and bindings
// came and tells the ports of the last document. One thread.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/host_control.h"
#include "tests/bench/fleet/shape.h"

namespace sluice::scale {

using Clock = std::chrono::steady_clock;

class StandIn final : public fleet::HostControl {
public:
    StandIn(const Shape& shape, std::size_t host) : shape_(shape), host_(host) {}

    [[nodiscard]] std::string host_name() const override { return scale::host_name(host_); }
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> apply(
        nlohmann::json document) override;
    void change_bindings(const std::vector<fleet::BindingChange>& changes) override;
    [[nodiscard]] fleet::LocalState local_state(std::uint64_t known_epoch) const override;

    [[nodiscard]] std::size_t host() const noexcept { return host_; }
    [[nodiscard]] std::size_t port_count() const noexcept { return state_.ports.size(); }
    [[nodiscard]] const std::map<std::pair<std::string, MacAddr>, fleet::FleetBinding>& bindings()
        const noexcept {
        return bindings_;
    }
    /// Addresses of a port in the last document; empty: it is not there.
    [[nodiscard]] std::vector<IpAddr> ips_of(const std::string& port) const;

    // Since the last forget().
    std::size_t apply_count = 0;
    std::size_t binding_count = 0;
    Clock::time_point applied_at, bound_at;
    void forget() { apply_count = binding_count = 0; }

private:
    const Shape& shape_;
    std::size_t host_;
    fleet::LocalState state_;
    std::map<std::pair<std::string, MacAddr>, fleet::FleetBinding> bindings_;
};

}  // namespace sluice::scale
