// SPDX-License-Identifier: Apache-2.0
// End: a FrontEnd with the features of a Linux guest that does not use event indexes.
#include "end.h"

#include <cmath>

namespace sluice::load {
namespace {

using frontend::bit;
using frontend::Feature;

constexpr std::uint64_t kOffloads = bit(Feature::kCsum) | bit(Feature::kGuestCsum) |
                                    bit(Feature::kHostTso4) | bit(Feature::kHostTso6) |
                                    bit(Feature::kGuestTso4) | bit(Feature::kGuestTso6);

std::uint64_t features(const EndOptions& options) {
    std::uint64_t wanted = bit(Feature::kVersion1) | bit(Feature::kIndirectDesc);
    if (options.mergeable) { wanted |= bit(Feature::kMrgRxbuf); }
    if (options.offloads) { wanted |= kOffloads; }
    return wanted;
}

}  // namespace

Result<std::unique_ptr<End>> End::open(const Spec& spec, const EndOptions& options) {
    frontend::Options wanted;
    wanted.socket = spec.path;
    wanted.mode = spec.listen ? frontend::SocketMode::kServer : frontend::SocketMode::kClient;
    wanted.queue_size = options.queue_size;
    wanted.features = features(options);
    wanted.rx.buffer_bytes = options.buffer_bytes;
    wanted.flood_bytes = options.frame_bytes;
    wanted.tx_buffers = false;
    wanted.huge_pages = frontend::HugePages::kPreferred;
    std::unique_ptr<End> end(new End(spec, std::move(wanted)));
    if (auto opened = end->front_end_.open(); !opened) { return opened.error(); }
    return end;
}

Status End::start(std::chrono::milliseconds timeout) {
    if (auto started = front_end_.start(timeout); !started) {
        return Error{
            started.error().code,
            "socket " + spec_.path + ": no switch took the vNIC: " + started.error().message,
            spec_.path};
    }
    tx_.emplace(front_end_.pair(0).tx);
    rx_.emplace(front_end_.pair(0).rx);
    return Ok{};
}

Error End::gone() const {
    return Error{Errc::kIo, "socket " + spec_.path + ": the switch closed the connection",
                 spec_.path};
}

std::chrono::milliseconds start_timeout(const Options& options) {
    return std::chrono::milliseconds(std::lround(options.start_timeout * 1000));
}

Result<Ends> open_ends(const Options& options, std::size_t buffer_bytes, std::size_t a_frame_bytes,
                       std::size_t b_frame_bytes) {
    Ends ends;
    EndOptions wanted{options.queue_size, options.mergeable, options.offloads, buffer_bytes,
                      a_frame_bytes};
    auto opened = End::open(options.a, wanted);
    if (!opened) { return opened.error(); }
    ends.a = std::move(opened).value();
    wanted.frame_bytes = b_frame_bytes;
    opened = End::open(options.b, wanted);
    if (!opened) { return opened.error(); }
    ends.b = std::move(opened).value();
    for (End* end : {ends.a.get(), ends.b.get()}) {
        if (auto started = end->start(start_timeout(options)); !started) { return started.error(); }
    }
    return ends;
}

}  // namespace sluice::load
