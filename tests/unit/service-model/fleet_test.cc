// SPDX-License-Identifier: Apache-2.0
// Services and encryption of a fleet: rows and back, and what each host makes of a service whose
// legs are on one of them.
#include <gtest/gtest.h>

#include "controller-agent/document_json.h"
#include "controller-agent/fleet/check_fleet.h"
#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

json two_hosts() {
    return json::parse(R"({
 "hosts": [{"name": "h1"}, {"name": "h2"}],
 "uplinks": [{"name": "up0", "host": "h1", "device": "net_null0"},
             {"name": "up0", "host": "h2", "device": "net_null0"}],
 "vteps": [{"name": "tep0", "host": "h1", "ip": "172.16.0.1/24", "uplink": "up0"},
           {"name": "tep0", "host": "h2", "ip": "172.16.0.2/24", "uplink": "up0"}],
 "switches": [{"name": "dvs0", "uplinks": ["up0"]}],
 "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}],
 "ports": [{"name": "vm1", "host": "h1", "port_group": "web", "ips": ["10.0.0.1"]},
           {"name": "vm2", "host": "h2", "port_group": "web", "ips": ["10.0.0.2"]},
           {"name": "ids-in", "host": "h1", "kind": "service"},
           {"name": "ids-out", "host": "h1", "kind": "service"}],
 "service_chains": [{"name": "b", "rules": [
   {"name": "z", "destination": ["vm2"],
    "instances": [{"name": "ids", "in": "ids-in", "out": "ids-out", "vni": 9001}]},
   {"name": "a", "action": "bypass", "applied_to": ["vm1"]}]}, {"name": "a"}],
 "encryption": {"key_policies": [{"name": "kp", "key_file": "/k"}],
                "rules": [{"name": "z", "key_policy": "kp", "source": ["vm1"]},
                          {"name": "a", "action": "clear", "applied_to": ["vm2"]}]}
})");
}

json normal(const json& document) {
    auto out = normalised(document);
    EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
    return out.ok() ? std::move(out).value() : json::object();
}

json view_of(const json& document, const std::string& host) {
    const HostView view = host_view(pack(normal(document)), host, {});
    for (const Problem& problem : view.problems) {
        ADD_FAILURE() << problem.object << ": " << problem.reason;
    }
    return view.document;
}

std::string names(const json& list) {
    std::string out;
    for (const json& item : list) { out += item["name"].get<std::string>() + " "; }
    return out;
}

TEST(FleetServices, RowsGiveTheDocumentBack) {
    const json document = normal(two_hosts());
    std::vector<Problem> problems;
    const json again = unpack(pack(document), problems);
    EXPECT_TRUE(problems.empty());
    EXPECT_EQ(again, document);
    EXPECT_EQ(names(again["service_chains"]), "b a ");
    EXPECT_EQ(names(again["service_chains"][0]["rules"]), "z a ");
    EXPECT_EQ(names(again["encryption"]["rules"]), "z a ");
    EXPECT_FALSE(again["ports"][0].contains("port_group") &&
                 again["ports"][0]["kind"] == "service");
}

TEST(FleetServices, TheHostOfTheLegsHasThem) {
    const json view = view_of(two_hosts(), "h1");
    const json& instance = view["service_chains"][0]["rules"][0]["instances"][0];
    EXPECT_EQ(instance["in"], "ids-in");
    EXPECT_FALSE(instance.contains("vtep"));
    EXPECT_EQ(names(view["encryption"]["rules"]), "z ") << "a applies to a port of h2 only";
    EXPECT_TRUE(agent::read_document(view).ok());
}

TEST(FleetServices, OtherHostsReachThemBehindItsVtep) {
    const json view = view_of(two_hosts(), "h2");
    EXPECT_EQ(names(view["service_chains"][0]["rules"]), "z ");
    const json& instance = view["service_chains"][0]["rules"][0]["instances"][0];
    EXPECT_EQ(instance, json::parse(R"({"name":"ids","vtep":"172.16.0.1","vni":9001})"));
    EXPECT_EQ(names(view["encryption"]["rules"]), "z a ");
    const auto read = agent::read_document(view);
    ASSERT_TRUE(read.ok()) << read.error().message;
}

TEST(FleetServices, AServiceThatCanNotBeReachedIsRefused) {
    json document = two_hosts();
    document["service_chains"][0]["rules"][0]["instances"][0].erase("vni");
    document = normal(document);
    const Status checked = check_fleet(document, pack(document), nullptr, {});
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().message,
              "host h2: service_rule b/z: instance ids: leg ids-in is on host h1, and the instance "
              "has no vni");
}

TEST(FleetServices, AFleetIsCheckedWhole) {
    json document = normal(two_hosts());
    const Status good = check_fleet(document, pack(document), nullptr, {});
    EXPECT_TRUE(good.ok()) << good.error().message;
    document["encryption"]["rules"][0]["key_policy"] = "nope";
    const Status bad = check_fleet(document, pack(document), nullptr, {});
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().message, "encryption rule z: key_policy \"nope\" does not exist");
}

TEST(FleetServices, RefusedObjectsAreFoundByTheirNames) {
    json document = view_of(two_hosts(), "h1");
    EXPECT_TRUE(remove_object(document, "service_chain b rule z instance ids"));
    EXPECT_EQ(names(document["service_chains"][0]["rules"]), "a ");
    EXPECT_TRUE(remove_object(document, "service_rule b/a"));
    EXPECT_TRUE(remove_object(document, "service_chain a"));
    EXPECT_TRUE(remove_object(document, "encryption rule z"));
    EXPECT_TRUE(remove_object(document, "key_policy kp"));
    EXPECT_FALSE(remove_object(document, "key_policy kp"));
    EXPECT_TRUE(document["encryption"]["key_policies"].empty());
}

}  // namespace
}  // namespace sluice::fleet
