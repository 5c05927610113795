// SPDX-License-Identifier: Apache-2.0
// PolicyDifference against deciding anew: what it says does not concern a flow is decided as
// before, in every field, on every vNIC, both ways, with a connection and without one. Random rules
// and random edits of them; seeds are printed on failure. And the other half: what has nothing to
// do with a change is told apart from it.
#include <gtest/gtest.h>

#include <random>

#include "iochain/dfw/changed_rules.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice {
namespace {

using model::RuleDirection;
using model::Service;
using test::ip;
using test::prefix;

constexpr std::size_t kPorts = 3;
constexpr std::uint32_t kDefaultRule = 1;
const char* const kItems[] = {"10.0.0.1",    "10.0.0.2",    "10.0.0.0/30",    "10.0.0.0/8",
                              "10.0.0.8/29", "0.0.0.0/0",   "2001:db8::1",    "2001:db8::/125",
                              "2001::/16",   "10.0.1.0/24", "2001:db8::4/126"};
const char* const kHosts[] = {"10.0.0.1", "10.0.0.2",    "10.0.0.3",    "10.0.0.9", "10.0.1.1",
                              "11.0.0.1", "2001:db8::1", "2001:db8::5", "2001:1::1"};

std::shared_ptr<const AddressExpression> expression(std::initializer_list<std::string> items) {
    std::vector<IpPrefix> out;
    for (const std::string& text : items) { out.push_back(prefix(text)); }
    return std::make_shared<const AddressExpression>(out);
}

/// A generation of policy: rules of either kind with the vNICs that they apply to.
struct Policy {
    template <typename Rule>
    struct Applied {
        Rule rule;
        PortSet ports;
    };
    std::vector<Applied<DvfilterRule>> acl;
    std::vector<Applied<DfwRule>> firewall;
    std::shared_ptr<const AddressExpression> set = expression({"10.0.0.2"});

    [[nodiscard]] PolicyImage image() const {
        PolicyImage out;
        for (const auto& each : acl) {
            out.rules.push_back(
                policy_rule(each.rule, std::make_shared<const PortSet>(each.ports)));
        }
        for (const auto& each : firewall) {
            out.rules.push_back(
                policy_rule(each.rule, std::make_shared<const PortSet>(each.ports)));
        }
        return out;
    }

    [[nodiscard]] std::vector<ChainProgram> chains() const {
        DfwInput input{.rules = {}, .default_allow = true, .default_rule = RuleId{kDefaultRule}};
        for (const auto& each : firewall) { input.rules.push_back(each.rule); }
        DfwCompiler compiler(input);
        std::vector<ChainProgram> out(kPorts);
        for (std::size_t port = 0; port < kPorts; ++port) {
            std::vector<DvfilterRule> rules;
            std::vector<std::uint32_t> applied;
            for (const auto& each : acl) {
                if (each.ports[port]) { rules.push_back(each.rule); }
            }
            for (std::uint32_t i = 0; i < firewall.size(); ++i) {
                if (firewall[i].ports[port]) { applied.push_back(i); }
            }
            out[port].slots[kSlotDvfilter] = compile_dvfilter(rules);
            out[port].slots[kSlotDfw] = compiler.compile(applied);
        }
        return out;
    }
};

class Editor {
public:
    explicit Editor(std::uint64_t seed) : random_(seed) {
        for (unsigned i = 0; i < 5; ++i) { insert(); }
    }
    Policy policy;

    void edit() {
        const unsigned what = below(12);
        if (what < 2 || policy.firewall.empty() || policy.acl.empty()) { return insert(); }
        auto& rules = policy.firewall;
        auto& chosen = rules[below(rules.size())];
        DfwRule& rule = chosen.rule;
        if (what == 2) { rules.erase(rules.begin() + below(rules.size())); }
        if (what == 3) { std::swap(chosen, rules[below(rules.size())]); }
        if (what == 4) { rule.allow = !rule.allow; }
        if (what == 5) { (below(2) != 0 ? rule.stateful : rule.log) ^= true; }
        if (what == 6) { rule.services = services(); }
        if (what == 7) { set_addresses(below(2) != 0 ? rule.source : rule.destination, rule); }
        if (what == 8) { chosen.ports = ports(); }
        if (what == 9) { change_set(); }
        if (what == 10) { policy.acl.erase(policy.acl.begin() + below(policy.acl.size())); }
        if (what == 11) { policy.acl[below(policy.acl.size())].rule.permit ^= true; }
    }

