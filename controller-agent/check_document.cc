// SPDX-License-Identifier: Apache-2.0
// The checks that need more than one object: one pass to index the names, then one function a rule
// of validity.
#include "controller-agent/check_document.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controller-agent/check_addresses.h"
#include "controller-agent/check_bindings.h"
#include "controller-agent/check_overlay.h"
#include "controller-agent/check_routers.h"
#include "controller-agent/check_services.h"
#include "controller-agent/check_uplinks.h"
#include "controller-agent/json_fields.h"
#include "sluice/base/limits.h"
#include "sluice/model/resolve.h"
#include "sluice/model/segment.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::Document;
using model::Port;
using model::PortGroup;
using model::VlanRange;

enum class Noun : std::uint8_t { kAddressSet, kGroup, kPortGroup, kPort };

const char* word_of(Noun noun) {
    switch (noun) {
        case Noun::kAddressSet: return "address_set";
        case Noun::kGroup: return "group";
        case Noun::kPortGroup: return "port_group";
        case Noun::kPort: return "port";
    }
    return "object";
}

std::string quoted(const std::string& text) { return shown(std::string_view(text)); }

std::string object_name(Noun noun, const std::string& name) {
    return std::string(word_of(noun)) + " " + name;
}

/// One run over a document. The first fault sticks.
class Checker {
public:
    Checker(const Document& document, const CheckOptions& options)
        : document_(document), options_(options) {}

    Status run() {
        index_names();
        const NameOwner owner_of = [this](const std::string& name) {
            const auto at = names_.find(name);
            return at == names_.end() ? std::string() : object_name(at->second, name);
        };
        check_uplinks(document_, owner_of, fault_);
        check_port_groups();
        if (!fault_.any()) { check_teaming(document_, fault_); }
        check_ports();
        check_macs();
        check_acls();
        check_dfw();
        check_service_rules();
        check_encryption_rules();
        check_bindings(document_, fault_);
        check_overlay(document_, owner_of, fault_);
        check_routers(document_, fault_);
        check_services(document_, fault_);
        check_encryption(document_, fault_);
        if (!fault_.any()) { check_counting_rules(); }
        if (fault_.any()) { return fault_.error(); }
        return Ok{};
    }

    Status run_rule(const model::Section& section, const model::Rule& rule) {
        index_names();
        const std::string object = "dfw section " + section.name;
        for (const model::Acl& acl : document_.acls) { rules_ += acl.rules.size(); }
        for (const model::Section& each : document_.dfw.sections) { rules_ += each.rules.size(); }
        count_rules(object, 0);
        check_rule(object + " rule " + rule.name, rule);
        if (fault_.any()) { return fault_.error(); }
        return Ok{};
    }

private:
    void index_names() {
        for (const auto& item : document_.address_sets) { add(Noun::kAddressSet, item.name); }
        for (const auto& item : document_.groups) { add(Noun::kGroup, item.name); }
        for (const auto& item : document_.port_groups) { add(Noun::kPortGroup, item.name); }
        for (const auto& item : document_.ports) { add(Noun::kPort, item.name); }
        for (const auto& item : document_.switches) { switches_.insert(item.name); }
    }

    void add(Noun noun, const std::string& name) {
        const std::string object = object_name(noun, name);
        if (parse_ip(name)) {
            fault_.refuse(Errc::kInvalid, object,
                          "name " + quoted(name) + " is an address, not a name");
        }
        const auto [found, added] = names_.try_emplace(name, noun);
        if (!added) {
            fault_.refuse(
                Errc::kExists, object,
                "the name " + quoted(name) + " is taken by " + object_name(found->second, name));
        }
    }

    void check_port_groups() {
        for (const PortGroup& group : document_.port_groups) {
            groups_.emplace(group.name, &group);
            if (!switches_.contains(group.switch_name)) {
                fault_.refuse(Errc::kInvalid, object_name(Noun::kPortGroup, group.name),
                              "switch " + quoted(group.switch_name) + " does not exist");
            }
        }
    }

    void check_ports() {
        for (const Port& port : document_.ports) {
            if (fault_.any()) { return; }
            const std::string object = object_name(Noun::kPort, port.name);
            const bool has_no_group =  // A leg needs none.
                port.kind == model::PortKind::kService && port.port_group.empty();
            if (!has_no_group && !groups_.contains(port.port_group)) {
                fault_.refuse(Errc::kInvalid, object,
                              "port_group " + quoted(port.port_group) + " does not exist");
            }
            if (port.kind == model::PortKind::kKernel) {
                check_interface(port, object);
            } else {
                check_socket(port, object);
            }
            check_addresses(port, object);
        }
    }

