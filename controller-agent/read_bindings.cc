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

std::string name_of(const Binding& binding) {
    const std::string vlan = binding.vlan ? "." + std::to_string(*binding.vlan) : std::string();
    return binding.port_group + vlan + "/" + to_string(binding.ip);
}

Binding read_binding(Fields fields, const model::Document& document) {
    Binding binding;
    read_group(fields, document, binding);
    read_needed_mac(fields, "mac", binding.mac);
    read_needed_ip(fields, "ip", binding.ip);
    std::uint16_t vlan = 0;
    if (fields.number("vlan", vlan, kVlanMin, kVlanMax)) { binding.vlan = vlan; }
    read_ip(fields, "vtep", binding.vtep);
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
