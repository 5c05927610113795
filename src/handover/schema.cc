// SPDX-License-Identifier: Apache-2.0
// Versions of the handover's messages: 1 is the first one.
#include "handover/schema.h"

namespace sluice::handover {

SchemaRange own_schemas() noexcept { return {1, 1}; }

}  // namespace sluice::handover
