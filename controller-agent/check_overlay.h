// SPDX-License-Identifier: Apache-2.0
// check_overlay: a part of check_document. Any thread, pure.
#pragma once

#include "controller-agent/check_uplinks.h"

namespace sluice::agent {

/// VTEPs, remote VTEPs and VNIs, those of bindings included. Names of switches, port groups and
/// uplinks are known to be right.
void check_overlay(const model::Document& document, const NameOwner& owner_of, Fault& fault);

}  // namespace sluice::agent
