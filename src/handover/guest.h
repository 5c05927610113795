// SPDX-License-Identifier: Apache-2.0
// A guest's port as a message: its name, whether it moved packets, and what the relay hands over.
// Descriptors go in the order QEMU's socket, listener, then those of the handshake. Any thread.
#pragma once

#include <string>

#include "handover/message.h"
#include "relay/handed_port.h"

namespace sluice::handover {

struct Guest {
    std::string port;
    bool is_up = false;  ///< Its rings were in use: the new process shall get as far.
    relay::HandedPort handed;
};

[[nodiscard]] Message to_message(Guest guest);
/// kInvalid, in a sentence, if the message does not describe a guest. What QEMU said in it is
/// judged by the relay, as always.
[[nodiscard]] Result<Guest> to_guest(Message message);

}  // namespace sluice::handover
