// SPDX-License-Identifier: Apache-2.0
// The classifier of slot 2 against a plain second implementation: rules in order, each tested field
// by field. Random rules and keys; the seed is printed on failure (SLUICE_SEED repeats a run).
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "iochain/address_order.h"
#include "sluice/iochain/dfw.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice {
namespace {

using model::RuleDirection;
using model::Service;

std::uint64_t seed() {
    const char* text = std::getenv("SLUICE_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : std::random_device{}();
}

/// A rule, and the prefixes as they were written.
struct PlainRule {
    DfwRule rule;
    std::vector<IpPrefix> source, destination;
};

bool in_any(const std::vector<IpPrefix>& prefixes, const IpAddr& ip) {
    for (const IpPrefix& prefix : prefixes) {
        if (prefix.contains(ip)) { return true; }
    }
    return false;
}

bool service_matches(const Service& s, const FlowKey& key) {
    if (s.any) { return true; }
    if (s.protocol != key.protocol) { return false; }
    const unsigned source = key.source_port.host();
    const unsigned destination = key.destination_port.host();
    if (model::has_ports(s.protocol)) {
        return s.source.first <= source && source <= s.source.last &&
               s.destination.first <= destination && destination <= s.destination.last;
    }
    if (s.icmp_type && *s.icmp_type != source / 256) { return false; }
    return !s.icmp_code || *s.icmp_code == source % 256;
}

bool plain_match(const PlainRule& plain, const FlowKey& key, Direction direction) {
    const DfwRule& rule = plain.rule;
    if (rule.direction == RuleDirection::kIn && direction == Direction::kFromVm) { return false; }
    if (rule.direction == RuleDirection::kOut && direction == Direction::kToVm) { return false; }
    if (!rule.source.empty() && in_any(plain.source, key.source()) == rule.negate_source) {
        return false;
    }
    if (!rule.destination.empty() &&
        in_any(plain.destination, key.destination()) == rule.negate_destination) {
        return false;
    }
    for (const Service& service : rule.services) {
        if (service_matches(service, key)) { return true; }
    }
    return rule.services.empty();
}

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::uint32_t below(std::uint32_t bound) {
        return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(engine_);
    }
    bool one_in(std::uint32_t n) { return below(n) == 0; }

    /// Addresses from a small world, so that prefixes of every length hit.
    IpAddr address() {
        if (one_in(2)) {
            return IpAddr::v4(one_in(8) ? below(~0U) : 0x0a000000U | (below(4) << 16U) | below(64));
        }
        std::array<std::uint8_t, 16> wire{0x20, 0x01, 0x0d, 0xb8};
        if (one_in(8)) { wire[0] = static_cast<std::uint8_t>(below(256)); }
        for (const std::size_t i : {4U, 7U, 8U, 15U}) {
            wire[i] = static_cast<std::uint8_t>(below(4) * (one_in(2) ? 1 : 64));
        }
        return IpAddr::v6(wire);
    }
    IpPrefix prefix() {
        IpPrefix p{address(), 0};
        const std::uint8_t width = p.address.is_v4() ? 32 : 128;
        p.length = one_in(3) ? width : static_cast<std::uint8_t>(below(width + 1U));
        const iochain::Uint128 kept = iochain::wide(p.address) & ~iochain::host_mask(p);
        for (unsigned i = 0; i < 16; ++i) {
            p.address.bytes[i] = static_cast<std::uint8_t>(kept >> (120U - 8U * i));
        }
        return p;
    }
    std::vector<IpPrefix> prefixes() {
        std::vector<IpPrefix> list(below(5));
        for (IpPrefix& p : list) { p = prefix(); }
        return list;
    }
    std::uint16_t port() {
        return static_cast<std::uint16_t>(one_in(8) ? below(65536) : 50 + below(40));
    }
    model::PortRange range() {
        if (one_in(3)) { return {}; }
        const std::uint16_t a = port();
        const std::uint16_t b = one_in(2) ? a : port();
        return {std::min(a, b), std::max(a, b)};
    }
    std::uint8_t protocol() {
        constexpr std::array<std::uint8_t, 6> kProtocols = {6, 17, 132, 1, 58, 47};
        return kProtocols[below(6)];
    }
    Service service() {
        Service s;
        s.protocol = protocol();
        s.any = one_in(20);
        if (model::has_ports(s.protocol)) {
            s.destination = range();
            if (one_in(3)) { s.source = range(); }
        } else if (s.protocol != 47 && one_in(2)) {
            s.icmp_type = static_cast<std::uint8_t>(below(4));
            if (one_in(2)) { s.icmp_code = static_cast<std::uint8_t>(below(3)); }
        }
        return s;
    }
    FlowKey key() {
        const IpAddr source = address();
        IpAddr destination = address();
        while (destination.family != source.family) { destination = address(); }
        FlowKey key = test::flow_key(source, destination, protocol(), port(), port());
        if (model::has_ports(key.protocol)) { return key; }
        const bool icmp = key.protocol != 47;
        key.source_port =
            Be16::from_host(static_cast<std::uint16_t>(icmp ? below(4) << 8U | below(3) : 0));
        key.destination_port = Be16::from_host(icmp ? port() : std::uint16_t{0});
        return key;
    }

private:
    std::mt19937_64 engine_;
};

/// A host's rules over a pool of shared expressions.
struct PlainFirewall {
    std::vector<PlainRule> rules;
    DfwInput input;
};

PlainFirewall random_firewall(Random& random, std::uint32_t rule_count) {
    std::vector<std::vector<IpPrefix>> pool(1 + random.below(40));
    AddressList shared;
    for (auto& prefixes : pool) {
        prefixes = random.prefixes();
        shared.push_back(std::make_shared<const AddressExpression>(prefixes));
    }
    const auto draw = [&](AddressList& list, std::vector<IpPrefix>& plain) {
        for (std::uint32_t n = random.below(4); n > 0; --n) {
            const std::uint32_t i = random.below(static_cast<std::uint32_t>(pool.size()));
            list.push_back(shared[i]);
            plain.insert(plain.end(), pool[i].begin(), pool[i].end());
        }
    };
    PlainFirewall firewall;
    for (std::uint32_t i = 0; i < rule_count; ++i) {
        PlainRule plain;
        plain.rule.id = RuleId{i + 2};
        plain.rule.direction = static_cast<RuleDirection>(random.below(3));
        draw(plain.rule.source, plain.source);
        draw(plain.rule.destination, plain.destination);
        plain.rule.negate_source = !plain.rule.source.empty() && random.one_in(5);
        plain.rule.negate_destination = !plain.rule.destination.empty() && random.one_in(5);
        for (std::uint32_t n = random.below(4); n > 0; --n) {
            plain.rule.services.push_back(random.service());
        }
        firewall.input.rules.push_back(plain.rule);
        firewall.rules.push_back(std::move(plain));
    }
    firewall.input.default_rule = RuleId{1};
    return firewall;
}

RuleId plain_decide(const PlainFirewall& firewall, const std::vector<std::uint32_t>& applied,
                    const FlowKey& key, Direction direction) {
    for (const std::uint32_t i : applied) {
        if (plain_match(firewall.rules[i], key, direction)) { return firewall.rules[i].rule.id; }
    }
    return firewall.input.default_rule;
}

TEST(Classifier, AgreesWithLinearMatchOnRandomRules) {
    const std::uint64_t start = seed();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(start));
    Random random(start);
    unsigned matched = 0;
    for (int round = 0; round < 250; ++round) {
        const PlainFirewall firewall =
            random_firewall(random, random.below(round % 50 == 0 ? 9000 : 200));
        DfwCompiler compiler(firewall.input);
        std::vector<std::uint32_t> applied;
        const bool sparse = random.one_in(2);
        for (std::uint32_t i = 0; i < firewall.rules.size(); ++i) {
            if (!sparse || random.one_in(3)) { applied.push_back(i); }
        }
        ChainProgram chain;
        chain.slots[kSlotDfw] = compiler.compile(applied);
        for (int n = 0; n < 400; ++n) {
            const FlowKey key = random.key();
            const Direction direction = random.one_in(2) ? Direction::kFromVm : Direction::kToVm;
            const RuleId expected = plain_decide(firewall, applied, key, direction);
            matched += expected.value != 1 ? 1 : 0;
            ASSERT_EQ(decide(chain, {key, direction}).rule.value, expected.value)
                << "round " << round << " key " << n;
        }
    }
    EXPECT_GT(matched, 10000U);
    EXPECT_LT(matched, 95000U);
}

