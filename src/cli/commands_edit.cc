// SPDX-License-Identifier: Apache-2.0
// Edits of one object by hand: `port add|set|del`, `rule add|set|del`, ... Every noun is a row of
// options; the three commands follow. All of them call the daemon's `edit`.
#include <algorithm>
#include <cctype>

#include "command.h"
#include "edit_words.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using Arguments = std::vector<Argument>;

/// A noun of the document.
struct Noun {
    std::string words;  ///< "port", "acl rule"
    std::string name;   ///< Placeholder of its name.
    std::string spoken;
    Offer offer = Offer::kNothing;
    Arguments options;
    std::string add_example;
    std::string set_example;
    std::string del_example;
    bool ordered = false;
    Offer holder = Offer::kNothing;  ///< What `add` offers: the object that is to hold it.
};

Outcome<bool> prepare_edit(Invocation& invocation) {
    auto params = edit_params(invocation.command->words, invocation.params);
    if (!params.ok()) { return params.failure(); }
    invocation.method = "edit";
    invocation.params = std::move(params.value());
    return true;
}

// "--port-group" takes PORT-GROUP.
std::string value_name(const std::string& option) {
    std::string name = option.substr(2);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name;
}

Argument text(const char* name, const char* path, const char* help, Offer offer = Offer::kNothing) {
    return {name, path, Kind::kText, false, help, offer, "", value_name(name)};
}
Argument texts(const char* name, const char* path, const char* help,
               Offer offer = Offer::kNothing) {
    return {name, path, Kind::kTexts, false, help, offer, "", value_name(name)};
}
Argument count(const char* name, const char* path, const char* help) {
    return {name, path, Kind::kCount, false, help};
}
Argument flag(const char* name, const char* path, const char* help) {
    return {name, path, Kind::kFlag, false, help};
}
Argument flag_off(const char* name, const char* path, const char* help) {
    return {name, path, Kind::kFlagOff, false, help};
}

Noun port() {
    return {"port",
            "NAME",
            "port",
            Offer::kPorts,
            {text("--port-group", "port_group", "its port group", Offer::kPortGroups),
             text("--kind", "kind", "vhost, kernel or service"),
             text("--socket", "socket",
                  "path of its vhost-user socket; the daemon's --socket stands before `port`",
                  Offer::kFiles),
             text("--socket-mode", "socket_mode", "client (QEMU listens) or server"),
             text("--mac", "mac", "the vNIC's MAC address"),
             texts("--ip", "ips", "address of the vNIC (repeated, or separated by commas)"),
             texts("--tag", kEditTags, "KEY=VALUE, for groups (repeated)"),
             count("--vlan", "@vlan overrides.vlan", "access VLAN in place of the port group's"),
             text("--interface", "interface", "kind kernel: name of the interface"),
             text("--netns", "netns", "kind kernel: its network namespace"),
             texts("--address", "addresses", "kind kernel: ADDRESS/LENGTH of the interface"),
             flag("--enabled", "enabled", "let traffic through"),
             flag_off("--disabled", "enabled", "keep it down")},
            "port add vm3 --port-group web --mac 02:00:00:00:00:03 --ip 10.0.0.3 --tag app=web",
            "port set vm3 overrides.vlan.mode=access overrides.vlan.id=101 enabled=false",
            "port del vm3"};
}

Noun rule() {
    return {"rule",
            "SECTION/RULE",
            "firewall rule",
            Offer::kRules,
            {text("--action", "action", "allow, drop or reject"),
             text("--direction", "direction", "in, out or both, seen from the VM"),
             texts("--source", "source", "address, prefix, set, group, port group or port"),
             texts("--destination", "destination", "the same"),
             flag("--negate-source", "negate_source", "anything but the sources"),
             flag("--negate-destination", "negate_destination", "anything but the destinations"),
             texts("--service", "services", "tcp/80, udp/53, icmp/8, ip/47, ..."),
             texts("--applied-to", "applied_to", "group, port group or port"),
             text("--alg", "alg", "ftp or tftp: allow what its connections announce"),
             flag("--log", "log", "write each connection to the log")},
            "rule add app web-in --action allow --direction in --service tcp/80,tcp/443 "
            "--destination web-vms --before deny",
            "rule set app/web-in services=tcp/8080 --first",
            "rule del app/web-in",
            true,
            Offer::kSections};
}

