// SPDX-License-Identifier: Apache-2.0
// The checks that need more than one object: one pass to index the names, then one function a rule
// of validity.
#include "controller-agent/check_document.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controller-agent/json_fields.h"
#include "sluice/base/limits.h"
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
        check_port_groups();
        check_ports();
        check_macs();
        check_acls();
        check_dfw();
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
            if (!groups_.contains(port.port_group)) {
                fault_.refuse(Errc::kInvalid, object,
                              "port_group " + quoted(port.port_group) + " does not exist");
            }
            check_socket(port, object);
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

    void check_addresses(const Port& port, const std::string& object) {
        if (port.mac.is_group() || port.mac.is_zero()) {
            fault_.refuse(Errc::kInvalid, object,
                          "mac " + to_string(port.mac) + " is not a unicast address");
        }
        std::vector<IpAddr> ips = port.ips;
        std::sort(ips.begin(), ips.end());
        for (std::size_t i = 0; i < ips.size(); ++i) {
            const std::string text = to_string(ips[i]);
            if (i > 0 && ips[i] == ips[i - 1]) {
                fault_.refuse(Errc::kExists, object, "ips holds " + text + " twice");
            }
            const unsigned top = ips[i].is_v4() ? ips[i].bytes[12] : ips[i].bytes[0];
            const bool multicast = ips[i].is_v4() ? top >= 224 : top == 0xff;
            if (multicast || ips[i].bytes == IpAddr{}.bytes) {
                fault_.refuse(Errc::kInvalid, object,
                              "ips holds " + text + ", which is not a unicast address");
            }
        }
    }

    /// The VLANs of a switch that a port meets; 0 stands for untagged.
    static std::vector<VlanRange> vlans_of(const Port& port, const PortGroup& group) {
        const model::Vlan& vlan = model::effective_vlan(port, group);
        if (vlan.mode == model::VlanMode::kTrunk) { return vlan.ranges; }
        return {VlanRange{vlan.id, vlan.id}};
    }

    static std::optional<unsigned> shared_vlan(const std::vector<VlanRange>& a,
                                               const std::vector<VlanRange>& b) {
        for (const VlanRange& x : a) {
            for (const VlanRange& y : b) {
                const unsigned first = std::max(x.first, y.first);
                if (first <= std::min(x.last, y.last)) { return first; }
            }
        }
        return std::nullopt;
    }

    void check_macs() {
        std::map<std::pair<std::string_view, MacAddr>, std::vector<const Port*>> owners;
        for (const Port& port : document_.ports) {
            if (fault_.any()) { return; }
            const PortGroup& group = *groups_.at(port.port_group);
            auto& others = owners[{group.switch_name, port.mac}];
            for (const Port* other : others) {
                const auto vlan = shared_vlan(vlans_of(port, group),
                                              vlans_of(*other, *groups_.at(other->port_group)));
                if (!vlan) { continue; }
                const std::string where =
                    *vlan == 0 ? "untagged" : "in VLAN " + std::to_string(*vlan);
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

    void check_dfw() {
        for (const model::Section& section : document_.dfw.sections) {
            if (fault_.any()) { return; }
            const std::string object = "dfw section " + section.name;
            count_rules(object, section.rules.size());
            for (const model::Rule& rule : section.rules) {
                check_rule(object + " rule " + rule.name, rule);
            }
        }
        check_targets("dfw", "exclude", document_.dfw.exclude);
    }

    void check_rule(const std::string& object, const model::Rule& rule) {
        check_matches(object, "source", rule.source);
        check_matches(object, "destination", rule.destination);
        check_targets(object, "applied_to", rule.applied_to);
        check_negation(object, "source", rule.negate_source, rule.source.empty());
        check_negation(object, "destination", rule.negate_destination, rule.destination.empty());
    }

    const Document& document_;
    const CheckOptions& options_;
    Fault fault_;
    std::unordered_map<std::string, Noun> names_;
    std::unordered_set<std::string> switches_;
    std::unordered_map<std::string, const PortGroup*> groups_;
    std::unordered_map<std::string, std::string> sockets_;
    std::size_t rules_ = 0;
};

}  // namespace

bool folder_on_disk(const std::string& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > kNameLengthMax) { return false; }
    if (text.front() == '-' || text.front() == '.') { return false; }
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    });
}

Status check_document(const model::Document& document, const CheckOptions& options) {
    return Checker(document, options).run();
}

}  // namespace sluice::agent
