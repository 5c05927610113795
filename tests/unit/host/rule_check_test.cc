// SPDX-License-Identifier: Apache-2.0
// The rule check: what it finds of small rule sets, that it is right about random ones (no rule
// that it calls covered is ever the first match), and that 100 000 rules are no matter.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "controller-agent/document_json.h"
#include "sluice/iochain/dfw.h"
#include "sluice/model/resolve.h"
#include "src/host/rule_check.h"

namespace sluice::host {
namespace {

using Json = std::string;

model::Document document_of(const Json& rules, const Json& acl_rules = "[]") {
    const auto parsed = agent::parse_document(R"({
        "switches": [{"name": "s"}], "port_groups": [{"name": "lan", "switch": "s"}],
        "ports": [{"name": "vm1", "port_group": "lan", "socket": "/a", "ips": ["10.0.0.1"],
                   "tags": {"app": "web"}},
                  {"name": "vm2", "port_group": "lan", "socket": "/b"}],
        "address_sets": [{"name": "net", "members": ["10.1.0.0/17", "10.1.128.0/17"]},
                         {"name": "six", "members": ["2001:db8::/32"]},
                         {"name": "none", "members": []}],
        "groups": [{"name": "web", "tags": {"app": "web"}}, {"name": "gone", "tags": {"a": "b"}}],
        "acls": [{"name": "hard", "rules": )" +
                                              acl_rules + R"(}],
        "dfw": {"sections": [{"name": "a", "rules": )" +
                                              rules + "}]}}");
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
    return parsed.value();
}

/// "RULE finding by,by" of each finding.
std::vector<std::string> findings(const model::Document& document,
                                  const RuleCheckOptions& options = {}) {
    std::vector<std::string> out;
    for (const RuleFinding& each : check_rules(document, options)) {
        std::string text = each.rule + " " + to_text(each.fault);
        for (const std::string& by : each.by) { text += " " + by; }
        out.push_back(text);
        EXPECT_FALSE(each.detail.empty());
    }
    return out;
}

using Found = std::vector<std::string>;

TEST(RuleCheck, FindsNothingWhereEachRuleHasItsOwn) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "services": ["tcp/80"]},
        {"name": "2", "services": ["tcp/81"], "direction": "in"},
        {"name": "3", "services": ["tcp/81"], "direction": "out"},
        {"name": "4", "source": ["10.1.0.0/24"], "applied_to": ["vm1"]},
        {"name": "5", "source": ["10.1.0.0/25"]}])")),
              Found{});
}

TEST(RuleCheck, TellsShadowedFromRedundantFromDuplicate) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "source": ["net"], "services": ["tcp/1-100"]},
        {"name": "2", "source": ["10.1.7.0/24"], "services": ["tcp/80"], "action": "drop"},
        {"name": "3", "source": ["10.1.7.0/24"], "services": ["tcp/80"]},
        {"name": "4", "source": ["10.1.0.0/16"], "services": ["tcp/1-100"]}])")),
              (Found{"2 shadowed a/1", "3 redundant a/1", "4 duplicate a/1"}));
}

TEST(RuleCheck, LooksAtEveryDimension) {
    const char* const kFirst =
        R"({"name": "1", "source": ["net"], "destination": ["six", "10.0.0.0/8"],
        "services": ["tcp/80", "udp", "icmp/8"], "direction": "in", "applied_to": ["vm1"]})";
    const auto second = [&](const std::string& keys) {
        return findings(
            document_of(std::string("[") + kFirst + R"(, {"name": "2", )" + keys + "}]"));
    };
    const std::string base = R"("direction": "in", "applied_to": ["vm1"], )";
    EXPECT_EQ(second(base + R"("source": ["10.1.1.1"], "destination": ["10.2.0.0/16"],
        "services": ["udp/53:99", "icmp/8/0"])"),
              Found{"2 redundant a/1"});
    EXPECT_EQ(second(base + R"("source": ["10.1.1.1"], "destination": ["10.2.0.0/16"])"), Found{});
    EXPECT_EQ(second(base + R"("source": ["10.2.1.1"], "destination": ["10.2.0.0/16"],
        "services": ["tcp/80"])"),
              Found{});
    EXPECT_EQ(second(base + R"("source": ["10.1.1.1"], "services": ["tcp/80"])"), Found{});
    EXPECT_EQ(second(R"("source": ["10.1.1.1"], "destination": ["10.2.0.0/16"], "services": ["udp"],
        "direction": "in")"),
              Found{});
    EXPECT_EQ(second(R"("source": ["10.1.1.1"], "destination": ["10.2.0.0/16"], "services": ["udp"],
        "applied_to": ["vm1"])"),
              Found{});
}

