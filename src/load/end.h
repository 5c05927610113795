// SPDX-License-Identifier: Apache-2.0
// End: one end of the load, a pretended guest at one socket: front-end, rings, memory for its
// frames, who it says it is. Made by a mode before its run. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "frames.h"
#include "front_end.h"
#include "options.h"
#include "rings.h"
#include "spec.h"
#include "tunnel.h"

namespace sluice::load {

/// Receive buffers for frames of an ordinary MTU, virtio header included.
inline constexpr std::size_t kRxBufferBytes = 2048;
/// What is in front of a frame at most: End::header_bytes().
inline constexpr std::size_t kHeaderBytesMax = sizeof(frontend::NetHeader) + kOuterBytes;
/// Memory at the beginning of an end's frames for what it says of itself: announcement and ARP's
/// answer.
inline constexpr std::size_t kAnnounceBytes = 256;
inline constexpr std::size_t kAnswerAt = 128;

/// What both ends have in common.
struct EndOptions {
    unsigned queue_size = 256;
    bool mergeable = true;
    bool offloads = true;
    std::size_t buffer_bytes = kRxBufferBytes;  ///< Of a receive buffer, virtio header included.
    std::size_t frame_bytes = 0;                ///< Memory for frames, headers included.
};

class End {
public:
    /// Allocates guest memory and, where the spec says so, listens.
    [[nodiscard]] static Result<std::unique_ptr<End>> open(const Spec& spec,
                                                           const EndOptions& options);
    /// Connects (or waits for the switch to), negotiates, shares the rings. kIo, kState with the
    /// socket's path.
    [[nodiscard]] Status start(std::chrono::milliseconds timeout);

    [[nodiscard]] const Spec& spec() const { return spec_; }
    [[nodiscard]] SendRing& tx() { return *tx_; }
    [[nodiscard]] ReceiveRing& rx() { return *rx_; }
    /// Bytes in front of each frame: the virtio header, 12, or 10 on a legacy device, and what a
    /// tunnel puts around it.
    [[nodiscard]] std::size_t header_bytes() {
        return virtio_bytes() + (spec_.tunnel ? kOuterBytes : 0);
    }
    /// Writes them to `at` for a frame of `frame_bytes`. `flow`: for a tunnel's source port.
    void write_header(std::uint8_t* at, const frontend::NetHeader& header, std::size_t frame_bytes,
                      std::uint64_t flow = 0);
    /// Whether the `index`-th received frame is ARP that asks for the VTEP of a tunnel. Then `slot`
    /// carries the answer.
    [[nodiscard]] bool answer(unsigned index, unsigned slot);
    [[nodiscard]] bool has_tunnel() const { return spec_.tunnel.has_value(); }
    [[nodiscard]] frontend::GuestSpan frames() const { return front_end_.flood_area(); }
    [[nodiscard]] bool connected() const { return front_end_.connected(); }
    [[nodiscard]] bool in_huge_pages() { return front_end_.memory().is_huge(); }
    [[nodiscard]] bool has(frontend::Feature feature) const { return front_end_.has(feature); }
    /// What to say once it is not connected any more.
    [[nodiscard]] Error gone() const;

private:
    [[nodiscard]] std::size_t virtio_bytes() { return front_end_.pair(0).tx.header_bytes(); }
    void prepare_answer();

    End(Spec spec, frontend::Options options)
        : spec_(std::move(spec)), front_end_(std::move(options)) {}

    Spec spec_;
    frontend::FrontEnd front_end_;
    std::optional<SendRing> tx_;
    std::optional<ReceiveRing> rx_;
};

/// The two ends of a run: a opens, b answers.
struct Ends {
    std::unique_ptr<End> a, b;
    std::vector<std::unique_ptr<End>> legs;  ///< Of a service: none or two.
    /// From a to b, and back: to the other's MAC or the router's.
    [[nodiscard]] Link link() const { return link_of(a->spec(), b->spec()); }
    [[nodiscard]] Link back_link() const { return link_of(b->spec(), a->spec()); }
    [[nodiscard]] bool connected() const { return missing() == nullptr; }
    [[nodiscard]] bool in_huge_pages() const { return a->in_huge_pages() && b->in_huge_pages(); }
    /// What to say when one is not connected.
    [[nodiscard]] Error gone() const {
        const End* end = missing();
        return end != nullptr ? end->gone() : b->gone();
    }

private:
    /// The first that is not connected; nullptr if all are.
    [[nodiscard]] const End* missing() const {
        for (const End* end : {a.get(), b.get()}) {
            if (!end->connected()) { return end; }
        }
        for (const auto& leg : legs) {
            if (!leg->connected()) { return leg.get(); }
        }
        return nullptr;
    }
    [[nodiscard]] static Link link_of(const Spec& from, const Spec& to) {
        return {from.mac, from.via.value_or(to.mac)};
    }
};

/// Opens and starts both ends of `options` with so many bytes for frames each.
[[nodiscard]] Result<Ends> open_ends(const Options& options, std::size_t buffer_bytes,
                                     std::size_t a_frame_bytes, std::size_t b_frame_bytes);
/// Options::start_timeout.
[[nodiscard]] std::chrono::milliseconds start_timeout(const Options& options);

}  // namespace sluice::load
