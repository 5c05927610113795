// SPDX-License-Identifier: Apache-2.0
// Checks of service_chains and encryption that need more than one object, but for the names in
// their rules (check_document). Any thread, pure.
#pragma once

#include "controller-agent/json_fields.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// Instances: where they are, their legs, paths and VNIs; one that several rules name is said alike
/// everywhere.
void check_services(const model::Document& document, Fault& fault);

/// Key policies, and that rules name one that fits their action.
void check_encryption(const model::Document& document, Fault& fault);

}  // namespace sluice::agent
