// SPDX-License-Identifier: Apache-2.0
// DifferenceSieve: a first look at whether any of some rules can match a key. Each dimension keeps
// what the rules name, all of them together; a key whose protocol and destination port, source or
// destination none of them names is through in a few loads. Says "perhaps" too often, never too
// seldom. Built on the compile helper, immutable then: workers ask once a flow and change.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <vector>

#include "iochain/dfw/rule_table.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/dfw.h"

namespace sluice::iochain {

/// Addresses, as a filter of hashed bits (Bloom 1970, one hash): a prefix is kept at the longest of
/// four lengths that is not longer than itself.
class AddressSieve {
public:
    /// @param negate  the list is turned over: taken for any
    void add(const AddressList& list, bool negate);
    void build();
    /// @param wire  16 bytes as in FlowKey
    [[nodiscard]] bool may_hold(const std::uint8_t* wire, IpFamily family) const noexcept;
    /// Whether the addresses that `port` holds may be named by it.
    [[nodiscard]] bool may_follow(PortIndex port) const noexcept {
        return port.value < kPortMax && members_[port.value];
    }

private:
    void add_bits(const AddressExpression& expression, std::vector<std::uint64_t>& hashes);
    [[nodiscard]] bool has(std::uint64_t hash) const noexcept;

    std::vector<const AddressExpression*> expressions_;  // While it is being built.
    std::vector<std::uint64_t> bits_;
    std::bitset<kPortMax> members_;
    unsigned shift_ = 0;
    bool any_v4_ = false, any_v6_ = false;
    std::uint8_t lengths_v4_ = 0, lengths_v6_ = 0;  // Bit i: length kLengths[i] occurs.
};

/// Protocols and destination ports.
class ServiceSieve {
public:
    void add(const std::vector<model::Service>& services);
    [[nodiscard]] bool may_hold(std::uint8_t protocol, std::uint16_t port) const noexcept;

private:
    using Ports = std::array<std::uint64_t, 1024>;
    void add_ports(Ports& ports, const model::PortRange& range) noexcept;

    bool any_ = false;
    std::array<std::uint64_t, 4> protocols_{};  // Other than TCP and UDP.
    Ports tcp_{}, udp_{};
};

class DifferenceSieve {
public:
    explicit DifferenceSieve(const std::vector<DfwRule>& rules);
    [[nodiscard]] bool may_match(const FlowQuery& query) const noexcept {
        return services_.may_hold(query.protocol, query.destination_port) &&
               may_be(sources_, query.source, query.holders.source, query.family) &&
               may_be(destinations_, query.destination, query.holders.destination, query.family);
    }

private:
    static bool may_be(const AddressSieve& sieve, const std::uint8_t* wire, PortIndex holder,
                       IpFamily family) noexcept {
        return sieve.may_hold(wire, family) || sieve.may_follow(holder);
    }

    AddressSieve sources_, destinations_;
    ServiceSieve services_;
};

}  // namespace sluice::iochain
