// SPDX-License-Identifier: Apache-2.0
// Tuples: numbers flows and connections. Number n has one 5-tuple, and a source port and addresses
// lead back to n: source ports first, then a's addresses, b's addresses, destination ports.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "limits.h"

namespace sluice::load {

/// One flow as a sees it: a is the source. Host byte order.
struct Tuple {
    std::uint32_t source_ip, destination_ip;
    std::uint16_t source_port, destination_port;
    bool operator==(const Tuple&) const = default;
    [[nodiscard]] Tuple back() const {
        return {destination_ip, source_ip, destination_port, source_port};
    }
};

class Tuples {
public:
    /// `ports`: how many destination ports, counting up from `port`. `source_ports`: how many of
    /// these, from kSourcePortFirst.
    Tuples(std::span<const std::uint32_t> a_ips, std::span<const std::uint32_t> b_ips,
           std::uint16_t port, std::uint32_t ports, std::uint32_t source_ports = kSourcePortCount)
        : a_ips_(a_ips.begin(), a_ips.end()),
          b_ips_(b_ips.begin(), b_ips.end()),
          port_(port),
          ports_(ports),
          source_ports_(source_ports) {}

    /// How many there are.
    [[nodiscard]] std::uint64_t count() const {
        return std::uint64_t{source_ports_} * a_ips_.size() * b_ips_.size() * ports_;
    }
    /// Tuple `n`, modulo count().
    [[nodiscard]] Tuple at(std::uint64_t n) const {
        const auto source_port = static_cast<std::uint16_t>(kSourcePortFirst + n % source_ports_);
        n /= source_ports_;
        const std::uint32_t a = a_ips_[n % a_ips_.size()];
        n /= a_ips_.size();
        const std::uint32_t b = b_ips_[n % b_ips_.size()];
        n /= b_ips_.size();
        return {a, b, source_port, static_cast<std::uint16_t>(port_ + n % ports_)};
    }

private:
    std::vector<std::uint32_t> a_ips_, b_ips_;
    std::uint16_t port_;
    std::uint32_t ports_;
    std::uint32_t source_ports_;
};

}  // namespace sluice::load
