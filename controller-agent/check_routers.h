// SPDX-License-Identifier: Apache-2.0
// check_routers: a part of check_document. Any thread, pure.
#pragma once

#include "controller-agent/json_fields.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// Refuses the first router that contradicts the document, or another one. Names of port groups'
/// switches are known to be right.
void check_routers(const model::Document& document, Fault& fault);

}  // namespace sluice::agent