TEST(RuleCheck, KnowsNegatedLists) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "source": ["net"], "negate_source": true},
        {"name": "2", "source": ["11.0.0.0/8"]},
        {"name": "3", "source": ["10.0.0.0/8"]},
        {"name": "4", "source": ["10.0.0.0/8"], "negate_source": true}])")),
              (Found{"2 redundant a/1", "4 redundant a/1"}));
}

TEST(RuleCheck, FindsSeveralRulesThatCoverOneTogether) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "services": ["tcp/80"]},
        {"name": "2", "services": ["tcp/443"], "action": "drop"},
        {"name": "3", "services": ["tcp/80", "tcp/443"]},
        {"name": "4", "services": ["tcp/80", "tcp/444"]}])")),
              Found{"3 shadowed a/1 a/2"});
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "source": ["10.0.0.0/8"]}, {"name": "2", "source": ["six"]},
        {"name": "3", "source": ["net", "2001:db8::1"]}])")),
              Found{"3 redundant a/1 a/2"});
}

TEST(RuleCheck, FindsWhatNeverMatches) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "source": ["none"]},
        {"name": "2", "destination": ["gone"]},
        {"name": "3", "source": ["net"], "destination": ["six"]},
        {"name": "4", "applied_to": ["gone"]},
        {"name": "5", "source": ["net"], "services": ["icmpv6"]},
        {"name": "6", "source": ["six"], "services": ["icmp/8"]},
        {"name": "7", "source": ["none"], "negate_source": true}])")),
              (Found{"1 never_matches", "2 never_matches", "3 never_matches", "4 never_matches",
                     "5 never_matches", "6 never_matches"}));
}

TEST(RuleCheck, TakesListsOfPortsByNameOnly) {
    EXPECT_EQ(findings(document_of(R"([
        {"name": "1", "source": ["10.0.0.0/8"]},
        {"name": "2", "source": ["web"]},
        {"name": "3", "source": ["web"], "services": ["tcp"]},
        {"name": "4", "source": ["vm2"]}])")),
              Found{"3 redundant a/2"});
}

TEST(RuleCheck, ChecksAclsByThemselves) {
    EXPECT_EQ(findings(document_of(R"([{"name": "x"}])", R"([
        {"name": "1", "ethertype": "0x0800", "action": "deny"},
        {"name": "2", "ethertype": "0x0800", "vlan": 10},
        {"name": "3", "ethertype": "0x86dd"},
        {"name": "4", "source_mac": "02:00:00:00:00:01", "action": "deny"}])")),
              Found{"2 shadowed acl hard/1"});
}

TEST(RuleCheck, NamesRulesWithoutHitsLast) {
    RuleCheckOptions options;
    options.never_hit = [](const std::string&, const std::string& rule) {
        return rule == "2" ? std::nullopt : std::optional<std::string>("noon");
    };
    const auto document = document_of(R"([{"name": "1", "services": ["tcp"]},
        {"name": "2", "services": ["udp"]}, {"name": "3", "services": ["udp/53"]}])");
    EXPECT_EQ(findings(document, options), (Found{"1 never_hit", "3 redundant a/2"}));
    options.section = "a";
    options.rule = "3";
    EXPECT_EQ(findings(document, options), Found{"3 redundant a/2"});
}

