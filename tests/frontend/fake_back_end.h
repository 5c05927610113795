// SPDX-License-Identifier: Apache-2.0
// FakeBackEnd: the device side of vhost-user, small and strict, to test the front-end without a
// switch. It maps the guest's memory, walks the transmit rings and loops every frame back into the
// receive ring of the same pair, or after connect() of another device, merging buffers where
// negotiated. A descriptor that a driver may
// not write is counted and given back, never followed. Own thread; counters may be read at any
// time, frames() and headers() only while no traffic runs.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "vhost_user.h"
#include "virtio.h"

namespace sluice::frontend {

/// A transmit chain as the device saw it.
struct SeenFrame {
    std::vector<std::uint8_t> bytes;  ///< Header removed.
    NetHeader header;
    std::vector<std::uint32_t>
        pieces;  ///< Lengths of the descriptors that carried it, header included.
    bool indirect = false;
};

class FakeBackEnd {
public:
    struct Options {
        std::string socket;
        bool connects = true;  ///< We connect to a listening front-end; false: we listen.
        std::uint64_t features =
            kDefaultFeatures | bit(Feature::kProtocolFeatures) | bit(Feature::kMtu);
        std::uint64_t protocol_features = kProtocolMq | kProtocolReplyAck | kProtocolNetMtu;
        unsigned queue_pairs_max = 8;
        bool records = true;      ///< Keep what was seen (not during floods).
        bool wants_kicks = true;  ///< False: polls and tells the driver not to kick.
        bool calls =
            true;  ///< False: forgets to call the driver, a bug that the front-end must count.
    };

    explicit FakeBackEnd(Options options);
    ~FakeBackEnd();
    FakeBackEnd(const FakeBackEnd&) = delete;
    FakeBackEnd& operator=(const FakeBackEnd&) = delete;

    /// A switch of two ports: what comes from this device's guest goes to the peer's, and the other
    /// way. Before traffic; the two are destroyed together.
    void connect(FakeBackEnd& peer);

    [[nodiscard]] std::vector<SeenFrame> seen();
    [[nodiscard]] std::uint64_t transmitted() const { return transmitted_; }
    [[nodiscard]] std::uint64_t broken() const { return broken_; }
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }  ///< No receive buffer.
    [[nodiscard]] std::uint64_t kicked() const { return kicked_; }
    [[nodiscard]] std::uint64_t mtu() const { return mtu_; }
    [[nodiscard]] unsigned enabled_rings() const { return enabled_rings_; }

private:
    struct Mapped {
        MemoryRegion region;
        std::uint8_t* host = nullptr;
    };
    struct Ring {
        unsigned size = 0;
        VringAddress address;
        Descriptor* descriptors = nullptr;
        AvailRing* avail = nullptr;
        UsedRing* used = nullptr;
        std::uint16_t next_avail = 0;
        std::uint16_t next_used = 0;
        std::uint16_t called_at = 0;
        bool started = false;
        bool enabled = false;
        Fd kick;
        Fd call;
    };
    struct Piece {
        std::uint8_t* host;
        std::uint32_t length;
    };
    struct Chain {
        std::vector<Piece> pieces;
        bool indirect = false;
        bool fine = true;
        std::size_t bytes = 0;
    };

    void run();
    void serve(Channel channel);
    [[nodiscard]] bool handle(Channel& channel, Message message);
    void set_memory(const Message& message);
    void unmap();
    void set_addresses(Ring& ring, const VringAddress& address);
    [[nodiscard]] std::uint8_t* from_guest(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] std::uint8_t* from_user(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] bool work();
    [[nodiscard]] unsigned transmit(Ring& tx, Ring& rx, FakeBackEnd& to);
    [[nodiscard]] Chain walk(Ring& ring, std::uint16_t head, bool writable);
    void walk_table(Chain& chain, const Descriptor* table, unsigned entries, std::uint16_t first,
                    bool writable);
    void add_piece(Chain& chain, const Descriptor& descriptor, bool writable);
    void loop_back(Ring& rx, const Chain& chain);
    void use(Ring& ring, std::uint16_t head, std::uint32_t length);
    void finish(Ring& ring);
    [[nodiscard]] static bool available(const Ring& ring);

    Options options_;
    std::uint64_t features_ = 0;
    std::uint64_t protocol_features_ = 0;
    std::vector<Mapped> memory_;
    std::map<std::uint32_t, Ring> rings_;
    FakeBackEnd* peer_ = nullptr;  // guarded by rings_guard
    std::mutex seen_guard_;
    std::vector<SeenFrame> seen_;  // guarded by seen_guard_
    std::atomic<std::uint64_t> transmitted_{0};
    std::atomic<std::uint64_t> broken_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> kicked_{0};
    std::atomic<std::uint64_t> mtu_{0};
    std::atomic<unsigned> enabled_rings_{0};
    std::atomic<bool> quit_{false};
    std::thread thread_;
};

}  // namespace sluice::frontend
