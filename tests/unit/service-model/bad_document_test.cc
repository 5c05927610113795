// SPDX-License-Identifier: Apache-2.0
// Service chains and encryption that are refused, by name: one change to a good document each.
#include <gtest/gtest.h>

#include <cctype>

#include "controller-agent/document_json.h"
#include "tests/unit/service-model/documents.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

struct BadServices {
    const char* title;
    const char* patch;  ///< JSON Patch (RFC 6902).
    const char* sentence;
};

std::vector<BadServices> bad_services() {
#define INSPECT "/service_chains/0/rules/1"
#define FIRST INSPECT "/instances/0"
    return {
        {"no instance", R"([{"op":"remove","path":")" INSPECT R"(/instances"}])",
         "service_chain ids rule inspect: instances is empty, action redirect needs at least one "
         "instance"},
        {"slot below", R"([{"op":"replace","path":")" INSPECT R"(/slot","value":3}])",
         "service_chain ids rule inspect: slot 3 is outside 4..12"},
        {"slot above", R"([{"op":"replace","path":")" INSPECT R"(/slot","value":13}])",
         "service_chain ids rule inspect: slot 13 is outside 4..12"},
        {"bypass with an instance",
         R"([{"op":"add","path":"/service_chains/0/rules/0/instances","value":[{"name":"x"}]}])",
         "service_chain ids rule trusted: instances holds \"x\", action bypass takes none"},
        {"leg is no port", R"([{"op":"replace","path":")" FIRST R"(/in","value":"nope"}])",
         "service_chain ids rule inspect instance ids1: in \"nope\" does not exist, expected a "
         "port of kind service"},
        {"leg is a vNIC", R"([{"op":"replace","path":")" FIRST R"(/out","value":"vm1"}])",
         "service_chain ids rule inspect instance ids1: out \"vm1\" is not a port of kind service"},
        {"leg of two", R"([{"op":"replace","path":")" FIRST R"(/out","value":"av-leg"}])",
         "service_chain ids rule scan instance av: in \"av-leg\" is a leg of service_chain ids "
         "rule inspect instance ids1 too"},
        {"no place",
         R"([{"op":"remove","path":")" FIRST R"(/in"},{"op":"remove","path":")" FIRST R"(/out"}])",
         "service_chain ids rule inspect instance ids1: has no place, expected one of in, vtep and "
         "module"},
        {"two places", R"([{"op":"add","path":")" FIRST R"(/module","value":"dns"}])",
         "service_chain ids rule inspect instance ids1: has several places, expected one of in, "
         "vtep and module"},
        {"said otherwise",
         R"([{"op":"add","path":"/service_chains/0/rules/2/instances/-",
             "value":{"name":"ids1","in":"ids1-in"}}])",
         "service_chain ids rule scan instance ids1: is said otherwise in service_chain ids rule "
         "inspect, all rules say the same of an instance, weight apart"},
        {"weight", R"([{"op":"replace","path":")" FIRST R"(/weight","value":1001}])",
         "service_chain ids rule inspect instance ids1: weight 1001 is outside 0..1000"},
        {"elsewhere without vni", R"([{"op":"remove","path":")" INSPECT R"(/instances/1/vni"}])",
         "service_chain ids rule inspect instance far: vtep 172.16.0.9 needs a vni, by which "
         "frames are handed to it"},
        {"elsewhere is here",
         R"([{"op":"replace","path":")" INSPECT R"(/instances/1/vtep","value":"172.16.0.1"}])",
         "service_chain ids rule inspect instance far: vtep 172.16.0.1, which is vtep tep0 of this "
         "host"},
        {"elsewhere out of reach",
         R"([{"op":"replace","path":")" INSPECT R"(/instances/1/vtep","value":"10.1.1.1"}])",
         "service_chain ids rule inspect instance far: vtep 10.1.1.1, which is in no subnet of a "
         "vtep of switch dvs0, and none has a gateway"},
        {"a port group's vni",
         R"([{"op":"replace","path":")" INSPECT R"(/instances/1/vni","value":5001}])",
         "service_chain ids rule inspect instance far: vni 5001 is that of port_group web, "
         "expected one that no port group has"},
        {"path twice", R"([{"op":"add","path":")" FIRST R"(/path","value":77}])",
         "service_chain ids rule scan instance av: path 77 is that of instance ids1 too, expected "
         "one of its own"},
        {"source", R"([{"op":"add","path":")" INSPECT R"(/source","value":["nope"]}])",
         "service_chain ids rule inspect: source \"nope\" is no address or prefix, and no address "
         "set, group, port group or port of that name exists"},
        {"applied to", R"([{"op":"replace","path":")" INSPECT R"(/applied_to","value":["nope"]}])",
         "service_chain ids rule inspect: applied_to \"nope\" does not exist, expected a group, "
         "port group or port"},
        {"unknown key", R"([{"op":"add","path":")" FIRST R"(/wieght","value":1}])",
         "service_chain ids rule inspect instance ids1: unknown key \"wieght\""},
        {"required without key",
         R"([{"op":"remove","path":"/encryption/key_policies/0/key_file"}])",
         "key_policy kp1: has no key, encryption rule e1 has required true: expected key_file or "
         "keys"},
        {"no such policy",
         R"([{"op":"replace","path":"/encryption/rules/0/key_policy","value":"kp9"}])",
         "encryption rule e1: key_policy \"kp9\" does not exist"},
        {"no policy", R"([{"op":"remove","path":"/encryption/rules/0/key_policy"}])",
         "encryption rule e1: key_policy is missing, action encrypt needs one"},
        {"integrity by gcm",
         R"([{"op":"replace","path":"/encryption/rules/1/key_policy","value":"kp1"}])",
         "encryption rule e2: key_policy \"kp1\" has algorithm aes-128-gcm, action integrity needs "
         "aes-128-gmac"},
        {"encrypt by gmac",
         R"([{"op":"replace","path":"/encryption/rules/0/key_policy","value":"auth"}])",
         "encryption rule e1: key_policy \"auth\" has algorithm aes-128-gmac, action encrypt needs "
         "aes-128-gcm or aes-256-gcm"},
        {"clear and required",
         R"([{"op":"add","path":"/encryption/rules/2/required","value":true}])",
         "encryption rule e3: required true needs action encrypt or integrity"},
        {"clear with a policy",
         R"([{"op":"add","path":"/encryption/rules/2/key_policy","value":"kp1"}])",
         "encryption rule e3: key_policy \"kp1\" is given, action clear takes none"},
        {"id twice", R"([{"op":"replace","path":"/encryption/key_policies/1/id","value":9}])",
         "key_policy auth: id 9 is that of key_policy kp1 too, expected one of its own (id)"},
        {"id", R"([{"op":"replace","path":"/encryption/key_policies/1/id","value":64}])",
         "key_policy auth: id 64 is outside 1..63"},
        {"file and keys",
         R"([{"op":"add","path":"/encryption/key_policies/1/key_file","value":"/k"}])",
         "key_policy auth: has key_file and keys, expected one of them"},
        {"relative file",
         R"([{"op":"replace","path":"/encryption/key_policies/0/key_file","value":"k"}])",
         "key_policy kp1: key_file \"k\" is not an absolute path of a file"},
        {"epochs",
         R"([{"op":"replace","path":"/encryption/key_policies/1/keys/1/epoch","value":5}])",
         "key_policy auth: keys holds epoch 5 behind 5, they ascend"},
        {"algorithm",
         R"([{"op":"add","path":"/encryption/key_policies/0/algorithm","value":"rot13"}])",
         "key_policy kp1: algorithm \"rot13\" is not one of aes-128-gcm, aes-256-gcm, "
         "aes-128-gmac"},
    };
#undef FIRST
#undef INSPECT
}

class BadServiceDocument : public testing::TestWithParam<BadServices> {};

TEST_P(BadServiceDocument, IsRefusedWithThisSentence) {
    const json document = test::with_services().patch(json::parse(GetParam().patch));
    const auto read = read_document(document);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().message, GetParam().sentence);
    EXPECT_EQ(read.error().message.rfind(read.error().object + ": ", 0), 0u);
}

std::string name_of(const testing::TestParamInfo<BadServices>& bad) {
    std::string name = bad.param.title;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) { c = '_'; }
    }
    return name;
}
INSTANTIATE_TEST_SUITE_P(Services, BadServiceDocument, testing::ValuesIn(bad_services()), name_of);

}  // namespace
}  // namespace sluice::agent
