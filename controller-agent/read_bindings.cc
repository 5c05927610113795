// SPDX-License-Identifier: Apache-2.0
// Reader of bindings. They are the one list whose objects have no name of their own: the place and
// the address that they are about make one, for errors and differences.
#include "controller-agent/document_reader.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::Binding;

void read_group(Fields& fields, const model::Document& document, Binding& binding) {
    if (fields.text("port_group", binding.port_group)) { return; }
    if (document.port_groups.size() == 1) {
        binding.port_group = document.port_groups.front().name;
    } else {
        fields.refuse(Errc::kInvalid, "port_group", "is missing, expected a port group's name");
    }
}

/// A text that `parse` understands. The key is needed.
template <typename T, typename Parse>
void read_address(Fields& fields, std::string_view key, const char* expected, Parse parse, T& out) {
    std::string text;
    if (!fields.text(key, text)) {
        fields.refuse(Errc::kInvalid, key, std::string("is missing, expected ") + expected);
        return;
    }
    const auto value = parse(text);
    if (value) {
        out = *value;
    } else {
        fields.refuse(Errc::kInvalid, key, shown(std::string_view(text)) + " is not " + expected);
    }
}

std::string name_of(const Binding& binding) {
    const std::string vlan = binding.vlan ? "." + std::to_string(*binding.vlan) : std::string();
    return binding.port_group + vlan + "/" + to_string(binding.ip);
}

Binding read_binding(Fields fields, const model::Document& document) {
    Binding binding;
    read_group(fields, document, binding);
    read_address(
        fields, "mac", "a MAC address like 02:00:00:00:00:01",
        [](const std::string& text) { return parse_mac(text); }, binding.mac);
    read_address(
        fields, "ip", "an IPv4 or IPv6 address",
        [](const std::string& text) { return parse_ip(text); }, binding.ip);
    std::uint16_t vlan = 0;
    if (fields.number("vlan", vlan, kVlanMin, kVlanMax)) { binding.vlan = vlan; }
    if (const nlohmann::json* vtep = fields.take("vtep")) {
        fields.refuse_unsupported("vtep", shown(*vtep));
    }
    fields.finish();
    binding.name = name_of(binding);
    return binding;
}

}  // namespace

void read_static_bindings(Fields& root, Fault& fault, model::Document& document) {
    const nlohmann::json* items = root.list("bindings", kStaticBindingMax);
    if (items == nullptr) { return; }
    document.bindings.reserve(items->size());
    for (std::size_t i = 0; i < items->size() && !fault.any(); ++i) {
        const std::string place = "bindings[" + std::to_string(i) + "]";
        document.bindings.push_back(read_binding(Fields(&(*items)[i], place, "", fault), document));
    }
}

}  // namespace sluice::agent
