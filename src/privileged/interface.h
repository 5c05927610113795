// SPDX-License-Identifier: Apache-2.0
// Interfaces of kernel ports: a TAP made inside its namespace, with MAC, MTU and addresses, up. It
// lives as long as its descriptor. The helper's thread only.
#pragma once

#include "privileged/message.h"

namespace sluice::privileged {

/// Makes it. An interface of that name in that namespace is refused (kExists).
[[nodiscard]] Result<MadeInterface> open_interface(const InterfaceSpec& spec);

/// Gives interface number `index`, which open_interface() made, what `spec` says.
[[nodiscard]] Status configure_interface(const InterfaceSpec& spec, std::uint32_t index);

}  // namespace sluice::privileged