/// Random rules over a small world.
std::string random_rules(std::mt19937_64& random, unsigned count) {
    const auto one_of = [&](std::initializer_list<const char*> words) {
        return *(words.begin() + random() % words.size());
    };
    std::string out = "[";
    for (unsigned i = 0; i < count; ++i) {
        const auto list = [&](const char* key, const char* word) {
            if (*word == 0) { return; }
            out += std::string(", \"") + key + "\": [" + word + "]";
        };
        out += std::string(i == 0 ? "" : ", ") + "{\"name\": \"r" + std::to_string(i) + "\"";
        out += std::string(", \"action\": \"") + one_of({"allow", "drop"}) + "\"";
        out += std::string(", \"direction\": \"") + one_of({"both", "both", "in", "out"}) + "\"";
        const auto addresses = [&] {
            return one_of({"", "\"10.0.0.0/30\"", "\"10.0.0.0/31\"", "\"10.0.0.1\"",
                           "\"10.0.0.2\", \"10.0.0.1\"", "\"10.0.0.0/29\""});
        };
        const char* const source = addresses();
        list("source", source);
        if (*source != 0 && random() % 4 == 0) { out += ", \"negate_source\": true"; }
        list("destination", addresses());
        list("services", one_of({"", "\"tcp\"", "\"tcp/1-3\"", "\"tcp/2\"", "\"tcp/1\", \"udp/1\"",
                                 "\"udp\"", "\"tcp/2:7\""}));
        out += "}";
    }
    return out + "]";
}

/// For each rule, how often it is the first match over all keys of the small world.
std::map<std::string, unsigned> first_matches(const model::Document& document) {
    const model::Resolver resolver(document);
    std::map<std::string, unsigned> counts;
    for (unsigned s = 0; s < 9; ++s) {
        for (unsigned d = 0; d < 9; ++d) {
            for (unsigned n = 0; n < 32; ++n) {
                const bool is_tcp = n % 2 == 0;
                const unsigned port = n / 2 % 4, from = n / 8 % 2 == 0 ? 7 : 8;
                const bool is_in = n >= 16;
                const IpAddr source = IpAddr::v4(0x0a000000U + s);
                const IpAddr destination = IpAddr::v4(0x0a000000U + d);
                for (const model::Rule& rule : document.dfw.sections[0].rules) {
                    const auto in = [&](const std::vector<std::string>& list, const IpAddr& ip) {
                        const auto all = resolver.addresses(list);
                        return all.any ||
                               std::any_of(all.prefixes.begin(), all.prefixes.end(),
                                           [&](const auto& p) { return p.contains(ip); });
                    };
                    const bool has_direction =
                        rule.direction == model::RuleDirection::kBoth ||
                        (rule.direction == model::RuleDirection::kIn) == is_in;
                    const bool has_service =
                        rule.services.empty() ||
                        std::any_of(rule.services.begin(), rule.services.end(), [&](const auto& x) {
                            return x.protocol == (is_tcp ? 6 : 17) &&
                                   x.destination.contains(static_cast<std::uint16_t>(port)) &&
                                   x.source.contains(static_cast<std::uint16_t>(from));
                        });
                    if (has_direction && has_service &&
                        in(rule.source, source) != rule.negate_source &&
                        in(rule.destination, destination) != rule.negate_destination) {
                        ++counts[rule.name];
                        break;
                    }
                }
            }
        }
    }
    return counts;
}

TEST(RuleCheck, NeverAccusesARuleThatIsAFirstMatch) {
    const char* text = std::getenv("SLUICE_SEED");
    const std::uint64_t seed =
        text != nullptr ? std::strtoull(text, nullptr, 0) : std::random_device{}();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::size_t accused = 0;
    for (int round = 0; round < 60; ++round) {
        const auto document = document_of(random_rules(random, 12));
        auto counts = first_matches(document);
        for (const RuleFinding& each : check_rules(document, {})) {
            ++accused;
            EXPECT_EQ(counts[each.rule], 0U) << each.rule << ": " << each.detail;
        }
    }
    EXPECT_GT(accused, 30U);
}

TEST(RuleCheck, FindsTheOneShadowedRuleOfManyThousand) {
    std::string rules = "[";
    for (unsigned i = 0; i < 20000; ++i) {
        rules += std::string(i == 0 ? "" : ",") + R"({"name":"r)" + std::to_string(i) +
                 R"(","source":["172.)" + std::to_string(16 + i / 65536) + "." +
                 std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) +
                 R"("],"services":["tcp/)" + std::to_string(i % 1000) + R"("]})";
    }
    rules += R"(,{"name":"late","source":["172.16.3.7"],"services":["tcp/775"],"action":"drop"}])";
    EXPECT_EQ(findings(document_of(rules)), Found{"late shadowed a/r775"});
}

}  // namespace
}  // namespace sluice::host
