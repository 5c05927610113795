// SPDX-License-Identifier: Apache-2.0
// Readers of address_sets, groups, acls and dfw. Lists in which `any` stands come out empty;
// whether the other names exist is check_document's question.
#include <algorithm>

#include "controller-agent/document_reader.h"
#include "controller-agent/service_text.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::AclAction;
using model::Alg;
using model::DfwAction;
using model::RuleDirection;

/// Makes ["any"] the empty list, which means the same.
void drop_any(Fields& fields, std::string_view key, std::vector<std::string>& items) {
    if (std::find(items.begin(), items.end(), "any") == items.end()) { return; }
    if (items.size() > 1) {
        fields.refuse(Errc::kInvalid, key, "holds \"any\" beside other items, it stands alone");
    }
    items.clear();
}

void read_direction(Fields& fields, RuleDirection& out) {
    fields.choice(
        "direction", out,
        {{"both", RuleDirection::kBoth}, {"in", RuleDirection::kIn}, {"out", RuleDirection::kOut}});
}

void read_mac_match(Fields& fields, std::string_view key, std::optional<model::MacMatch>& out) {
    std::string text;
    if (!fields.text(key, text) || text == "any") { return; }
    out = parse_mac_match(text);
    if (!out) {
        fields.refuse(Errc::kInvalid, key,
                      shown(std::string_view(text)) +
                          " is not any, MAC or MAC/MASK without bits outside the mask");
    }
}

void read_ethertype(Fields& fields, std::optional<std::uint16_t>& out) {
    std::string text;
    if (!fields.text("ethertype", text)) { return; }
    out = parse_ethertype(text);
    if (!out) {
        fields.refuse(Errc::kInvalid, "ethertype",
                      shown(std::string_view(text)) + " is not 0x0600..0xffff in hex like 0x0800");
    }
}

template <typename T>
void read_optional(Fields& fields, std::string_view key, std::optional<T>& out, std::uint64_t min,
                   std::uint64_t max) {
    T value = 0;
    if (fields.number(key, value, min, max)) { out = value; }
}

void read_tcp_flags(Fields& fields, model::AclRule& rule) {
    std::string text;
    if (!fields.text("tcp_flags", text)) { return; }
    rule.tcp_flags = parse_tcp_flags(text);
    if (!rule.tcp_flags) {
        fields.refuse(Errc::kInvalid, "tcp_flags",
                      shown(std::string_view(text)) +
                          " is not a list like \"syn,!ack\" of fin, syn, rst, psh, ack, urg, ece, "
                          "cwr, each once");
    }
    const auto is_tcp = [](const model::Service& service) {
        return service.protocol == model::kProtocolTcp;
    };
    if (!rule.services.empty() &&
        std::none_of(rule.services.begin(), rule.services.end(), is_tcp)) {
        fields.refuse(Errc::kInvalid, "tcp_flags",
                      shown(std::string_view(text)) + " can't match, no service is of TCP");
    }
}

void read_acl_rule(Fields& fields, std::string name, model::Acl& acl) {
    model::AclRule rule;
    rule.name = std::move(name);
    fields.choice(
        "action", rule.action,
        {{"permit", AclAction::kPermit}, {"deny", AclAction::kDeny}, {"count", AclAction::kCount}});
    read_direction(fields, rule.direction);
    read_items(fields, "source", rule.source);
    read_items(fields, "destination", rule.destination);
    read_services(fields, rule.services);
    read_mac_match(fields, "source_mac", rule.source_mac);
    read_mac_match(fields, "destination_mac", rule.destination_mac);
    read_ethertype(fields, rule.ethertype);
    read_optional(fields, "vlan", rule.vlan, kVlanMin, kVlanMax);
    read_optional(fields, "dscp", rule.dscp, 0, 63);
    read_tcp_flags(fields, rule);
    read_optional(fields, "set_dscp", rule.set_dscp, 0, 63);
    if (rule.set_dscp && rule.action == AclAction::kDeny) {
        fields.refuse(Errc::kInvalid, "set_dscp",
                      std::to_string(*rule.set_dscp) + " marks what passes, the action is deny");
    }
    acl.rules.push_back(std::move(rule));
}

void read_acl(Fields& fields, std::string name, Fault& fault, model::Document& document) {
    model::Acl acl;
    acl.name = std::move(name);
    read_items(fields, "applied_to", acl.applied_to);
    each_named(fields, "rules", fields.object() + " rule", kRuleMax, fault,
               [&](Fields& f, std::string rule) { read_acl_rule(f, std::move(rule), acl); });
    document.acls.push_back(std::move(acl));
}

void read_dfw_action(Fields& fields, std::string_view key, DfwAction& out) {
    fields.choice(
        key, out,
        {{"allow", DfwAction::kAllow}, {"drop", DfwAction::kDrop}, {"reject", DfwAction::kReject}});
}

void read_rule(Fields& fields, std::string name, model::Section& section) {
    model::Rule rule;
    rule.name = std::move(name);
    read_dfw_action(fields, "action", rule.action);
    read_direction(fields, rule.direction);
    read_items(fields, "source", rule.source);
    read_items(fields, "destination", rule.destination);
    fields.flag("negate_source", rule.negate_source);
    fields.flag("negate_destination", rule.negate_destination);
    read_services(fields, rule.services);
    read_items(fields, "applied_to", rule.applied_to);
    fields.choice("alg", rule.alg,
                  {{"none", Alg::kNone}, {"ftp", Alg::kFtp}, {"tftp", Alg::kTftp}});
    fields.flag("log", rule.log);
    section.rules.push_back(std::move(rule));
}