Noun acl_rule() {
    return {"acl rule",
            "ACL/RULE",
            "rule of an ACL",
            Offer::kAclRules,
            {text("--action", "action", "permit, deny or count"),
             text("--direction", "direction", "in, out or both, seen from the VM"),
             texts("--source", "source", "address, prefix, set, group, port group or port"),
             texts("--destination", "destination", "the same"),
             texts("--service", "services", "tcp/80, udp/53, icmp/8, ip/47, ..."),
             text("--ethertype", "ethertype", "like 0x0806"),
             count("--match-vlan", "vlan", "the frame's tag at the VM"),
             text("--tcp-flags", "tcp_flags", "like syn,!ack"), count("--dscp", "dscp", "0..63"),
             count("--set-dscp", "set_dscp", "0..63: what passes leaves with it")},
            "acl rule add hardening no-telnet --action deny --service tcp/23 --first",
            "acl rule set hardening/no-telnet direction=out",
            "acl rule del hardening/no-telnet",
            true,
            Offer::kAcls};
}

Noun vtep() {
    return {"vtep",
            "NAME",
            "VTEP",
            Offer::kVteps,
            {text("--ip", "ip", "ADDRESS/LENGTH on the underlay"),
             text("--mac", "mac", "its MAC address on the underlay"),
             text("--gateway", "gateway", "router towards other subnets of the underlay"),
             text("--uplink", "uplink", "its uplink", Offer::kUplinks),
             count("--underlay-vlan", "vlan", "tag of its frames on the underlay"),
             count("--mtu", "mtu", "bytes of the underlay's largest packet")},
            "vtep add tep0 --ip 172.16.0.1/24 --uplink up0",
            "vtep set tep0 gateway=172.16.0.254",
            "vtep del tep0"};
}

Noun router_interface() {
    return {"router interface",
            "ROUTER/INTERFACE",
            "interface of a router",
            Offer::kInterfaces,
            {text("--port-group", "port_group", "its network", Offer::kPortGroups),
             texts("--address", "addresses", "ADDRESS/LENGTH of the router there"),
             texts("--dhcp-relay", "dhcp_relay", "DHCP server for the network's clients")},
            "router interface add ldr1 web-gw --port-group web --address 10.0.0.254/24",
            "router interface set ldr1/web-gw addresses=10.0.0.254/24,2001:db8::1/64",
            "router interface del ldr1/web-gw",
            false,
            Offer::kRouters};
}

Noun route() {
    return {"route",
            "ROUTER/PREFIX",
            "static route",
            Offer::kRoutes,
            {texts("--next-hop", "next_hops", "router on a connected subnet (several: ECMP)"),
             flag("--blackhole", "blackhole", "drop what goes there")},
            "route add ldr1 0.0.0.0/0 --next-hop 10.0.9.253",
            "route set ldr1/0.0.0.0/0 next_hops=10.0.9.253,10.0.9.252",
            "route del ldr1/0.0.0.0/0",
            false,
            Offer::kRouters};
}

std::vector<Noun> nouns() {
    return {
        port(),
        rule(),
        {"section",
         "NAME",
         "firewall section",
         Offer::kSections,
         {flag("--stateful", "stateful", "track connections"),
          flag_off("--stateless", "stateful", "judge each packet alone"),
          flag_off("--tcp-loose", "tcp_strict", "let TCP begin in mid-stream")},
         "section add app --first",
         "section set app tcp_strict=false",
         "section del app",
         true},
        {"acl",
         "NAME",
         "ACL",
         Offer::kAcls,
         {texts("--applied-to", "applied_to", "group, port group or port")},
         "acl add hardening --applied-to web",
         "acl set hardening applied_to=web,db",
         "acl del hardening",
         true},
        acl_rule(),
        {"switch",
         "NAME",
         "switch",
         Offer::kSwitches,
         {count("--mtu", "mtu", "bytes of the largest packet"),
          texts("--uplink", "uplinks", "name of an uplink", Offer::kUplinks),
          text("--teaming", "teaming.policy", "port_id, src_mac, ip_hash, load or explicit"),
          texts("--remote-vtep", "remote_vteps", "address of a VTEP of another host")},
         "switch add dvs1 --mtu 9000",
         "switch set dvs1 mtu=1500",
         "switch del dvs1"},
        {"port-group",
         "NAME",
         "port group",
         Offer::kPortGroups,
         {text("--switch", "switch", "its switch", Offer::kSwitches),
          count("--vlan", "@vlan vlan", "access VLAN"),
          texts("--trunk", "@trunk vlan", "trunk of VLANs: 1-100 (repeated, or with commas)"),
          count("--vni", "vni", "VXLAN network in place of VLANs"),
          text("--replication", "replication",
               "unicast, hybrid, multicast, head_end or service_node"),
          text("--multicast-group", "multicast_group", "of the underlay, for hybrid and multicast"),
          texts("--flood-vtep", "flood_vteps", "who gets floods, for head_end and service_node"),
          text("--spoofguard", "spoofguard", "off, auto or manual"),
          texts("--address", "addresses",
                "address or prefix of members on other hosts (repeated)")},
         "port-group add web --switch dvs0 --vlan 10",
         "port-group set web security.promiscuous=true limits.arp_pps=100",
         "port-group del web"},
        {"uplink",
         "NAME",
         "uplink",
         Offer::kUplinks,
         {text("--device", "device", "a DPDK device string")},
         "uplink add up0 --device net_af_packet0,iface=eth1",
         "uplink set up0 device=net_af_packet0,iface=eth2",
         "uplink del up0"},
        vtep(),
        {"router",
         "NAME",
         "router",
         Offer::kRouters,
         {text("--mac", "mac", "MAC of its interfaces, the same on every host")},
         "router add ldr1",
         "router set ldr1 mac=02:00:5e:00:00:01",
         "router del ldr1"},
        router_interface(),
        route(),
        {"address-set",
         "NAME",
         "address set",
         Offer::kAddressSets,
         {texts("--member", "members", "address or prefix (repeated, or separated by commas)")},
         "address-set add db-hosts --member 10.0.1.0/24,10.0.2.7",
         "address-set set db-hosts members=10.0.1.0/24",
         "address-set del db-hosts"},
        {"group",
         "NAME",
         "group",
         Offer::kGroups,
         {texts("--tag", kEditTags, "KEY=VALUE of its ports (repeated)"),
          texts("--address", "addresses",
                "address or prefix of members on other hosts (repeated)")},
         "group add web-vms --tag app=web",
         "group set web-vms tags.tier=front",
         "group del web-vms"},
    };
}