    void check_socket(const Port& port, const std::string& object) {
        const std::string what = "socket " + quoted(port.socket);
        if (port.socket.empty() || port.socket.front() != '/' || port.socket.back() == '/' ||
            port.socket.find('\0') != std::string::npos) {
            fault_.refuse(Errc::kInvalid, object, what + " is not an absolute path of a socket");
            return;
        }
        constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;
        if (port.socket.size() > kPathMax) {
            fault_.refuse(Errc::kInvalid, object,
                          what + " has " + std::to_string(port.socket.size()) +
                              " bytes, a socket's path has at most " + std::to_string(kPathMax));
        }
        const auto [other, added] = sockets_.try_emplace(port.socket, port.name);
        if (!added) {
            fault_.refuse(Errc::kExists, object,
                          what + " is used by port " + other->second + " too");
        }
        const std::string folder =
            port.socket.substr(0, std::max<std::size_t>(1, port.socket.rfind('/')));
        if (options_.folder_exists && !options_.folder_exists(folder)) {
            fault_.refuse(Errc::kInvalid, object,
                          what + " is in folder " + quoted(folder) + ", which does not exist");
        }
    }

    static bool is_interface(const std::string& name) {
        return !name.empty() && name.size() <= kInterfaceNameMax && name != "." && name != ".." &&
               std::all_of(name.begin(), name.end(), [](char c) {
                   return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%';
               });
    }

    void check_interface(const Port& port, const std::string& object) {
        if (!is_interface(port.interface)) {
            fault_.refuse(Errc::kInvalid, object,
                          "interface " + quoted(port.interface) +
                              " is not an interface's name of 1.." +
                              std::to_string(kInterfaceNameMax) + " bytes");
        }
        if (!port.netns.empty() && !is_name(port.netns)) {
            fault_.refuse(Errc::kInvalid, object,
                          "netns " + quoted(port.netns) + " is not the name of a namespace");
            return;
        }
        const auto [other, added] =
            interfaces_.try_emplace({port.netns, port.interface}, port.name);
        if (!added) {
            fault_.refuse(Errc::kExists, object,
                          "interface " + quoted(port.interface) + " is used by port " +
                              other->second + " too");
        }
        if (options_.netns_exists && !port.netns.empty() && !options_.netns_exists(port.netns)) {
            fault_.refuse(Errc::kInvalid, object,
                          "netns " + quoted(port.netns) + " does not exist in /run/netns");
        }
    }

    void check_addresses(const Port& port, const std::string& object) {
        if (port.mac.is_group() || port.mac.is_zero()) {
            fault_.refuse(Errc::kInvalid, object,
                          "mac " + to_string(port.mac) + " is not a unicast address");
        }
        check_unicast(port.ips, object, "ips");
        std::vector<IpAddr> addresses;
        for (const model::InterfaceAddress& address : port.addresses) {
            addresses.push_back(address.ip);
        }
        check_unicast(std::move(addresses), object, "addresses");
    }

    void check_unicast(std::vector<IpAddr> ips, const std::string& object, const std::string& key) {
        std::sort(ips.begin(), ips.end());
        for (std::size_t i = 0; i < ips.size(); ++i) {
            const std::string text = to_string(ips[i]);
            if (i > 0 && ips[i] == ips[i - 1]) {
                fault_.refuse(Errc::kExists, object, key + " holds " + text + " twice");
            }
            if (!is_unicast(ips[i])) {
                fault_.refuse(Errc::kInvalid, object,
                              key + " holds " + text + ", which is not a unicast address");
            }
        }
    }

    /// The VLANs of a switch that a port meets; 0 stands for untagged.
    static std::vector<VlanRange> vlans_of(const Port& port, const PortGroup& group) {
        const model::Vlan& vlan = model::effective_vlan(port, group);
        if (vlan.mode == model::VlanMode::kTrunk) { return vlan.ranges; }
        return {VlanRange{vlan.id, vlan.id}};
    }

    /// A domain that both ports are in.
    [[nodiscard]] std::optional<model::Segment> shared_segment(const Port& a, const Port& b) const {
        const PortGroup& group = *groups_.at(a.port_group);
        const PortGroup& other = *groups_.at(b.port_group);
        if (group.vni != other.vni) { return std::nullopt; }
        if (group.vni != 0) { return model::Segment{group.vni, 0}; }
        for (const VlanRange& x : vlans_of(a, group)) {
            for (const VlanRange& y : vlans_of(b, other)) {
                const std::uint16_t first = std::max(x.first, y.first);
                if (first <= std::min(x.last, y.last)) { return model::Segment{0, first}; }
            }
        }
        return std::nullopt;
    }

