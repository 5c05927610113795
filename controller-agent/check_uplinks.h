// SPDX-License-Identifier: Apache-2.0
// check_uplinks: a part of check_document. Any thread, pure.
#pragma once

#include <functional>
#include <string>

#include "controller-agent/json_fields.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// Who has a name that rules can use: "port vm1"; empty if nobody has.
using NameOwner = std::function<std::string(const std::string& name)>;

/// Uplinks, which switch has them, and how switches and port groups share them out. Names of
/// switches and port groups are known to be right.
void check_uplinks(const model::Document& document, const NameOwner& owner_of, Fault& fault);
void check_teaming(const model::Document& document, Fault& fault);

}  // namespace sluice::agent
