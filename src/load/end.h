// SPDX-License-Identifier: Apache-2.0
// End: one end of the load, a pretended guest at one socket: front-end, rings, memory for its
// frames, who it says it is. Made by a mode before its run. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "frames.h"
#include "front_end.h"
#include "options.h"
#include "rings.h"
#include "spec.h"

namespace sluice::load {

/// Receive buffers for frames of an ordinary MTU, virtio header included.
inline constexpr std::size_t kRxBufferBytes = 2048;

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
    /// Bytes of the virtio header in front of each frame: 12, or 10 on a legacy device.
    [[nodiscard]] std::size_t header_bytes() { return front_end_.pair(0).tx.header_bytes(); }
    [[nodiscard]] frontend::GuestSpan frames() const { return front_end_.flood_area(); }
    [[nodiscard]] bool connected() const { return front_end_.connected(); }
    [[nodiscard]] bool in_huge_pages() { return front_end_.memory().is_huge(); }
    [[nodiscard]] bool has(frontend::Feature feature) const { return front_end_.has(feature); }
    /// What to say once it is not connected any more.
    [[nodiscard]] Error gone() const;

private:
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
    [[nodiscard]] Link link() const { return {a->spec().mac, b->spec().mac}; }
    [[nodiscard]] bool connected() const { return a->connected() && b->connected(); }
    [[nodiscard]] bool in_huge_pages() const { return a->in_huge_pages() && b->in_huge_pages(); }
    /// What to say when one is not connected.
    [[nodiscard]] Error gone() const { return a->connected() ? b->gone() : a->gone(); }
};

/// Opens and starts both ends of `options` with so many bytes for frames each.
[[nodiscard]] Result<Ends> open_ends(const Options& options, std::size_t buffer_bytes,
                                     std::size_t a_frame_bytes, std::size_t b_frame_bytes);
/// Options::start_timeout.
[[nodiscard]] std::chrono::milliseconds start_timeout(const Options& options);

}  // namespace sluice::load
