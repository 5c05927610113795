// SPDX-License-Identifier: Apache-2.0
// The attacks that go over the vhost-user socket, apart from those in shared memory. Called by
// attack().
#pragma once

#include "attack.h"

namespace sluice::frontend {

/// Sends what `attack` (kRingAddressOutOfRange or later) stands for, without waiting for an answer.
/// kIo if the device closed the socket meanwhile.
[[nodiscard]] Status attack_socket(FrontEnd& front_end, Attack attack);

}  // namespace sluice::frontend
