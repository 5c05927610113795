// SPDX-License-Identifier: Apache-2.0
// Talk: real TCP exchanges between the two ends, many at a time, each on a 5-tuple of its own: only
// the handshake (before a flood), or open, request, response, close (crr). The loop's thread.
//
//   a's slot   sends                  waits for        then
//   kIdle      -                      -                SYN
//   kOpening   SYN                    SYN, ACK         ACK; done after a handshake
//   kAsking    request (PSH)          response (PSH)   FIN
//   kClosing   FIN, ACK               FIN, ACK         ACK; done: the next 5-tuple
//
// b has no state: it answers SYN, PSH and FIN from the segment alone. What is not answered in
// kRetrySeconds is sent again; after kRetryMax times, or a RST, the connection has failed. A slot's
// connections have source ports that are equal modulo the number of slots, so an answer's port
// leads back to its slot.
#pragma once

#include <cstdint>
#include <vector>

#include "end.h"
#include "segment.h"

namespace sluice::load {

/// b's initial sequence number for a's.
[[nodiscard]] constexpr std::uint32_t peer_sequence(std::uint32_t sequence) {
    return sequence + (1U << 31U);
}

struct TalkOptions {
    Tuples tuples;
    unsigned parallel = 256;      ///< Slots; the tuples' source ports are a multiple of it.
    bool handshake_only = false;  ///< Leave the connections open.
    std::uint64_t first = 0;      ///< Number of the first tuple, a multiple of `parallel`.
    std::uint64_t count = 0;      ///< Connections in all, 0: until stop_opening().
    std::uint32_t sequence = 0;   ///< Initial sequence number of a; b's is peer_sequence() of it.
    int scale = -1;               ///< Window scale of both, negative: none.
};

struct TalkCounts {
    std::uint64_t opened = 0;     ///< Handshakes that a completed.
    std::uint64_t completed = 0;  ///< Exchanges that a saw to their end.
    std::uint64_t failed = 0;     ///< Reset, or given up.
    std::uint64_t retried = 0;    ///< Segments sent again.
    std::uint64_t stray = 0;      ///< Received, and no answer to anything.
};

class Talk {
public:
    /// Uses `offset` and what follows of each end's frame memory: frame_bytes() of it.
    Talk(Ends& ends, const TalkOptions& options, std::size_t offset);
    [[nodiscard]] static std::size_t frame_bytes(unsigned queue_size) {
        return std::size_t{kFrameStride} * queue_size + kFrameStride;
    }

    /// One turn. True if anything moved.
    bool turn(std::uint64_t now);
    void stop_opening() { opens_ = false; }
    /// No connection is under way.
    [[nodiscard]] bool is_idle() const { return active_ == 0; }
    /// Every connection of `count` has been opened or has failed.
    [[nodiscard]] bool is_done() const { return is_idle() && next_slot_count_ == 0; }
    /// All tuples were used up before the first had rested long enough to be used again.
    [[nodiscard]] bool is_exhausted() const { return exhausted_; }
    [[nodiscard]] const TalkCounts& counts() const { return counts_; }
    [[nodiscard]] std::uint32_t sequence_a() const { return options_.sequence; }
    [[nodiscard]] std::uint32_t sequence_b() const { return peer_sequence(options_.sequence); }

private:
    static constexpr unsigned kFrameStride = 128;
    enum class State : std::uint8_t { kIdle, kOpening, kAsking, kClosing, kOver };
    struct Slot {
        Tuple tuple{};
        State state = State::kIdle;
        std::uint8_t retries = 0;
        std::uint64_t number = 0;
        std::uint64_t sent_at = 0;
    };
    /// One end's ring with a frame buffer a slot of it, and what was written since the last
    /// publish.
    struct Side {
        End* end = nullptr;
        std::uint8_t* frames = nullptr;
        std::uint64_t guest_frames = 0;
        std::size_t header_bytes = 0;
        unsigned written = 0;
        unsigned last_pending = 0;
        std::uint64_t moved_at = 0;

        [[nodiscard]] std::uint8_t* next();
        void set(unsigned slot) const;
        [[nodiscard]] const std::uint8_t* received(unsigned index) const;
        void publish();
    };

    void prepare(Side& side, End& end, std::size_t offset);
    bool open_some(std::uint64_t now);
    void start(Slot& slot, std::uint64_t now);
    void next(Slot& slot, std::uint64_t now);
    void send_step(Slot& slot);
    bool retry(std::uint64_t now);
    bool take(Side& side, std::uint64_t now, unsigned room);
    void answer(const std::uint8_t* frame);
    void advance(const std::uint8_t* frame, std::uint64_t now);
    [[nodiscard]] bool step(Slot& slot, std::uint8_t flags, std::uint32_t ack, std::uint64_t now);

    TalkOptions options_;
    Side a_, b_;
    Segment syn_, syn_ack_, ack_, request_, response_, fin_a_, fin_b_;
    std::vector<Slot> slots_;
    std::uint64_t tuple_count_ = 0;
    std::uint64_t limit_ = 0;       // Number of the first tuple that is not used.
    std::uint64_t reuse_from_ = 0;  // tsc from which tuples may be used again.
    std::uint64_t retry_cycles_ = 0;
    std::uint64_t stale_cycles_ = 0;
    std::size_t retry_cursor_ = 0;
    unsigned next_slot_count_ = 0;  // Slots that were not started yet.
    unsigned active_ = 0;
    bool opens_ = true;
    bool exhausted_ = false;
    TalkCounts counts_;
};

}  // namespace sluice::load