TEST(Classifier, FindsLateRulesAmongManyThatAlmostMatch) {
    DfwInput input;
    input.default_rule = RuleId{1};
    const auto net =
        std::make_shared<const AddressExpression>(std::vector{test::prefix("10.0.0.0/8")});
    for (std::uint32_t i = 0; i < 70000; ++i) {
        DfwRule rule;
        rule.id = RuleId{i + 2};
        const auto own = std::make_shared<const AddressExpression>(
            std::vector{IpPrefix{IpAddr::v4(0x0b000000U + i), 32}});
        rule.source = {i % 2 == 0 ? net : own};
        rule.destination = {i % 2 == 0 ? own : net};
        rule.services = {test::service(6, {static_cast<std::uint16_t>(i % 1000), 1000})};
        input.rules.push_back(rule);
    }
    std::vector<std::uint32_t> all(input.rules.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) { all[i] = i; }
    ChainProgram chain;
    chain.slots[kSlotDfw] = DfwCompiler(input).compile(all);
    for (const std::uint32_t i : {0U, 4096U, 65534U, 69998U}) {
        const FlowKey key =
            test::flow_key(test::ip("10.1.2.3"), IpAddr::v4(0x0b000000U + i), 6, 1, 1000);
        EXPECT_EQ(decide(chain, {key, Direction::kFromVm}).rule.value, i + 2);
    }
    const FlowKey stranger = test::flow_key(test::ip("12.0.0.1"), test::ip("10.0.0.1"), 6, 1, 1000);
    EXPECT_EQ(decide(chain, {stranger, Direction::kFromVm}).rule.value, 1U);
}