    void check_macs() {
        std::map<std::pair<std::string_view, MacAddr>, std::vector<const Port*>> owners;
        for (const Port& port : document_.ports) {
            if (fault_.any()) { return; }
            if (port.kind == model::PortKind::kService) { continue; }  // Nothing is switched to it.
            const PortGroup& group = *groups_.at(port.port_group);
            auto& others = owners[{group.switch_name, port.mac}];
            for (const Port* other : others) {
                const auto segment = shared_segment(port, *other);
                if (!segment) { continue; }
                const bool is_untagged = *segment == model::Segment{};
                const std::string where =
                    is_untagged ? "untagged" : "in " + model::to_text(*segment);
                fault_.refuse(Errc::kExists, object_name(Noun::kPort, port.name),
                              "mac " + to_string(port.mac) + " is used by port " + other->name +
                                  " too, " + where + " on switch " + group.switch_name);
            }
            others.push_back(&port);
        }
    }

    /// A `source` or `destination` list.
    void check_matches(const std::string& object, const char* key,
                       const std::vector<std::string>& items) {
        for (const std::string& item : items) {
            if (names_.contains(item) || parse_prefix(item)) { continue; }
            const bool host_bits =
                item.find('/') != std::string::npos && parse_ip(item.substr(0, item.find('/')));
            fault_.refuse(Errc::kInvalid, object,
                          std::string(key) + " " + quoted(item) +
                              (host_bits ? " is not a prefix without host bits"
                                         : " is no address or prefix, and no address set, group, "
                                           "port group or port of that name exists"));
        }
    }

    /// An `applied_to` or `exclude` list.
    void check_targets(const std::string& object, const char* key,
                       const std::vector<std::string>& items) {
        for (const std::string& item : items) {
            const auto found = names_.find(item);
            if (found == names_.end()) {
                fault_.refuse(Errc::kInvalid, object,
                              std::string(key) + " " + quoted(item) +
                                  " does not exist, expected a group, port group or port");
            } else if (found->second == Noun::kAddressSet) {
                fault_.refuse(Errc::kInvalid, object,
                              std::string(key) + " " + quoted(item) +
                                  " is an address set, expected a group, port group or port");
            }
        }
    }

    void check_negation(const std::string& object, const char* key, bool negated, bool empty) {
        if (negated && empty) {
            fault_.refuse(
                Errc::kInvalid, object,
                std::string("negate_") + key + " true needs a " + key + " other than any");
        }
    }

    /// What announces connections has to be tracked, and of the protocol that the ALG reads.
    void check_alg(const std::string& object, const model::Rule& rule,
                   const model::Section& section) {
        if (rule.alg == model::Alg::kNone) { return; }
        const bool is_ftp = rule.alg == model::Alg::kFtp;
        const std::uint8_t protocol = is_ftp ? model::kProtocolTcp : model::kProtocolUdp;
        const bool fits = !rule.services.empty() &&
                          std::all_of(rule.services.begin(), rule.services.end(),
                                      [protocol](const model::Service& service) {
                                          return !service.any && service.protocol == protocol;
                                      });
        const std::string alg = is_ftp ? "alg ftp" : "alg tftp";
        if (rule.action != model::DfwAction::kAllow) {
            fault_.refuse(Errc::kInvalid, object, alg + " needs action allow");
        } else if (!section.stateful) {
            fault_.refuse(Errc::kInvalid, object, alg + " needs a section that is stateful");
        } else if (!fits) {
            fault_.refuse(Errc::kInvalid, object,
                          alg + (is_ftp ? " needs services that are all tcp, like tcp/21"
                                        : " needs services that are all udp, like udp/69"));
        }
    }

    void count_rules(const std::string& object, std::size_t count) {
        rules_ += count;
        if (rules_ > kRuleMax) {
            fault_.refuse(Errc::kLimit, object,
                          "with it the document has " + std::to_string(rules_) +
                              " rules, at most " + std::to_string(kRuleMax) + " are allowed");
        }
    }

