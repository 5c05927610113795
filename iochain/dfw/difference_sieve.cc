// SPDX-License-Identifier: Apache-2.0
// DifferenceSieve: see difference_sieve.h.
#include "iochain/dfw/difference_sieve.h"

#include <algorithm>
#include <bit>

#include "iochain/address_order.h"

namespace sluice::iochain {
namespace {

constexpr std::array<unsigned, 4> kLengthsV4 = {32, 24, 16, 8};
constexpr std::array<unsigned, 4> kLengthsV6 = {128, 64, 48, 32};
constexpr std::size_t kBitsMin = 512, kBitsMax = 1U << 22U;
constexpr std::size_t kBitsPerPrefix = 16;

constexpr std::uint64_t mixed(std::uint64_t value, std::uint64_t salt) noexcept {
    value = (value ^ salt) * 0x9e3779b97f4a7c15ULL;
    return (value ^ (value >> 32U)) * 0xd6e8feb86659fd93ULL;
}

std::uint64_t hash_v4(std::uint32_t address, unsigned i) noexcept {
    return mixed(address >> (32U - kLengthsV4[i]), i + 1U);
}

std::uint64_t hash_v6(Uint128 address, unsigned i) noexcept {
    const Uint128 kept = address >> (128U - kLengthsV6[i]);
    const auto low = static_cast<std::uint64_t>(kept);
    return mixed(low, mixed(static_cast<std::uint64_t>(kept >> 64U), i + 5U));
}

/// Index of the longest length up to `length`; 4 if there is none.
unsigned length_index(const std::array<unsigned, 4>& lengths, unsigned length) noexcept {
    const auto at =
        std::find_if(lengths.begin(), lengths.end(), [&](unsigned kept) { return kept <= length; });
    return static_cast<unsigned>(at - lengths.begin());
}

}  // namespace

void AddressSieve::add(const AddressList& list, bool negate) {
    if (list.empty() || negate) { any_v4_ = any_v6_ = true; }
    for (const auto& expression : list) {
        if (negate) { continue; }
        expressions_.push_back(expression.get());
        for (const PortIndex port : expression->members()) { members_.set(port.value); }
    }
}

void AddressSieve::add_bits(const AddressExpression& expression,
                            std::vector<std::uint64_t>& hashes) {
    for (const IpPrefix& prefix : expression.v4()) {
        const unsigned i = length_index(kLengthsV4, prefix.length);
        if (i == kLengthsV4.size()) {
            any_v4_ = true;
            continue;
        }
        lengths_v4_ = static_cast<std::uint8_t>(lengths_v4_ | 1U << i);
        hashes.push_back(hash_v4(prefix.address.v4_host(), i));
    }
    for (const IpPrefix& prefix : expression.v6()) {
        const unsigned i = length_index(kLengthsV6, prefix.length);
        if (i == kLengthsV6.size()) {
            any_v6_ = true;
            continue;
        }
        lengths_v6_ = static_cast<std::uint8_t>(lengths_v6_ | 1U << i);
        hashes.push_back(hash_v6(wide(prefix.address), i));
    }
}

void AddressSieve::build() {
    std::sort(expressions_.begin(), expressions_.end());
    expressions_.erase(std::unique(expressions_.begin(), expressions_.end()), expressions_.end());
    std::vector<std::uint64_t> hashes;
    for (const AddressExpression* expression : expressions_) { add_bits(*expression, hashes); }
    expressions_ = {};
    const std::size_t bits =
        std::clamp(std::bit_ceil(hashes.size() * kBitsPerPrefix + 1U), kBitsMin, kBitsMax);
    shift_ = 64U - static_cast<unsigned>(std::countr_zero(bits));
    bits_.assign(bits / 64U, 0);
    for (const std::uint64_t hash : hashes) {
        const std::uint64_t bit = hash >> shift_;
        bits_[bit / 64U] |= 1ULL << bit % 64U;
    }
}

bool AddressSieve::has(std::uint64_t hash) const noexcept {
    const std::uint64_t bit = hash >> shift_;
    return (bits_[bit / 64U] >> bit % 64U & 1U) != 0;
}

bool AddressSieve::may_hold(const std::uint8_t* wire, IpFamily family) const noexcept {
    const bool is_v4 = family == IpFamily::kV4;
    if (is_v4 ? any_v4_ : any_v6_) { return true; }
    const Uint128 value = wide(wire);
    for (unsigned left = is_v4 ? lengths_v4_ : lengths_v6_; left != 0; left &= left - 1U) {
        const auto i = static_cast<unsigned>(std::countr_zero(left));
        if (has(is_v4 ? hash_v4(static_cast<std::uint32_t>(value), i) : hash_v6(value, i))) {
            return true;
        }
    }
    return false;
}

void ServiceSieve::add_ports(Ports& ports, const model::PortRange& range) noexcept {
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
        ports[port / 64U] |= 1ULL << port % 64U;
    }
}

void ServiceSieve::add(const std::vector<model::Service>& services) {
    any_ = any_ || services.empty();
    for (const model::Service& service : services) {
        any_ = any_ || service.any;
        if (any_) { return; }
        if (service.protocol == model::kProtocolTcp) {
            add_ports(tcp_, service.destination);
        } else if (service.protocol == model::kProtocolUdp) {
            add_ports(udp_, service.destination);
        } else {
            protocols_[service.protocol / 64U] |= 1ULL << service.protocol % 64U;
        }
    }
}

bool ServiceSieve::may_hold(std::uint8_t protocol, std::uint16_t port) const noexcept {
    if (any_) { return true; }
    if (protocol == model::kProtocolTcp) { return (tcp_[port / 64U] >> port % 64U & 1U) != 0; }
    if (protocol == model::kProtocolUdp) { return (udp_[port / 64U] >> port % 64U & 1U) != 0; }
    return (protocols_[protocol / 64U] >> protocol % 64U & 1U) != 0;
}

DifferenceSieve::DifferenceSieve(const std::vector<DfwRule>& rules) {
    for (const DfwRule& rule : rules) {
        sources_.add(rule.source, rule.negate_source);
        destinations_.add(rule.destination, rule.negate_destination);
        services_.add(rule.services);
    }
    sources_.build();
    destinations_.build();
}

}  // namespace sluice::iochain
