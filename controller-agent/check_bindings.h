// SPDX-License-Identifier: Apache-2.0
// check_bindings: a part of check_document. Any thread, pure.
#pragma once

#include "controller-agent/json_fields.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// Refuses the first binding that contradicts the document, or another one.
void check_bindings(const model::Document& document, Fault& fault);

}  // namespace sluice::agent