    void check_acls() {
        for (const model::Acl& acl : document_.acls) {
            if (fault_.any()) { return; }
            const std::string object = "acl " + acl.name;
            check_targets(object, "applied_to", acl.applied_to);
            count_rules(object, acl.rules.size());
            for (const model::AclRule& rule : acl.rules) {
                const std::string rule_object = object + " rule " + rule.name;
                check_matches(rule_object, "source", rule.source);
                check_matches(rule_object, "destination", rule.destination);
            }
        }
    }

    // What a flow is counted by has room for so many (AclTrail).
    void check_counting_rules() {
        std::optional<model::Resolver> resolver;  // Made only if somebody counts.
        std::vector<std::array<std::size_t, 2>> counts(document_.ports.size());
        for (const model::Acl& acl : document_.acls) {
            const std::array<std::size_t, 2> here{counting_rules(acl, model::RuleDirection::kIn),
                                                  counting_rules(acl, model::RuleDirection::kOut)};
            if (here[0] + here[1] == 0) { continue; }
            if (!resolver) { resolver.emplace(document_); }
            for (const std::size_t port : resolver->ports(acl.applied_to)) {
                counts[port][0] += here[0];
                counts[port][1] += here[1];
                const std::size_t most = std::max(counts[port][0], counts[port][1]);
                if (most <= kAclCountMax) { continue; }
                fault_.refuse(Errc::kLimit, "acl " + acl.name,
                              "with it port " + document_.ports[port].name + " has " +
                                  std::to_string(most) +
                                  " rules with action count in one direction, at most " +
                                  std::to_string(kAclCountMax) + " are allowed");
                return;
            }
        }
    }

    static std::size_t counting_rules(const model::Acl& acl, model::RuleDirection direction) {
        return static_cast<std::size_t>(
            std::count_if(acl.rules.begin(), acl.rules.end(), [&](const model::AclRule& rule) {
                return rule.action == model::AclAction::kCount &&
                       (rule.direction == direction ||
                        rule.direction == model::RuleDirection::kBoth);
            }));
    }

    void check_dfw() {
        for (const model::Section& section : document_.dfw.sections) {
            if (fault_.any()) { return; }
            const std::string object = "dfw section " + section.name;
            count_rules(object, section.rules.size());
            for (const model::Rule& rule : section.rules) {
                check_rule(object + " rule " + rule.name, rule);
                check_alg(object + " rule " + rule.name, rule, section);
            }
        }
        check_targets("dfw", "exclude", document_.dfw.exclude);
    }

    /// The names in a rule of services or encryption.
    template <typename Rule>
    void check_names(const std::string& object, const Rule& rule) {
        check_matches(object, "source", rule.source);
        check_matches(object, "destination", rule.destination);
        check_targets(object, "applied_to", rule.applied_to);
    }

    void check_service_rules() {
        for (const model::ServiceChain& chain : document_.service_chains) {
            for (const model::ServiceRule& rule : chain.rules) {
                if (fault_.any()) { return; }
                check_names("service_chain " + chain.name + " rule " + rule.name, rule);
            }
        }
    }

    void check_encryption_rules() {
        for (const model::EncryptionRule& rule : document_.encryption.rules) {
            if (fault_.any()) { return; }
            check_names("encryption rule " + rule.name, rule);
        }
    }

    void check_rule(const std::string& object, const model::Rule& rule) {
        check_matches(object, "source", rule.source);
        check_matches(object, "destination", rule.destination);
        check_targets(object, "applied_to", rule.applied_to);
        check_negation(object, "source", rule.negate_source, rule.source.empty());
        check_negation(object, "destination", rule.negate_destination, rule.destination.empty());
    }

    const Document& document_;
    const CheckOptions options_;
    Fault fault_;
    std::unordered_map<std::string, Noun> names_;
    std::unordered_set<std::string> switches_;
    std::unordered_map<std::string, const PortGroup*> groups_;
    std::unordered_map<std::string, std::string> sockets_;
    std::map<std::pair<std::string, std::string>, std::string> interfaces_;
    std::size_t rules_ = 0;
};

}  // namespace

bool folder_on_disk(const std::string& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool netns_on_disk(const std::string& name) {
    struct stat status {};
    return stat(("/run/netns/" + name).c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > kNameLengthMax) { return false; }
    if (text.front() == '-' || text.front() == '.') { return false; }
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    });
}

Status check_rule(const model::Document& document, const model::Section& section,
                  const model::Rule& rule) {
    return Checker(document, {}).run_rule(section, rule);
}

Status check_document(const model::Document& document, const CheckOptions& options) {
    return Checker(document, options).run();
}

}  // namespace sluice::agent