void add_position(Arguments& arguments) {
    arguments.push_back(text("--before", kEditBefore, "place it before this one"));
    arguments.push_back(text("--after", kEditAfter, "place it behind this one"));
    arguments.push_back(flag("--first", kEditFirst, "place it first"));
    arguments.push_back(flag("--last", kEditLast, "place it last"));
}

Argument name_of(const Noun& noun, Offer offer) {
    return {noun.name, kEditName, Kind::kText, true, "name of the " + noun.spoken, offer};
}

const char* const kSettingHelp =
    "KEY=VALUE: any key of the object, dots lead into objects; VALUE is JSON or a bare word, empty "
    "goes back to the default";

Command edit_command(const Noun& noun, const char* verb, const std::string& summary,
                     Arguments arguments, const std::string& example) {
    return {noun.words + " " + verb,
            summary,
            std::move(arguments),
            {example},
            render_applied,
            false,
            nullptr,
            prepare_edit};
}

std::string with_article(const std::string& noun) {
    return (std::string("aeiouA").find(noun.front()) == std::string::npos ? "a " : "an ") + noun;
}

void add_commands(const Noun& noun, std::vector<Command>& out) {
    Arguments with_options = noun.options;
    if (noun.ordered) { add_position(with_options); }
    const auto arguments = [&](Offer offer) {
        Arguments all{name_of(noun, offer),
                      {"SETTING", kEditSettings, Kind::kTexts, false, kSettingHelp}};
        all.insert(all.end(), with_options.begin(), with_options.end());
        return all;
    };
    out.push_back(edit_command(noun, "add", "add " + with_article(noun.spoken),
                               arguments(noun.holder), noun.add_example));
    out.push_back(edit_command(noun, "set", "change keys of " + with_article(noun.spoken),
                               arguments(noun.offer), noun.set_example));
    Arguments only_name{name_of(noun, noun.offer)};
    if (noun.name.find('/') != std::string::npos) {
        only_name.push_back({"SETTING", kEditSettings, Kind::kTexts, false,
                             "second half of the name, if it is given as two words"});
    }
    out.push_back(edit_command(noun, "del", "delete " + with_article(noun.spoken),
                               std::move(only_name), noun.del_example));
}

void add_member_commands(std::vector<Command>& out) {
    const Noun set{"address-set", "NAME", "address set", Offer::kAddressSets, {}, "", "", ""};
    const auto arguments = [&] {
        return Arguments{name_of(set, set.offer),
                         {"MEMBER", kEditMembers, Kind::kTexts, true, "address or prefix"}};
    };
    out.push_back(edit_command(set, "add-member", "add members to an address set", arguments(),
                               "address-set add-member db-hosts 10.0.3.1 10.0.4.0/24"));
    out.push_back(edit_command(set, "del-member", "take members out of an address set", arguments(),
                               "address-set del-member db-hosts 10.0.3.1"));
}

}  // namespace

std::vector<Command> edit_commands() {
    std::vector<Command> out;
    for (const Noun& noun : nouns()) { add_commands(noun, out); }
    add_member_commands(out);
    const Argument setting{"SETTING", kEditSettings, Kind::kTexts, true, kSettingHelp};
    const Noun dfw{"dfw", "", "firewall", Offer::kNothing, {}, "", "", ""};
    out.push_back(edit_command(dfw, "set", "change the firewall's default, timeouts and limits",
                               {setting}, "dfw set default=drop timeouts.tcp_established_s=3600"));
    return out;
}

}  // namespace sluice::cli
