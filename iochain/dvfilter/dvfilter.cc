// SPDX-License-Identifier: Apache-2.0
// Slot 0, dvfilter: stateless ACL rules in order, both directions, every kind of frame. First and
// last word on a vNIC's traffic: the first slot from the VM, the last one to it. Compiled on the
// control thread; judged by workers.
#include "sluice/iochain/dvfilter.h"

#include "iochain/fingerprint.h"
#include "iochain/service_match.h"
#include "iochain/slot_entry.h"

namespace sluice {
namespace iochain {
namespace {

constexpr std::uint64_t to_u64(const MacAddr& mac) noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : mac.bytes) { value = (value << 8U) | byte; }
    return value;
}

/// 802.1Q VIDs, ethertypes and DSCPs leave room for a value that says "any".
constexpr std::uint32_t kAny = 0xffffffffU;

/// A rule in the order of cheapness of its tests; masks of zero match everything.
struct CompiledRule {
    std::uint64_t source_mac = 0, source_mac_mask = 0;
    std::uint64_t destination_mac = 0, destination_mac_mask = 0;
    std::uint32_t ethertype = kAny, vlan = kAny, dscp = kAny;
    bool permit = true, goes_on = false;
    std::uint8_t flags = 0, flags_mask = 0, set_dscp = kNoDscp;
    RuleId id;
    AddressList source, destination;
    std::vector<model::Service> services;
};

/// The key's fields as the rules want them, fetched once.
struct Subject {
    const FlowKey& key;
    std::uint64_t source_mac, destination_mac;
    std::uint32_t ethertype, vlan, dscp;
    IpAddr source, destination;
};

Subject subject_of(const FlowKey& key) noexcept {
    constexpr std::uint32_t kNothing = kAny - 1;  // Equals no rule's value.
    return {key,
            to_u64(key.source_mac),
            to_u64(key.destination_mac),
            key.ethertype.host(),
            key.has(kKeyTagged) ? key.vlan : kNothing,
            key.is_ip() ? key.dscp : kNothing,
            key.source(),
            key.destination()};
}

bool holds(const AddressList& list, const FlowKey& key, const IpAddr& ip) noexcept {
    if (list.empty()) { return true; }
    if (!key.is_ip()) { return false; }
    for (const auto& expression : list) {
        if (expression->contains(ip)) { return true; }
    }
    return false;
}

bool is_tcp(const FlowKey& key) noexcept {
    return key.is_ip() && key.protocol == model::kProtocolTcp;
}

bool holds(const std::vector<model::Service>& services, const FlowKey& key) noexcept {
    for (const model::Service& service : services) {
        if (matches(service, key)) { return true; }
    }
    return services.empty();
}

// All but the TCP flags.
bool rule_matches(const CompiledRule& rule, const Subject& subject) noexcept {
    const auto equal = [](std::uint32_t wanted, std::uint32_t is) {
        return wanted == kAny || wanted == is;
    };
    return (subject.source_mac & rule.source_mac_mask) == rule.source_mac &&
           (subject.destination_mac & rule.destination_mac_mask) == rule.destination_mac &&
           equal(rule.ethertype, subject.ethertype) && equal(rule.vlan, subject.vlan) &&
           equal(rule.dscp, subject.dscp) && (rule.flags_mask == 0 || is_tcp(subject.key)) &&
           holds(rule.services, subject.key) && holds(rule.source, subject.key, subject.source) &&
           holds(rule.destination, subject.key, subject.destination);
}

CompiledRule compile(const DvfilterRule& rule) {
    CompiledRule out;
    if (rule.source_mac) {
        out.source_mac_mask = to_u64(rule.source_mac->mask);
        out.source_mac = to_u64(rule.source_mac->value) & out.source_mac_mask;
    }
    if (rule.destination_mac) {
        out.destination_mac_mask = to_u64(rule.destination_mac->mask);
        out.destination_mac = to_u64(rule.destination_mac->value) & out.destination_mac_mask;
    }
    out.ethertype = rule.ethertype ? *rule.ethertype : kAny;
    out.vlan = rule.vlan ? *rule.vlan : kAny;
    out.dscp = rule.dscp ? *rule.dscp : kAny;
    out.permit = rule.permit;
    out.goes_on = rule.goes_on;
    if (rule.tcp_flags) {
        out.flags = rule.tcp_flags->value;
        out.flags_mask = rule.tcp_flags->mask;
    }
    out.set_dscp = rule.set_dscp.value_or(kNoDscp);
    out.id = rule.id;
    out.source = rule.source;
    out.destination = rule.destination;
    out.services = rule.services;
    return out;
}

void add(Fingerprint& print, const AddressList& list) noexcept {
    print.add(list.size());
    for (const auto& expression : list) { print.add(expression->fingerprint()); }
}

void add(Fingerprint& print, const model::Service& service) noexcept {
    print.add(service.protocol | (service.any ? 0x100U : 0U));
    print.add((std::uint64_t{service.source.first} << 48U) |
              (std::uint64_t{service.source.last} << 32U) |
              (std::uint64_t{service.destination.first} << 16U) | service.destination.last);
    print.add((service.icmp_type ? 0x100U | *service.icmp_type : 0U) |
              (service.icmp_code ? (0x100U | *service.icmp_code) << 16U : 0U));
}

void add(Fingerprint& print, const DvfilterRule& rule, const CompiledRule& compiled) noexcept {
    print.add(rule.id.value);
    print.add((rule.permit ? 1U : 0U) | (static_cast<unsigned>(rule.direction) << 1U) |
              (rule.goes_on ? 8U : 0U));
    print.add(compiled.flags | compiled.flags_mask << 8U | compiled.set_dscp << 16U);
    for (const std::uint64_t value :
         {compiled.source_mac, compiled.source_mac_mask, compiled.destination_mac,
          compiled.destination_mac_mask, std::uint64_t{compiled.ethertype},
          std::uint64_t{compiled.vlan}, std::uint64_t{compiled.dscp}}) {
        print.add(value);
    }
    add(print, rule.source);
    add(print, rule.destination);
    print.add(rule.services.size());
    for (const model::Service& service : rule.services) { add(print, service); }
}

/// One frame in one direction.
struct Question {
    const FlowKey& key;
    Direction direction;
    std::uint8_t tcp_flags;
    AclTrail* acl;
};

class DvfilterProgram final : public SlotProgram {
public:
    explicit DvfilterProgram(std::span<const DvfilterRule> rules) {
        Fingerprint print;
        for (const DvfilterRule& rule : rules) {
            const CompiledRule compiled = compile(rule);
            add(print, rule, compiled);
            if (rule.direction != model::RuleDirection::kIn) {
                of(Direction::kFromVm).push_back(compiled);
            }
            if (rule.direction != model::RuleDirection::kOut) {
                of(Direction::kToVm).push_back(compiled);
            }
        }
        fingerprint_ = print.value();
    }

