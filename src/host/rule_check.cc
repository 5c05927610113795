// SPDX-License-Identifier: Apache-2.0
// See rule_check.h. Rules that cover one match every frame that it matches, so they are looked for
// among those that match one of them: the firewall's own classifier finds these, and each is
// compared list by list.
#include "src/host/rule_check.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "iochain/dfw/applied_rules.h"
#include "sluice/model/resolve.h"
#include "src/host/rule_cover.h"

namespace sluice::host {
namespace {

constexpr std::size_t kCandidateMax = 1024;  // Earlier rules that a rule is compared with.
constexpr std::size_t kPieceMax = 16;        // Items of a list that is split.

/// All rules of ACLs or of the firewall, resolved.
class Rules {
public:
    explicit Rules(const model::Document& document) : document_(document), resolver_(document) {}

    void add_acls() {
        for (const model::Acl& acl : document_.acls) {
            for (const model::AclRule& rule : acl.rules) {
                CoverRule out;
                out.section = "acl " + acl.name;
                out.action = rule.action == model::AclAction::kPermit ? "permit" : "deny";
                out.applied_to = ports(acl.applied_to);
                out.acl = &rule;
                add(rule, std::move(out));
            }
        }
    }
    void add_firewall() {
        for (const model::Section& section : document_.dfw.sections) {
            for (const model::Rule& rule : section.rules) {
                CoverRule out;
                out.section = section.name;
                out.action = action_of(rule, section);
                out.applied_to = ports(rule.applied_to);
                out.negate_source = rule.negate_source;
                out.negate_destination = rule.negate_destination;
                add(rule, std::move(out));
            }
        }
    }
    [[nodiscard]] const std::vector<CoverRule>& all() const noexcept { return rules_; }

    /// A list of one item, for a piece of a rule.
    std::shared_ptr<const NamedAddresses> addresses(const std::vector<std::string>& list) {
        auto& at = by_list_[list];
        if (!at) { at = resolve(list); }
        return at;
    }
    [[nodiscard]] const std::vector<std::string>& source_items(std::size_t i) const {
        return *items_[i].first;
    }
    [[nodiscard]] const std::vector<std::string>& destination_items(std::size_t i) const {
        return *items_[i].second;
    }

private:
    using Ports = std::bitset<kPortMax>;

    static std::string action_of(const model::Rule& rule, const model::Section& section) {
        switch (rule.action) {
            case model::DfwAction::kAllow: return section.stateful ? "allow" : "allow stateless";
            case model::DfwAction::kDrop: return "drop";
            case model::DfwAction::kReject: return "reject";
        }
        return {};
    }

    template <typename Rule>
    void add(const Rule& rule, CoverRule out) {
        out.name = rule.name;
        out.direction = rule.direction;
        out.source = addresses(rule.source);
        out.destination = addresses(rule.destination);
        const bool any = std::any_of(rule.services.begin(), rule.services.end(),
                                     [](const model::Service& each) { return each.any; });
        if (!any) { out.services = rule.services; }
        rules_.push_back(std::move(out));
        items_.emplace_back(&rule.source, &rule.destination);
    }

    std::shared_ptr<const NamedAddresses> resolve(const std::vector<std::string>& list) {
        auto out = std::make_shared<NamedAddresses>();
        out->any = list.empty();
        std::vector<IpPrefix> fixed;
        for (const std::string& item : list) {
            model::Addresses one = resolver_.addresses(item);
            const model::PortIndices ports = resolver_.ports(item);
            const bool names_ports = !ports.empty() || resolver_.group(item) != nullptr ||
                                     resolver_.port_group(item) != nullptr;
            out->may_learn = out->may_learn || !ports.empty();
            if (names_ports) {
                out->ports.push_back(item);
            } else {
                fixed.insert(fixed.end(), one.prefixes.begin(), one.prefixes.end());
            }
            out->items.push_back(
                std::make_shared<const AddressExpression>(std::move(one.prefixes)));
        }
        std::sort(out->ports.begin(), out->ports.end());
        out->fixed = std::make_shared<const AddressExpression>(std::move(fixed));
        return out;
    }

    std::shared_ptr<const Ports> ports(const std::vector<std::string>& list) {
        auto& at = ports_by_list_[list];
        if (!at) {
            auto out = std::make_shared<Ports>();
            for (const std::size_t port : resolver_.ports(list)) { out->set(port); }
            at = std::move(out);
        }
        return at;
    }

