// SPDX-License-Identifier: Apache-2.0
// End: a FrontEnd with the features of a Linux guest that does not use event indexes.
#include "end.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "service.h"

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
    if (spec_.tunnel) { prepare_answer(); }
    return Ok{};
}

void End::write_header(std::uint8_t* at, const frontend::NetHeader& header, std::size_t frame_bytes,
                       std::uint64_t flow) {
    std::memcpy(at, &header, virtio_bytes());
    if (!spec_.tunnel) { return; }
    write_outer(std::span<std::uint8_t, kOuterBytes>(at + virtio_bytes(), kOuterBytes),
                *spec_.tunnel, frame_bytes, flow);
}

void End::prepare_answer() {
    const Tunnel& tunnel = *spec_.tunnel;
    std::uint8_t* const at = frames().host + kAnswerAt;
    const frontend::NetHeader header;
    std::memcpy(at, &header, virtio_bytes());
    write_arp_answer({at + virtio_bytes(), kArpFrameBytes}, {tunnel.own_mac, tunnel.peer_mac},
                     tunnel.own_ip, tunnel.peer_ip);
}

bool End::answer(unsigned index, unsigned slot) {
    if (!spec_.tunnel) { return false; }
    const frontend::UsedElement& used = rx_->used(index);
    const std::size_t bytes = used.length - std::min<std::size_t>(used.length, virtio_bytes());
    if (bytes > kArpFrameBytes) { return false; }  // Others are not looked into.
    const std::uint8_t* const frame = rx_->buffer(used.id & (rx_->size() - 1)) + virtio_bytes();
    if (!asks_for({frame, bytes}, *spec_.tunnel)) { return false; }
    tx_->set(slot, frames().guest + kAnswerAt,
             static_cast<std::uint32_t>(virtio_bytes() + kArpFrameBytes));
    return true;
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
    wanted.offloads = options.offloads && !options.a.tunnel;  // The fabric has none.
    auto opened = End::open(options.a, wanted);
    if (!opened) { return opened.error(); }
    ends.a = std::move(opened).value();
    wanted.frame_bytes = b_frame_bytes;
    wanted.offloads = options.offloads && !options.b.tunnel;
    opened = End::open(options.b, wanted);
    if (!opened) { return opened.error(); }
    ends.b = std::move(opened).value();
    wanted.offloads = false;
    wanted.frame_bytes = Service::frame_bytes(options.queue_size);
    for (const Spec& leg : options.service) {
        if (opened = End::open(leg, wanted); !opened) { return opened.error(); }
        ends.legs.push_back(std::move(opened).value());
    }
    std::vector<End*> all{ends.a.get(), ends.b.get()};
    for (const auto& leg : ends.legs) { all.push_back(leg.get()); }
    for (End* end : all) {
        if (auto started = end->start(start_timeout(options)); !started) { return started.error(); }
    }
    return ends;
}

}  // namespace sluice::load
