// SPDX-License-Identifier: Apache-2.0
// FrontEnd: what QEMU and a guest's virtio-net driver are to a vhost-user switch, without either:
// it owns guest memory and split rings, speaks the front-end side of the protocol, sends and
// receives frames. For tests and for load; it has raw access to all of it, so that a test can be a
// hostile guest. One thread at a time per FrontEnd.
//
//   state     entered by                                  rings
//   closed    constructor, close                          -
//   listening listen (server mode)                        allocated
//   running   start: connected, negotiated, enabled       shared with the device
//   stopped   stop: GET_VRING_BASE on every ring          kept, the device is out; start again
//   resumes or clears lost      the device closed the socket                kept; reconnect resumes
//   where its used ring ends
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guest_memory.h"
#include "rx_queue.h"
#include "tx_queue.h"
#include "vhost_user.h"

namespace sluice::frontend {

enum class SocketMode : std::uint8_t { kServer, kClient };

struct Options {
    std::string socket;
    SocketMode mode =
        SocketMode::kServer;  ///< kServer: we listen, the device connects (QEMU's `server=on`).
    unsigned queue_pairs = 1;
    unsigned queue_size = 256;
    std::uint64_t features =
        kDefaultFeatures;         ///< Wanted; what the device does not offer is dropped.
    bool force_features = false;  ///< Set exactly `features`, offered or not (hostile).
    std::uint16_t mtu = 0;        ///< Told by NET_SET_MTU, 0 = not told.
    RxShape rx;
    unsigned region_count = 2;            ///< Memory regions, 1 or 2.
    std::size_t flood_bytes = 4U << 20U;  ///< Room for flood frames.
    bool tx_buffers = true;  ///< False: no buffers for send(); for those who fill the flood area.
    HugePages huge_pages = HugePages::kNo;
};

using Milliseconds = std::chrono::milliseconds;
inline constexpr Milliseconds kRequestTimeout{5000};

struct Pair {
    RxQueue rx;
    TxQueue tx;
};

struct SendResult {
    unsigned submitted = 0;  ///< Frames made available to the device.
    unsigned completed = 0;  ///< Of these, used by the device before the time was up.
};

struct FrontEndCounters {
    std::uint64_t tx_frames = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t rx_frames = 0;
    std::uint64_t rx_bytes = 0;
    std::uint64_t rx_broken = 0;
    std::uint64_t starts = 0;
};

/// The guest's dirty log: a bit a page, in a memfd that can't shrink, as QEMU makes it.
class DirtyLog {
public:
    DirtyLog() = default;
    DirtyLog(const DirtyLog&) = delete;
    DirtyLog& operator=(const DirtyLog&) = delete;
    ~DirtyLog();
    [[nodiscard]] Status create(std::uint64_t guest_end);
    [[nodiscard]] bool is_marked(std::uint64_t guest_address) const;
    [[nodiscard]] int fd() const { return file_.get(); }
    [[nodiscard]] std::uint64_t size_bytes() const { return bytes_; }

private:
    Fd file_;
    std::uint64_t* words_ = nullptr;  // device: w, we: r
    std::size_t bytes_ = 0;
};

/// Pieces of pages that the device may write, compared with what they were at start_log().
struct LogCheck {
    std::uint64_t changed = 0;
    std::uint64_t unmarked = 0;  ///< Of these, on pages that the log does not mark: a device bug.
    std::uint64_t marked_alike = 0;  ///< Not changed, but on marked pages.
};

class FrontEnd {
public:
    explicit FrontEnd(Options options) : options_(std::move(options)) {}
    FrontEnd(const FrontEnd&) = delete;
    FrontEnd& operator=(const FrontEnd&) = delete;
    ~FrontEnd() { close(); }

    /// Allocates guest memory and, in server mode, listens. kInvalid, kIo.
    [[nodiscard]] Status open();
    /// Accepts or connects, negotiates, hands memory and rings over, enables every queue. Returns
    /// when the device has acknowledged the enables (REPLY_ACK) or, without REPLY_ACK, when they
    /// are sent.
    [[nodiscard]] Status start(Milliseconds timeout);
    /// Takes the rings back (GET_VRING_BASE), as QEMU does on a guest reset, a driver unbind or a
    /// stopped VM.
    [[nodiscard]] Status stop();
    /// After stop: hands the same rings over again. `clear`: as a driver that starts afresh.
    [[nodiscard]] Status resume(bool clear);
    /// stop + resume(clear): the guest's driver was bound again.
    [[nodiscard]] Status reset();
    /// The device went away and comes again (its process restarted): new connection, rings go on
    /// where its used ring ended, or cleared. Also cuts a connection that is still there.
    [[nodiscard]] Status reconnect(Milliseconds timeout, bool clear);
    /// Guest's `ethtool -L combined N`: the first `pairs` queue pairs are enabled, the others
    /// disabled.
    [[nodiscard]] Status enable_pairs(unsigned pairs);
    /// Closes the connection without a word, as a killed QEMU. The listening socket and the memory
    /// stay.
    void drop_connection() { channel_.close(); }
    /// Closes everything; in server mode removes the socket file.
    void close();

