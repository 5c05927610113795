// SPDX-License-Identifier: Apache-2.0
// The daemon's side of the privileged helper: requests as coroutines of the control thread, which
// never wait in a system call. Answers that come too late are thrown away, and what they bring is
// closed. The io_context's thread.
#pragma once

#include <map>

#include "privileged/message.h"
#include "relay/asio.h"

namespace sluice::privileged {

class HelperClient {
public:
    /// @param socket  the daemon's end of the pair; invalid: every request fails with a sentence
    HelperClient(relay::asio::io_context& io, relay::Fd socket);

    /// Makes an interface. The error's sentence begins with what is wrong, not with a port.
    [[nodiscard]] relay::asio::awaitable<Result<MadeInterface>> open(InterfaceSpec spec);
    /// Changes MAC, MTU and addresses of a present one.
    [[nodiscard]] relay::asio::awaitable<Status> configure(InterfaceSpec spec, std::uint32_t index);
    /// Ends the helper: it exits when the pair is closed.
    void stop();

private:
    struct Pending {
        explicit Pending(relay::asio::io_context& io) : answered(io) {}
        relay::asio::steady_timer answered;  // Cancelled when the answer is here.
        bool is_answered = false;
        Answer answer;
        relay::Fd descriptor;
    };

    [[nodiscard]] relay::asio::awaitable<Result<MadeInterface>> ask(Operation operation,
                                                                    std::uint32_t index,
                                                                    InterfaceSpec spec);
    relay::asio::awaitable<void> read_answers();
    /// False at the end of the stream.
    bool drain();

    relay::asio::io_context& io_;
    relay::asio::posix::stream_descriptor stream_;
    std::map<std::uint64_t, Pending*> pending_;  // In the frames of the coroutines that ask.
    std::uint64_t last_id_ = 0;
};

}  // namespace sluice::privileged