void read_section(Fields& fields, std::string name, Fault& fault, model::Dfw& dfw) {
    model::Section section;
    section.name = std::move(name);
    fields.flag("stateful", section.stateful);
    fields.flag("tcp_strict", section.tcp_strict);
    each_named(fields, "rules", fields.object() + " rule", kRulePerSectionMax, fault,
               [&](Fields& f, std::string rule) { read_rule(f, std::move(rule), section); });
    dfw.sections.push_back(std::move(section));
}

void read_timeouts(Fields fields, model::Timeouts& timeouts) {
    const auto seconds = [&fields](std::string_view key, std::uint32_t& out) {
        fields.number(key, out, 1, kTimeoutMaxS);
    };
    seconds("tcp_syn_sent_s", timeouts.tcp_syn_sent_s);
    seconds("tcp_syn_received_s", timeouts.tcp_syn_received_s);
    seconds("tcp_established_s", timeouts.tcp_established_s);
    seconds("tcp_fin_wait_s", timeouts.tcp_fin_wait_s);
    seconds("tcp_close_wait_s", timeouts.tcp_close_wait_s);
    seconds("tcp_last_ack_s", timeouts.tcp_last_ack_s);
    seconds("tcp_time_wait_s", timeouts.tcp_time_wait_s);
    seconds("tcp_close_s", timeouts.tcp_close_s);
    seconds("udp_s", timeouts.udp_s);
    seconds("udp_stream_s", timeouts.udp_stream_s);
    seconds("icmp_s", timeouts.icmp_s);
    seconds("other_s", timeouts.other_s);
    seconds("fragment_v4_s", timeouts.fragment_v4_s);
    seconds("fragment_v6_s", timeouts.fragment_v6_s);
    fields.finish();
}

void read_dfw_limits(Fields fields, model::DfwLimits& limits) {
    fields.number("connections_per_port", limits.connections_per_port, 0, kConnectionMax);
    fields.number("half_open_per_port", limits.half_open_per_port, 0, kConnectionMax);
    fields.number("connections", limits.connections, 0, kConnectionMax);
    fields.finish();
}

void read_dfw(Fields fields, Fault& fault, model::Dfw& dfw) {
    read_dfw_action(fields, "default", dfw.default_action);
    each_named(fields, "sections", "dfw section", kSectionMax, fault,
               [&](Fields& f, std::string name) { read_section(f, std::move(name), fault, dfw); });
    fields.texts("exclude", dfw.exclude, kRuleItemMax);
    fields.number("grace_s", dfw.grace_s, 0, kGraceMaxS);
    read_timeouts(fields.nested("timeouts"), dfw.timeouts);
    read_dfw_limits(fields.nested("limits"), dfw.limits);
    fields.finish();
}

}  // namespace

void read_items(Fields& fields, std::string_view key, std::vector<std::string>& out) {
    fields.texts(key, out, kRuleItemMax);
    drop_any(fields, key, out);
}

void read_services(Fields& fields, std::vector<model::Service>& out) {
    std::vector<std::string> items;
    fields.texts("services", items, kRuleItemMax);
    drop_any(fields, "services", items);
    for (const std::string& item : items) {
        const auto service = parse_service(item);
        if (!service) {
            fields.refuse(Errc::kInvalid, "services",
                          "holds " + shown(std::string_view(item)) +
                              ", which is not a service like tcp, tcp/80, udp/8000-8080, "
                              "tcp/80:1024-65535, icmp/8, icmpv6/128/0 or ip/47 (ports 0..65535, "
                              "ranges forwards)");
            return;
        }
        out.push_back(*service);
    }
}

void read_rule_of(const nlohmann::json& item, Fault& fault, model::Section& section) {
    const std::string object = "dfw section " + section.name;
    std::string name = read_name(item, object + " rules", fault);
    if (fault.any()) { return; }
    Fields fields(&item, object + " rule " + name, "", fault);
    fields.take("name");
    read_rule(fields, std::move(name), section);
    fields.finish();
}

void read_policy(Fields& root, Fault& fault, model::Document& document) {
    each_named(root, "address_sets", "address_set", kAddressSetMax, fault,
               [&](Fields& f, std::string name) {
                   model::AddressSet set{std::move(name), {}};
                   read_prefixes(f, "members", kAddressSetMemberMax, set.members);
                   document.address_sets.push_back(std::move(set));
               });
    each_named(root, "groups", "group", kGroupMax, fault, [&](Fields& f, std::string name) {
        model::Group group{std::move(name), {}};
        read_tags(f, group.tags);
        read_prefixes(f, "addresses", kGroupAddressMax, group.addresses);
        document.groups.push_back(std::move(group));
    });
    each_named(root, "acls", "acl", kAclMax, fault,
               [&](Fields& f, std::string name) { read_acl(f, std::move(name), fault, document); });
    read_dfw(Fields(root.take("dfw"), "dfw", "", fault), fault, document.dfw);
}

}  // namespace sluice::agent
