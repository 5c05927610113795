// SPDX-License-Identifier: Apache-2.0
// Inside of edit: the kinds of objects that can be edited, where they lie in the document, and the
// words in which edits are refused. A new list of the document is one more row.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "sluice/base/result.h"

namespace sluice::agent {

/// Where objects of a kind lie. "*" stands for the parent's name.
struct KindRow {
    std::string_view kind;
    std::array<std::string_view, 4> path;  // Unused places are empty.
    bool is_ordered;
    std::string_view parent_kind;
    std::string_view key = "name";  // By which objects of the list are told apart.
    [[nodiscard]] bool is_single() const { return kind == "host" || kind == "dfw"; }
};
inline constexpr std::array kKinds{
    KindRow{"host", {"host"}, false, ""},
    KindRow{"uplink", {"uplinks"}, false, ""},
    KindRow{"vtep", {"vteps"}, false, ""},
    KindRow{"switch", {"switches"}, false, ""},
    KindRow{"port_group", {"port_groups"}, false, ""},
    KindRow{"port", {"ports"}, false, ""},
    KindRow{"address_set", {"address_sets"}, false, ""},
    KindRow{"group", {"groups"}, false, ""},
    KindRow{"acl", {"acls"}, true, ""},
    KindRow{"acl_rule", {"acls", "*", "rules"}, true, "acl"},
    KindRow{"dfw", {"dfw"}, false, ""},
    KindRow{"section", {"dfw", "sections"}, true, ""},
    KindRow{"rule", {"dfw", "sections", "*", "rules"}, true, "section"},
    KindRow{"service_chain", {"service_chains"}, true, ""},
    KindRow{"service_rule", {"service_chains", "*", "rules"}, true, "service_chain"},
    KindRow{"key_policy", {"encryption", "key_policies"}, false, ""},
    KindRow{"encryption_rule", {"encryption", "rules"}, true, ""},
    KindRow{"router", {"routers"}, false, ""},
    KindRow{"router_interface", {"routers", "*", "interfaces"}, false, "router"},
    KindRow{"route", {"routers", "*", "routes"}, false, "router", "prefix"},
};

[[nodiscard]] inline const KindRow* find_kind(std::string_view kind) {
    const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                    [&](const KindRow& row) { return row.kind == kind; });
    return found == kKinds.end() ? nullptr : &*found;
}

[[nodiscard]] inline Error invalid(const std::string& message,
                                   const std::string& object = "parameters") {
    return Error{Errc::kInvalid, message, object};
}

[[nodiscard]] inline std::string spoken(std::string_view kind) {
    std::string text(kind);
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
}

[[nodiscard]] inline std::string subject(std::string_view kind, const std::string& name) {
    return spoken(kind) + (name.empty() ? "" : " " + name);
}

}  // namespace sluice::agent
