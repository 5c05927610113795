// SPDX-License-Identifier: Apache-2.0
// Objects taken out of a document by the name that a refusal gives them.
#include "documents.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

json without(const std::string& object) {
    json document = small_fleet();
    EXPECT_TRUE(remove_object(document, object)) << object;
    return document;
}

TEST(FleetRemove, TakesOutByTheNameOfTheRefusal) {
    EXPECT_EQ(names(without("port vm1"), "ports"), (Names{"vm2", "vm3"}));
    EXPECT_EQ(names(without("port_group web"), "port_groups"), (Names{"db", "legacy"}));
    EXPECT_EQ(names(without("ports[1]"), "ports"), (Names{"vm1", "vm3"}));
    EXPECT_EQ(names(without("acl z"), "acls"), Names{"a"});
    EXPECT_EQ(names(without("acl z rule r1")["acls"][0], "rules"), Names{"r2"});
    EXPECT_EQ(names(without("acl_rule z/r1")["acls"][0], "rules"), Names{"r2"});
    EXPECT_EQ(names(without("dfw section z")["dfw"], "sections"), (Names{"empty", "a"}));
    EXPECT_EQ(names(without("dfw section z rule b")["dfw"]["sections"][0], "rules"), Names{"a"});
    EXPECT_EQ(names(without("rule z/b")["dfw"]["sections"][0], "rules"), Names{"a"});
    EXPECT_EQ(without("router ldr route 192.0.2.0/24")["routers"][0]["routes"].size(), 0u);
    EXPECT_EQ(without("router ldr routes[0]")["routers"][0]["routes"].size(), 0u);
    EXPECT_EQ(names(without("router ldr interface w")["routers"][0], "interfaces"), Names{"d"});
    EXPECT_EQ(without("binding web/10.0.1.9")["bindings"].size(), 1u);
    EXPECT_EQ(without("bindings[0]")["bindings"].size(), 1u);
    EXPECT_FALSE(without("dfw").contains("dfw"));
}

TEST(FleetRemove, ASwitchLosesItsRemoteVtepsFirst) {
    json document = small_fleet();
    document["switches"][0]["remote_vteps"] = {"172.16.0.9"};
    EXPECT_TRUE(remove_object(document, "switch dvs0"));
    EXPECT_EQ(names(document, "switches"), (Names{"dvs0", "dvs1"}));
    EXPECT_FALSE(document["switches"][0].contains("remote_vteps"));
    EXPECT_TRUE(remove_object(document, "switch dvs0"));
    EXPECT_EQ(names(document, "switches"), Names{"dvs1"});
}

TEST(FleetRemove, SaysWhatIsNotThere) {
    json document = small_fleet();
    for (const char* object :
         {"", "port vm9", "ports[9]", "ports[x]", "document", "rule z/nobody", "rule z", "moon",
          "dfw section nobody rule b", "router ldr moon", "binding web/10.9.9.9"}) {
        EXPECT_FALSE(remove_object(document, object)) << object;
    }
    EXPECT_EQ(document, small_fleet());
}

}  // namespace
}  // namespace sluice::fleet
