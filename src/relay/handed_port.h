// SPDX-License-Identifier: Apache-2.0
// One port of a relay on its way to the relay of another process: QEMU's socket, what QEMU has said
// so far, and the socket that the port listens on. Plain data, the control thread.
#pragma once

#include <vector>

#include "relay/protocol.h"
#include "relay/socket_path.h"

namespace sluice::relay {

struct HandedPort {
    Fd qemu;                    ///< None: no QEMU is attached, or it was in mid-message.
    std::vector<Message> said;  ///< Its handshake, in the order of Handshake::messages().
    Listener listener;          ///< Server mode only.
};

}  // namespace sluice::relay
