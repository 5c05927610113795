// SPDX-License-Identifier: Apache-2.0
// rtnetlink(7), as much of it as an interface's set-up needs: link settings and addresses, in the
// namespace of the calling thread. Blocking; the helper's thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/fd.h"
#include "sluice/base/result.h"
#include "sluice/model/port.h"

namespace sluice::privileged {

class RouteNetlink {
public:
    [[nodiscard]] static Result<RouteNetlink> open();

    /// Each returns 0 or an errno of the kernel.
    [[nodiscard]] int set_link(std::uint32_t index, const MacAddr& mac, std::uint16_t mtu);
    [[nodiscard]] int set_up(std::uint32_t index);
    [[nodiscard]] int add_address(std::uint32_t index, const model::InterfaceAddress& address);
    [[nodiscard]] int remove_address(std::uint32_t index, const model::InterfaceAddress& address);
    /// Addresses of an interface, IPv6 link-local ones left out.
    [[nodiscard]] Result<std::vector<model::InterfaceAddress>> addresses(std::uint32_t index);

private:
    explicit RouteNetlink(relay::Fd socket) : socket_(std::move(socket)) {}
    [[nodiscard]] int transact(void* message);
    [[nodiscard]] int change_address(std::uint16_t type, std::uint16_t flags, std::uint32_t index,
                                     const model::InterfaceAddress& address);

    relay::Fd socket_;
    std::uint32_t sequence_ = 0;
};

}  // namespace sluice::privileged