    const model::Document& document_;
    model::Resolver resolver_;
    std::vector<CoverRule> rules_;
    std::vector<std::pair<const std::vector<std::string>*, const std::vector<std::string>*>> items_;
    std::map<std::vector<std::string>, std::shared_ptr<const NamedAddresses>> by_list_;
    std::map<std::vector<std::string>, std::shared_ptr<const Ports>> ports_by_list_;
};

/// An address that a list matches.
std::optional<IpAddr> sample_of(const NamedAddresses& list, bool negated, IpFamily family) {
    const bool is_v4 = family == IpFamily::kV4;
    if (!list.any && !negated) {
        for (const auto& item : list.items) {
            const auto prefixes = is_v4 ? item->v4() : item->v6();
            if (!prefixes.empty()) { return prefixes.front().address; }
        }
        return std::nullopt;
    }
    for (std::uint32_t i = 0; i < 64; ++i) {  // Scattered over the family's addresses.
        std::array<std::uint8_t, 16> wire{static_cast<std::uint8_t>(i * 37U), 1, 2, 3};
        const IpAddr ip = is_v4 ? IpAddr::v4(i * 0x9e3779b9U) : IpAddr::v6(wire);
        const bool is_listed = std::any_of(list.items.begin(), list.items.end(),
                                           [&](const auto& item) { return item->contains(ip); });
        if (!is_listed) { return ip; }
    }
    return std::nullopt;
}

/// A flow that a rule matches.
struct Sample {
    IpAddr source, destination;
    iochain::FlowQuery query;
};

bool make_sample(const CoverRule& rule, Sample& out) {
    for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
        const auto source = sample_of(*rule.source, rule.negate_source, family);
        const auto destination = sample_of(*rule.destination, rule.negate_destination, family);
        if (!source || !destination) { continue; }
        out.source = *source;
        out.destination = *destination;
        model::Service service;
        service.protocol = 255;  // Whatever covers any protocol covers this one.
        if (!rule.services.empty()) { service = rule.services.front(); }
        const bool has_ports = model::has_ports(service.protocol);
        const unsigned type =
            (service.icmp_type.value_or(0) * 256U) | service.icmp_code.value_or(0);
        out.query = {out.source.bytes.data(),
                     out.destination.bytes.data(),
                     family,
                     service.protocol,
                     has_ports ? service.source.first : static_cast<std::uint16_t>(type),
                     service.destination.first};
        return true;
    }
    return false;
}

/// Looks for earlier rules that cover one.
class CoverSearch {
public:
    explicit CoverSearch(Rules& rules)
        : rules_(rules), table_(input_of(rules.all())), applied_(table_, every(table_.size())) {}

    /// The first rule before number `end` that covers `rule`.
    [[nodiscard]] std::optional<std::size_t> first_cover(const CoverRule& rule,
                                                         std::size_t end) const {
        Sample sample;
        if (!make_sample(rule, sample)) { return std::nullopt; }
        const Direction direction =
            rule.direction == model::RuleDirection::kIn ? Direction::kToVm : Direction::kFromVm;
        std::optional<std::size_t> found;
        std::size_t looked_at = 0;
        applied_.for_each_match(direction, sample.query, [&](std::uint32_t i) {
            if (i >= end || ++looked_at > kCandidateMax) { return true; }
            if (covers(rules_.all()[i], rule)) { found = i; }
            return found.has_value();
        });
        return found;
    }

    /// Rules before number `i` of which each covers a part of it, all of them the whole.
    [[nodiscard]] std::vector<std::size_t> cover_in_parts(std::size_t i) const {
        const CoverRule& rule = rules_.all()[i];
        auto found = cover_pieces(i, rule.services.size(), [&](CoverRule& piece, std::size_t n) {
            piece.services = {rule.services[n]};
        });
        if (found.empty() && !rule.negate_source) {
            const auto& items = rules_.source_items(i);
            found = cover_pieces(i, items.size(), [&](CoverRule& piece, std::size_t n) {
                piece.source = rules_.addresses({items[n]});
            });
        }
        if (found.empty() && !rule.negate_destination) {
            const auto& items = rules_.destination_items(i);
            found = cover_pieces(i, items.size(), [&](CoverRule& piece, std::size_t n) {
                piece.destination = rules_.addresses({items[n]});
            });
        }
        return found;
    }

private:
    static DfwInput input_of(const std::vector<CoverRule>& rules) {
        DfwInput input;
        input.default_rule = RuleId{1};
        for (const CoverRule& rule : rules) {
            DfwRule out;
            out.id = RuleId{2};
            out.direction = rule.direction;
            out.source = rule.source->items;
            out.destination = rule.destination->items;
            out.negate_source = rule.negate_source;
            out.negate_destination = rule.negate_destination;
            out.services = rule.services;
            input.rules.push_back(std::move(out));
        }
        return input;
    }
    static std::vector<std::uint32_t> every(std::uint32_t count) {
        std::vector<std::uint32_t> out(count);
        std::iota(out.begin(), out.end(), 0U);
        return out;
    }