    /// Sends frames on the transmit queue of `pair` and waits until the device has used them all or
    /// `timeout`.
    [[nodiscard]] SendResult send(std::span<const TxFrame> frames, Milliseconds timeout,
                                  unsigned pair = 0);
    /// Next frame from any queue pair, waiting up to `timeout`. nullopt: none came, or the device
    /// is gone.
    [[nodiscard]] std::optional<RxFrame> receive(Milliseconds timeout);
    /// True once the device has closed the connection; waits up to `timeout` for it.
    bool wait_disconnected(Milliseconds timeout);

    // Live migration (front_end_log.cc).
    /// Gives the device a dirty log and turns logging on, while rings run.
    [[nodiscard]] Status start_log();
    [[nodiscard]] Status stop_log();
    /// After start_log(): has the device marked what it wrote since?
    [[nodiscard]] LogCheck check_log() const;
    /// Asks the device to announce the vNIC. `mac`: wire order in the low bytes.
    [[nodiscard]] Status send_rarp(std::uint64_t mac);
    /// After stop(): the same rings and memory to the device of another socket.
    [[nodiscard]] Status move_to(const std::string& socket, Milliseconds timeout);

    [[nodiscard]] bool connected() const { return channel_.open() && !channel_.hung_up(); }
    [[nodiscard]] const Options& options() const { return options_; }
    [[nodiscard]] std::uint64_t offered_features() const { return offered_; }
    [[nodiscard]] std::uint64_t features() const { return features_; }
    [[nodiscard]] bool has(Feature feature) const { return (features_ & bit(feature)) != 0; }
    [[nodiscard]] std::uint64_t protocol_features() const { return protocol_features_; }
    [[nodiscard]] const FrontEndCounters& counters() const { return counters_; }
    [[nodiscard]] RingCounters ring_counters() const;

    // Raw access, for hostile tests and floods.
    [[nodiscard]] std::size_t pair_count() const { return pairs_.size(); }
    [[nodiscard]] Pair& pair(std::size_t index) { return *pairs_.at(index); }
    [[nodiscard]] GuestMemory& memory() { return memory_; }
    [[nodiscard]] GuestSpan flood_area() const { return flood_area_; }
    [[nodiscard]] Channel& channel() { return channel_; }
    /// One request; with REPLY_ACK and `acknowledged`, waits for the answer, and non-zero is
    /// kInvalid.
    [[nodiscard]] Status request(Request request, std::span<const std::uint8_t> payload,
                                 std::span<const int> fds = {}, bool acknowledged = false);
    void count_flood(std::uint64_t tx_frames, std::uint64_t rx_frames);

private:
    [[nodiscard]] Status allocate();
    [[nodiscard]] Status connect(Deadline deadline);
    [[nodiscard]] Status negotiate();
    [[nodiscard]] Status negotiate_protocol();
    [[nodiscard]] Status share();
    [[nodiscard]] Status share_ring(unsigned vring, SplitRing& ring);
    [[nodiscard]] Status enable(unsigned pairs);
    [[nodiscard]] Status enable_ring(unsigned vring, bool on);
    [[nodiscard]] Result<std::uint64_t> ask(Request request,
                                            std::span<const std::uint8_t> payload = {},
                                            std::span<const int> fds = {});
    [[nodiscard]] Status share_logged_rings(bool on);
    void clear_rings();
    [[nodiscard]] bool pending_anywhere() const;
    bool wait_receive(Deadline deadline);

    Options options_;
    Fd listener_;
    Channel channel_;
    GuestMemory memory_;
    GuestSpan flood_area_;
    std::vector<std::unique_ptr<Pair>> pairs_;
    std::uint64_t offered_ = 0;
    std::uint64_t features_ = 0;
    std::uint64_t protocol_features_ = 0;
    unsigned enabled_pairs_ = 0;
    std::size_t next_rx_pair_ = 0;
    FrontEndCounters counters_;
    std::unique_ptr<DirtyLog> log_;
    std::vector<std::uint8_t> before_;  // Guest memory at start_log().
};

}  // namespace sluice::frontend
