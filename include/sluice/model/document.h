// SPDX-License-Identifier: Apache-2.0
// model::Document: the whole desired state of a host, as `apply` takes it and `export` gives it. A
// Document that came from a source is valid: names resolve, ranges hold. Plain value, any thread.
#pragma once

#include <vector>

#include "sluice/model/acl.h"
#include "sluice/model/address_set.h"
#include "sluice/model/binding.h"
#include "sluice/model/dfw.h"
#include "sluice/model/encryption.h"
#include "sluice/model/group.h"
#include "sluice/model/host.h"
#include "sluice/model/port.h"
#include "sluice/model/port_group.h"
#include "sluice/model/router.h"
#include "sluice/model/service_chain.h"
#include "sluice/model/switch.h"
#include "sluice/model/uplink.h"
#include "sluice/model/vtep.h"

namespace sluice::model {

/// Everything. Lists keep the order of the document; it has a meaning for `acls`, the firewall,
/// `service_chains` and `encryption` only.
struct Document {
    Host host;
    std::vector<Uplink> uplinks;
    std::vector<Vtep> vteps;
    std::vector<Switch> switches;
    std::vector<PortGroup> port_groups;
    std::vector<Port> ports;
    std::vector<AddressSet> address_sets;
    std::vector<Group> groups;
    std::vector<Acl> acls;
    Dfw dfw;
    std::vector<ServiceChain> service_chains;
    Encryption encryption;
    std::vector<Router> routers;
    std::vector<Binding> bindings;

    bool operator==(const Document&) const = default;
};

}  // namespace sluice::model