    [[nodiscard]] DropReason judge(const Question& question, Decision& decision) const noexcept {
        const Subject subject = subject_of(question.key);
        for (const CompiledRule& rule : rules_[static_cast<std::size_t>(question.direction)]) {
            if (!rule_matches(rule, subject)) { continue; }
            decision.by_flags = decision.by_flags || rule.flags_mask != 0;
            if ((question.tcp_flags & rule.flags_mask) != rule.flags) { continue; }
            if (question.acl != nullptr) { question.acl->add(rule.id); }
            if (rule.set_dscp != kNoDscp) { decision.set_dscp = rule.set_dscp; }
            if (rule.goes_on) { continue; }
            return rule.permit ? DropReason::kNone : DropReason::kAclDeny;
        }
        return DropReason::kNone;
    }

    [[nodiscard]] std::array<std::uint64_t, 2> fingerprint() const noexcept override {
        return fingerprint_;
    }
    [[nodiscard]] const char* state() const noexcept override { return "active"; }

private:
    std::vector<CompiledRule>& of(Direction direction) noexcept {
        return rules_[static_cast<std::size_t>(direction)];
    }

    std::array<std::vector<CompiledRule>, 2> rules_;  // By Direction, in order.
    std::array<std::uint64_t, 2> fingerprint_{};
};

}  // namespace

DropReason decide_dvfilter(const SlotProgram& program, const DecideInput& input,
                           Decision& decision) noexcept {
    return static_cast<const DvfilterProgram&>(program).judge(
        {input.key, input.direction, input.tcp_flags, input.acl}, decision);
}

DropReason inspect_dvfilter(const SlotProgram& program, const InspectInput& input,
                            Decision& decision) noexcept {
    const ParsedFrame& frame = input.frame;
    return static_cast<const DvfilterProgram&>(program).judge(
        {frame.key, input.direction, frame.tcp_flags, input.acl}, decision);
}

}  // namespace iochain

std::shared_ptr<const SlotProgram> compile_dvfilter(std::span<const DvfilterRule> rules) {
    if (rules.empty()) { return nullptr; }
    return std::make_shared<const iochain::DvfilterProgram>(rules);
}

bool reads_dscp(std::span<const DvfilterRule> rules) noexcept {
    for (const DvfilterRule& rule : rules) {
        if (rule.dscp) { return true; }
    }
    return false;
}

}  // namespace sluice