    [[nodiscard]] unsigned below(std::size_t bound) {
        return static_cast<unsigned>(random_() % bound);
    }

private:
    std::vector<Service> services() {
        const Service all[] = {test::service(6),
                               test::service(17, {50, 60}),
                               test::service(6, {80, 80}),
                               test::service(6, {80, 80}, {1000, 1000}),
                               test::icmp(8),
                               test::service(47)};
        std::vector<Service> out;
        for (unsigned count = below(3); count > 0; --count) { out.push_back(all[below(6)]); }
        return out;
    }
    AddressList addresses() {
        AddressList out;
        for (unsigned count = below(3); count > 0; --count) {
            out.push_back(below(4) == 0 ? policy.set : expression({kItems[below(11)]}));
        }
        return out;
    }
    PortSet ports() { return below(2) == 0 ? PortSet{7} : PortSet{below(8)}; }
    void set_addresses(AddressList& list, DfwRule& rule) {
        list = addresses();
        if (rule.source.empty()) { rule.negate_source = false; }
        if (rule.destination.empty()) { rule.negate_destination = false; }
    }
    void insert() {
        const RuleId id{++last_id_};
        if (below(3) == 0) {
            DvfilterRule rule;
            rule.id = id;
            rule.permit = below(2) != 0;
            rule.direction = static_cast<RuleDirection>(below(3));
            rule.source = addresses();
            rule.destination = addresses();
            rule.services = services();
            if (below(4) == 0) { rule.ethertype = below(2) != 0 ? 0x0800 : 0x88e5; }
            policy.acl.insert(policy.acl.begin() + below(policy.acl.size() + 1), {rule, ports()});
            return;
        }
        DfwRule rule;
        rule.id = id;
        rule.allow = below(2) != 0;
        rule.direction = static_cast<RuleDirection>(below(3));
        rule.stateful = below(3) != 0;
        rule.source = addresses();
        rule.destination = addresses();
        rule.negate_source = !rule.source.empty() && below(5) == 0;
        rule.negate_destination = !rule.destination.empty() && below(5) == 0;
        rule.services = services();
        policy.firewall.insert(policy.firewall.begin() + below(policy.firewall.size() + 1),
                               {rule, ports()});
    }
    // The rules that name the set get its new version, as a compilation gives it.
    void change_set() {
        const auto old = policy.set;
        policy.set = expression({kItems[below(11)], kItems[below(11)]});
        const auto renew = [&](AddressList& list) {
            std::replace(list.begin(), list.end(), old, policy.set);
        };
        for (auto& each : policy.acl) {
            renew(each.rule.source);
            renew(each.rule.destination);
        }
        for (auto& each : policy.firewall) {
            renew(each.rule.source);
            renew(each.rule.destination);
        }
    }