    template <typename Cut>
    std::vector<std::size_t> cover_pieces(std::size_t i, std::size_t count, Cut&& cut) const {
        std::vector<std::size_t> found;
        if (count < 2 || count > kPieceMax) { return found; }
        for (std::size_t n = 0; n < count; ++n) {
            CoverRule piece = rules_.all()[i];
            cut(piece, n);
            const auto by = first_cover(piece, i);
            if (!by) { return {}; }
            found.push_back(*by);
        }
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
        return found;
    }

    Rules& rules_;
    iochain::RuleTable table_;
    iochain::AppliedRules applied_;
};

std::string full_name(const CoverRule& rule) { return rule.section + "/" + rule.name; }

RuleFinding covered(const std::vector<CoverRule>& rules, std::size_t i,
                    const std::vector<std::size_t>& by) {
    const CoverRule& rule = rules[i];
    RuleFinding out{rule.section, rule.name, RuleFault::kRedundant, {}, {}};
    std::string actions;
    for (const std::size_t each : by) {
        out.by.push_back(full_name(rules[each]));
        if (rules[each].action != rule.action) { out.fault = RuleFault::kShadowed; }
    }
    const bool is_one = by.size() == 1;
    if (out.fault == RuleFault::kShadowed) {
        out.detail = is_one ? "the earlier rule matches all of it first, with " +
                                  rules[by.front()].action + " instead of " + rule.action
                            : "the earlier rules together match all of it first, not all with " +
                                  rule.action;
    } else if (is_one && covers(rule, rules[by.front()])) {
        out.fault = RuleFault::kDuplicate;
        out.detail = "the earlier rule matches the same, with the same action";
    } else {
        out.detail = std::string(is_one ? "the earlier rule matches" : "the earlier rules match") +
                     " all of it first, with the same action";
    }
    return out;
}

bool is_asked(const CoverRule& rule, const RuleCheckOptions& options) {
    return (options.section.empty() || rule.section == options.section) &&
           (options.rule.empty() || rule.name == options.rule);
}

std::optional<RuleFinding> check_one(const Rules& rules, const CoverSearch& search, std::size_t i,
                                     const RuleCheckOptions& options) {
    const CoverRule& rule = rules.all()[i];
    if (std::string why = why_never(rule); !why.empty()) {
        return RuleFinding{rule.section, rule.name, RuleFault::kNeverMatches, {}, std::move(why)};
    }
    if (const auto by = search.first_cover(rule, i)) { return covered(rules.all(), i, {*by}); }
    if (const auto by = search.cover_in_parts(i); !by.empty()) {
        return covered(rules.all(), i, by);
    }
    if (!options.never_hit) { return std::nullopt; }
    if (auto since = options.never_hit(rule.section, rule.name)) {
        return RuleFinding{
            rule.section, rule.name, RuleFault::kNeverHit, {}, "no hit since " + *since};
    }
    return std::nullopt;
}

void check(Rules& rules, const RuleCheckOptions& options, std::vector<RuleFinding>& out) {
    const CoverSearch search(rules);
    for (std::size_t i = 0; i < rules.all().size(); ++i) {
        if (!is_asked(rules.all()[i], options)) { continue; }
        if (auto finding = check_one(rules, search, i, options)) {
            out.push_back(std::move(*finding));
        }
    }
}

}  // namespace

const char* to_text(RuleFault fault) noexcept {
    switch (fault) {
        case RuleFault::kNeverMatches: return "never_matches";
        case RuleFault::kDuplicate: return "duplicate";
        case RuleFault::kRedundant: return "redundant";
        case RuleFault::kShadowed: return "shadowed";
        case RuleFault::kNeverHit: return "never_hit";
    }
    return "";
}

std::vector<RuleFinding> check_rules(const model::Document& document,
                                     const RuleCheckOptions& options) {
    std::vector<RuleFinding> out;
    Rules acls(document);
    acls.add_acls();
    check(acls, options, out);
    Rules firewall(document);
    firewall.add_firewall();
    check(firewall, options, out);
    return out;
}

}  // namespace sluice::host