TEST(AddressExpression, IsCanonical) {
    using test::prefix;
    const AddressExpression written({prefix("10.0.1.0/24"), prefix("10.0.0.0/24"),
                                     prefix("10.0.1.7"), prefix("2001:db8::/64"),
                                     prefix("2001:db8:0:1::/64"), prefix("10.0.0.0/24")});
    ASSERT_EQ(written.v4().size(), 1U);
    EXPECT_EQ(to_string(written.v4()[0]), "10.0.0.0/23");
    ASSERT_EQ(written.v6().size(), 1U);
    EXPECT_EQ(to_string(written.v6()[0]), "2001:db8::/63");
    const AddressExpression plain({prefix("10.0.0.0/23"), prefix("2001:db8::/63")});
    EXPECT_EQ(written.fingerprint(), plain.fingerprint());
    EXPECT_NE(written.fingerprint(), AddressExpression({prefix("10.0.0.0/23")}).fingerprint());
    EXPECT_TRUE(written.contains(test::ip("10.0.1.255")));
    EXPECT_FALSE(written.contains(test::ip("10.0.2.0")));
    EXPECT_TRUE(written.contains(test::ip("2001:db8:0:1::9")));
    EXPECT_FALSE(written.contains(test::ip("2001:db8:0:2::")));
}

TEST(AddressExpression, KeepsFamiliesApart) {
    const AddressExpression v4({test::prefix("0.0.0.0/0")});
    EXPECT_TRUE(v4.contains(test::ip("255.255.255.255")));
    EXPECT_FALSE(v4.contains(test::ip("::1")));
    const AddressExpression v6({test::prefix("::/0")});
    EXPECT_FALSE(v6.contains(test::ip("0.0.0.1")));
    EXPECT_TRUE(v6.contains(test::ip("ffff::")));
    EXPECT_FALSE(AddressExpression({}).contains(test::ip("::")));
}

}  // namespace
}  // namespace sluice
