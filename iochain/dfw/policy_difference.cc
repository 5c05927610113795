// SPDX-License-Identifier: Apache-2.0
// PolicyDifference: see policy_difference.h. What changed is collected in changed_rules.cc, put
// into a RuleTable of its own, and asked behind a sieve. Compile helper; matches() on workers.
#include "sluice/iochain/policy_difference.h"

#include "iochain/dfw/changed_rules.h"
#include "iochain/dfw/difference_sieve.h"
#include "iochain/dfw/rule_table.h"
#include "iochain/fingerprint.h"

namespace sluice {
namespace {

constexpr std::uint64_t to_u64(const MacAddr& mac) noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : mac.bytes) { value = (value << 8U) | byte; }
    return value;
}

void add(iochain::Fingerprint& print, const std::optional<model::MacMatch>& match) noexcept {
    print.add(match ? 1U : 0U);
    if (match) {
        print.add(to_u64(match->value));
        print.add(to_u64(match->mask));
    }
}

template <typename Number>
void add(iochain::Fingerprint& print, const std::optional<Number>& number) noexcept {
    print.add(number ? std::uint64_t{*number} + 1U : 0U);
}

iochain::FlowQuery query_of(const FlowKey& key) noexcept {
    return {key.source_ip, key.destination_ip,     key.family(),
            key.protocol,  key.source_port.host(), key.destination_port.host()};
}

iochain::FlowQuery turned(const FlowKey& key) noexcept {
    return {key.destination_ip,          key.source_ip,         key.family(), key.protocol,
            key.destination_port.host(), key.source_port.host()};
}

bool is_icmp(const FlowKey& key) noexcept {
    return key.protocol == model::kProtocolIcmp || key.protocol == model::kProtocolIcmpv6;
}

}  // namespace

PolicyRule policy_rule(const DfwRule& rule, std::shared_ptr<const PortSet> ports) {
    PolicyRule out;
    out.id = rule.id;
    iochain::Fingerprint print;
    print.add((rule.allow ? 1U : 0U) | (rule.reject ? 2U : 0U) | (rule.log ? 4U : 0U) |
              (rule.stateful ? 8U : 0U) | (rule.tcp_strict ? 16U : 0U));
    print.add(static_cast<std::uint64_t>(rule.direction));
    out.rest = print.value();
    out.source = rule.source;
    out.destination = rule.destination;
    out.negate_source = rule.negate_source;
    out.negate_destination = rule.negate_destination;
    out.services = rule.services;
    out.ports = std::move(ports);
    return out;
}

PolicyRule policy_rule(const DvfilterRule& rule, std::shared_ptr<const PortSet> ports) {
    PolicyRule out;
    out.id = rule.id;
    iochain::Fingerprint print;
    print.add((rule.permit ? 1U : 0U) | (rule.goes_on ? 2U : 0U));
    print.add(static_cast<std::uint64_t>(rule.direction));
    add(print, rule.source_mac);
    add(print, rule.destination_mac);
    add(print, rule.ethertype);
    add(print, rule.vlan);
    add(print, rule.dscp);
    add(print, rule.set_dscp);
    print.add(rule.tcp_flags ? 0x10000U | rule.tcp_flags->value | rule.tcp_flags->mask << 8U : 0U);
    out.rest = print.value();
    out.source = rule.source;
    out.destination = rule.destination;
    out.services = rule.services;
    out.beyond_ip =
        rule.source.empty() && rule.destination.empty() && rule.services.empty() && !rule.tcp_flags;
    out.ports = std::move(ports);
    return out;
}

struct PolicyDifference::Classifier {
    explicit Classifier(DfwInput input) : sieve(input.rules), table(input), every(table.size()) {
        for (std::uint32_t i = 0; i < table.size(); ++i) { every.set(i); }
    }
    [[nodiscard]] bool matches(const iochain::FlowQuery& query) const noexcept {
        return sieve.may_match(query) && table.judge(every, query) < table.size();
    }

    iochain::DifferenceSieve sieve;
    iochain::RuleTable table;
    iochain::DenseBits every;
    bool beyond_ip = false;  // Frames that are not IP match.
};

PolicyDifference::PolicyDifference(const PolicyImage& before, const PolicyImage& after,
                                   const PortSet& ports) {
    iochain::ChangedRules changed(before, after, ports);
    ports_ = changed.ports;
    size_ = changed.rules.size();
    if (size_ > kDifferenceRuleMax) { return; }
    DfwInput input;
    input.rules = std::move(changed.rules);
    auto classifier = std::make_unique<Classifier>(std::move(input));
    classifier->beyond_ip = changed.beyond_ip;
    classifier_ = std::move(classifier);
}

PolicyDifference::~PolicyDifference() = default;

bool PolicyDifference::matches(const FlowKey& key, bool is_reply) const noexcept {
    if (classifier_ == nullptr) { return true; }
    if (!key.is_ip()) { return classifier_->beyond_ip; }
    if (classifier_->matches(query_of(key))) { return true; }
    if (!is_reply) { return false; }
    // The opener's type is not in an ICMP answer's key.
    return is_icmp(key) || classifier_->matches(turned(key));
}

}  // namespace sluice
