// SPDX-License-Identifier: Apache-2.0
// One attached QEMU: its channel, a fresh connection to librte_vhost's private socket, and two
// coroutines that carry whole messages between them. Requests are checked and recorded, replies
// narrowed. When the library alone goes away, the recorded handshake is replayed to a new
// connection. The io_context's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "relay/channel.h"
#include "relay/dirty_log.h"
#include "relay/event.h"
#include "relay/handed_port.h"
#include "relay/handshake.h"
#include "relay/relay_port.h"

namespace sluice::relay {

/// Why a session ended.
struct SessionEnd {
    enum class Kind : std::uint8_t { kPeerGone, kRefused, kLibraryGone, kStopped };
    Kind kind = Kind::kPeerGone;
    RefuseReason reason{};       ///< With kRefused.
    std::string text;            ///< A sentence for the log and `show port`.
    std::uint64_t messages = 0;  ///< Requests that this session relayed.
};

class Session : public std::enable_shared_from_this<Session> {
public:
    /// @param counters  of the port; must outlive run()
    Session(const asio::any_io_executor& executor, const RelayPort& port, RelayCounters& counters);

    /// Takes QEMU's socket and relays until one side ends it. Call once.
    /// @param said  by QEMU to another process that had the socket so far; it is replayed first
    /// @param attached  called with QEMU's pid when the library is connected too
    asio::awaitable<SessionEnd> run(Fd qemu, std::vector<Message> said,
                                    std::function<void(int pid)> attached);

    /// Ends the session from outside; run() returns soon after. The sockets are closed at once.
    void finish(SessionEnd end);
    /// Is the session about to end, because it was told to or because QEMU closed its end?
    [[nodiscard]] bool leaving() { return finished_ || !qemu_ || qemu_->hung_up(); }
    /// Drops the library's connection and replays the handshake to a new one. For a library that
    /// was set up anew.
    void reconnect_library();

    /// Reads no more of QEMU; the message under way is carried through.
    void hold();
    /// Held, and nobody owes anybody anything.
    [[nodiscard]] bool is_quiet() const;
    /// Of a quiet session: QEMU's socket and all that it said; no socket if the session is over, or
    /// no descriptor is left.
    [[nodiscard]] HandedPort hand_over();
    /// Of a quiet session: the library lets go of the guest.
    void release_library();
    /// Goes on; a library that was released gets the handshake again.
    void resume();

private:
    asio::awaitable<void> pump_requests();
    asio::awaitable<bool> relay_request(Message& message);
    asio::awaitable<bool> answer_announce(Message& message);
    asio::awaitable<void> pump_replies();
    asio::awaitable<bool> relay_reply(Message& message);
    /// Offers a guest that was here before what it was offered then.
    void offer_again(Message& message);
    asio::awaitable<bool> replay();
    asio::awaitable<bool> take_over(std::vector<Message> said);
    asio::awaitable<bool> write_handshake();
    bool connect_library();
    bool may_replay();
    void finish_by(const ChannelEnd& end, SessionEnd::Kind gone, const char* gone_text);

    asio::any_io_executor executor_;
    RelayPort port_;
    RelayCounters& counters_;
    std::shared_ptr<Channel> qemu_;
    std::shared_ptr<Channel> library_;
    Handshake handshake_;
    DirtyLog log_;
    std::deque<Clock::time_point> replays_;
    Event library_event_;
    Event replies_event_;
    Event resumed_event_;   // The pump of requests waits here while it is held,
    Event released_event_;  // that of replies while the library is let go of.
    SessionEnd end_;
    std::uint32_t replies_owed_ = 0;
    std::uint32_t replies_of_replay_ = 0;  // That nobody waits for.
    bool library_up_ = false;
    bool replies_done_ = true;
    bool finished_ = false;
    bool held_ = false;
    bool requests_held_ = false;
    bool answering_ = false;  // A reply is on its way to QEMU.
    bool released_ = false;
};

}  // namespace sluice::relay