    std::mt19937_64 random_;
    std::uint32_t last_id_ = kDefaultRule;
};

FlowKey random_key(Editor& random) {
    const IpAddr source = ip(kHosts[random.below(9)]);
    IpAddr destination = source;
    while (destination == source || destination.family != source.family) {
        destination = ip(kHosts[random.below(9)]);
    }
    if (random.below(30) == 0) {
        FlowKey key;
        key.ethertype = Be16::from_host(0x88e5);
        return key;
    }
    const unsigned ports[] = {80, 1000, 53, 55, 8U << 8U, 0};
    const std::uint8_t protocols[] = {6, 17, 1, 47};
    const std::uint8_t protocol = protocols[random.below(4)];
    return test::flow_key(source, destination, protocol, ports[random.below(6)],
                          ports[random.below(6)]);
}

/// The view of a reply's connection, whose opener has the key turned around.
ConnectionView reply_view(const FlowKey& key, bool opener_stateful, bool responder_stateful) {
    ConnectionView view{};
    view.side = ConnectionSide::kResponder;
    view.opener_stateful = opener_stateful;
    view.responder_stateful = responder_stateful;
    view.opener_key = key;
    std::swap(view.opener_key.source_ip, view.opener_key.destination_ip);
    std::swap(view.opener_key.source_port, view.opener_key.destination_port);
    if (key.protocol == 1) {
        view.opener_key.source_port = Be16::from_host(8U << 8U);
        view.opener_key.destination_port = key.destination_port;
    }
    return view;
}

bool equal(const Decision& a, const Decision& b) {
    return a.verdict == b.verdict && a.reason == b.reason && a.slot == b.slot &&
           a.decided == b.decided && a.rule == b.rule && a.stateful == b.stateful &&
           a.tcp_strict == b.tcp_strict && a.log == b.log;
}

/// Every way in which the chain may be asked about `key` as a reply or not.
bool decided_alike(const ChainProgram& before, const ChainProgram& after, const FlowKey& key,
                   bool is_reply) {
    for (const Direction direction : {Direction::kFromVm, Direction::kToVm}) {
        if (!equal(decide(before, {key, direction}), decide(after, {key, direction}))) {
            return false;
        }
        for (unsigned flags = 0; is_reply && flags < 4; ++flags) {
            const ConnectionView view = reply_view(key, (flags & 1U) != 0, (flags & 2U) != 0);
            if (!equal(decide(before, {key, direction, &view}),
                       decide(after, {key, direction, &view}))) {
                return false;
            }
        }
    }
    return true;
}

TEST(PolicyDifference, WhatItDoesNotConcernIsDecidedAsBefore) {
    const std::uint64_t seed = std::random_device{}();
    Editor editor(seed);
    std::uint64_t asked = 0, passed = 0, changed = 0;
    for (unsigned round = 0; round < 3000; ++round) {
        const Policy before = editor.policy;
        const std::vector<ChainProgram> chains_before = before.chains();
        for (unsigned edits = 1 + editor.below(3); edits > 0; --edits) { editor.edit(); }
        const std::vector<ChainProgram> chains_after = editor.policy.chains();
        PortSet known;
        for (std::size_t port = 0; port < kPorts; ++port) {
            const auto& slots = chains_before[port].slots;
            const auto& now = chains_after[port].slots;
            if (!slots[kSlotDvfilter] == !now[kSlotDvfilter]) { known.set(port); }
        }
        const PolicyDifference difference(before.image(), editor.policy.image(), known);
        for (unsigned i = 0; i < 60; ++i) {
            const FlowKey key = random_key(editor);
            const bool is_reply = editor.below(2) != 0;
            const std::size_t port = editor.below(kPorts);
            if (!known[port]) { continue; }
            ++asked;
            const bool is_alike =
                decided_alike(chains_before[port], chains_after[port], key, is_reply);
            changed += is_alike ? 0 : 1;
            const bool is_concerned =
                difference.concerns(PortIndex{static_cast<std::uint16_t>(port)}) &&
                difference.matches(key, is_reply);
            passed += is_concerned ? 0 : 1;
            ASSERT_TRUE(is_concerned || is_alike)
                << "seed " << seed << ", round " << round << ": a flow that is decided otherwise "
                << "than before is not concerned";
        }
    }
    EXPECT_GT(passed, asked / 2) << "seed " << seed << ": told too few flows apart";
    EXPECT_GT(changed, asked / 50) << "seed " << seed << ": the edits changed hardly anything";
}

/// vNIC 0 with one rule, before and after.
struct OneRule {
    DfwRule before, after;
    OneRule() {
        before.id = RuleId{7};
        before.source = {expression({"10.0.0.1"})};
        before.destination = {expression({"10.0.0.2", "10.0.0.3"})};
        before.services = {test::service(6, {80, 80})};
        after = before;
    }
    [[nodiscard]] PolicyDifference difference() const {
        const auto ports = std::make_shared<const PortSet>(1);
        return {PolicyImage{{policy_rule(before, ports)}, {}},
                PolicyImage{{policy_rule(after, ports)}, {}}, *ports};
    }
    [[nodiscard]] bool matches(const char* source, const char* destination, unsigned port,
                               bool is_reply = false) const {
        return difference().matches(test::flow_key(ip(source), ip(destination), 6,
                                                   is_reply ? port : 4000, is_reply ? 4000 : port),
                                    is_reply);
    }
};

TEST(PolicyDifference, ChangedActionConcernsTheRulesFlowsOnly) {
    OneRule rule;
    rule.after.allow = false;
    EXPECT_TRUE(rule.matches("10.0.0.1", "10.0.0.2", 80));
    EXPECT_TRUE(rule.matches("10.0.0.2", "10.0.0.1", 80, true)) << "the reply of such a flow";
    EXPECT_FALSE(rule.matches("10.0.0.1", "10.0.0.2", 81));
    EXPECT_FALSE(rule.matches("10.0.0.4", "10.0.0.2", 80));
    EXPECT_FALSE(rule.matches("10.0.0.1", "10.0.0.4", 80));
    EXPECT_FALSE(rule.matches("10.0.0.2", "10.0.0.4", 80, true));
    EXPECT_EQ(rule.difference().size(), 1U);
}

TEST(PolicyDifference, ChangedSetConcernsItsChangedMembersOnly) {
    OneRule rule;
    rule.after.destination = {expression({"10.0.0.3", "10.0.0.4"})};
    EXPECT_TRUE(rule.matches("10.0.0.1", "10.0.0.2", 80));
    EXPECT_FALSE(rule.matches("10.0.0.1", "10.0.0.3", 80)) << "was in it and is in it";
    EXPECT_TRUE(rule.matches("10.0.0.1", "10.0.0.4", 80));
    EXPECT_FALSE(rule.matches("10.0.0.5", "10.0.0.4", 80)) << "the rule has another source";
}

TEST(PolicyDifference, EqualGenerationsConcernNobody) {
    const OneRule rule;
    EXPECT_FALSE(rule.difference().concerns(PortIndex{0}));
    EXPECT_FALSE(rule.matches("10.0.0.1", "10.0.0.2", 80));
}

TEST(PolicyDifference, LongestAscendingKeepsAllButTheMovedOne) {
    using Places = std::vector<std::size_t>;
    EXPECT_EQ(iochain::longest_ascending({}), Places{});
    EXPECT_EQ(iochain::longest_ascending({0, 1, 2}), (Places{0, 1, 2}));
    EXPECT_EQ(iochain::longest_ascending({3, 0, 1, 2}), (Places{1, 2, 3}));
    EXPECT_EQ(iochain::longest_ascending({0, 4, 1, 2, 3}), (Places{0, 2, 3, 4}));
    EXPECT_EQ(iochain::longest_ascending({2, 1, 0}).size(), 1U);
}

}  // namespace
}  // namespace sluice
