// SPDX-License-Identifier: Apache-2.0
// FrontEnd's life: memory, connection, negotiation, handing rings over and taking them back. Order
// of requests as QEMU sends them (hw/net/vhost_net.c, hw/virtio/vhost.c). Moving frames is in
// front_end_io.cc.
#include "front_end.h"

#include <unistd.h>

#include <algorithm>

namespace sluice::frontend {
namespace {

constexpr unsigned rx_vring(std::size_t pair) { return static_cast<unsigned>(2 * pair); }
constexpr unsigned tx_vring(std::size_t pair) { return static_cast<unsigned>(2 * pair + 1); }

[[nodiscard]] Status check(const Options& o) {
    if (o.queue_pairs < 1 || o.queue_pairs > 128) {
        return Error{Errc::kInvalid,
                     "queues " + std::to_string(o.queue_pairs) + " is outside 1..128", o.socket};
    }
    if (o.region_count < 1 || o.region_count > 2) {
        return Error{Errc::kInvalid, "regions " + std::to_string(o.region_count) + " is not 1 or 2",
                     o.socket};
    }
    return Ok{};
}

}  // namespace

Status FrontEnd::open() {
    if (auto fine = check(options_); !fine) { return fine; }
    if (auto done = allocate(); !done) { return done; }
    if (options_.mode == SocketMode::kClient) { return Ok{}; }
    auto listener = listen_unix(options_.socket);
    if (!listener) { return listener.error(); }
    listener_ = std::move(listener).value();
    return Ok{};
}

Status FrontEnd::allocate() {
    const Options& o = options_;
    const std::size_t receive = o.queue_pairs * RxQueue::memory_bytes(o.queue_size, o.rx);
    const std::size_t rest = o.queue_pairs * (TxQueue::memory_bytes(o.queue_size, o.tx_buffers) +
                                              SplitRing::memory_bytes(o.queue_size)) +
                             o.flood_bytes + 4096;
    const std::size_t first = o.region_count == 1 ? rest + receive : rest;
    if (auto done = memory_.add_region(first, o.huge_pages); !done) { return done; }
    if (o.region_count == 2) {
        if (auto done = memory_.add_region(receive, o.huge_pages); !done) { return done; }
    }
    for (unsigned i = 0; i < o.queue_pairs; ++i) {
        auto pair = std::make_unique<Pair>();
        if (auto done = pair->rx.create(memory_, o.queue_size, o.rx); !done) { return done; }
        if (auto done = pair->tx.create(memory_, o.queue_size, o.tx_buffers); !done) {
            return done;
        }
        pairs_.push_back(std::move(pair));
    }
    flood_area_ = memory_.allocate(0, o.flood_bytes);
    return Ok{};
}

Status FrontEnd::start(Milliseconds timeout) {
    if (auto done = connect(after(timeout)); !done) { return done; }
    if (auto done = negotiate(); !done) { return done; }
    clear_rings();
    if (auto done = share(); !done) { return done; }
    enabled_pairs_ = options_.queue_pairs;
    return enable(enabled_pairs_);
}

Status FrontEnd::connect(Deadline deadline) {
    do {  // A device that came and went before we looked leaves dead connections in the backlog.
        auto socket = options_.mode == SocketMode::kServer
                          ? accept_unix(listener_.get(), options_.socket, deadline)
                          : connect_unix(options_.socket, deadline);
        if (!socket) { return socket.error(); }
        channel_ = Channel(std::move(socket).value());
    } while (channel_.hung_up());
    return Ok{};
}

Status FrontEnd::negotiate() {
    auto offered = ask(Request::kGetFeatures);
    if (!offered) { return offered.error(); }
    offered_ = offered.value();
    std::uint64_t wanted = options_.features | bit(Feature::kProtocolFeatures);
    if (options_.mtu != 0) { wanted |= bit(Feature::kMtu); }
    features_ = options_.force_features ? options_.features : wanted & offered_;
    protocol_features_ = 0;
    if (has(Feature::kProtocolFeatures)) {
        if (auto done = negotiate_protocol(); !done) { return done; }
    }
    return request(Request::kSetOwner, {});
}

Status FrontEnd::negotiate_protocol() {
    auto offered = ask(Request::kGetProtocolFeatures);
    if (!offered) { return offered.error(); }
    const std::uint64_t accepted =
        offered.value() &
        (kProtocolMq | kProtocolLogShmfd | kProtocolRarp | kProtocolReplyAck | kProtocolNetMtu);
    if (auto done = request(Request::kSetProtocolFeatures, bytes_of(accepted)); !done) {
        return done;
    }
    protocol_features_ = accepted;
    if ((accepted & kProtocolMq) == 0) { return Ok{}; }
    auto queues = ask(Request::kGetQueueNum);
    if (!queues) { return queues.error(); }
    if (queues.value() < options_.queue_pairs) {
        return Error{Errc::kLimit,
                     "device has " + std::to_string(queues.value()) + " queue pairs, wanted " +
                         std::to_string(options_.queue_pairs),
                     options_.socket};
    }
    return Ok{};
}

Status FrontEnd::share() {
    if (auto done = request(Request::kSetFeatures, bytes_of(features_)); !done) { return done; }
    const MemoryTable table = memory_.table();
    const std::vector<int> fds = memory_.fds();
    const auto payload = bytes_of(table).first(table.wire_bytes());
    if (auto done = request(Request::kSetMemTable, payload, fds, true); !done) { return done; }
    if (options_.mtu != 0 && (protocol_features_ & kProtocolNetMtu) != 0) {
        const std::uint64_t mtu = options_.mtu;
        if (auto done = request(Request::kNetSetMtu, bytes_of(mtu), {}, true); !done) {
            return done;
        }
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (auto done = share_ring(rx_vring(i), pairs_[i]->rx.ring()); !done) { return done; }
        if (auto done = share_ring(tx_vring(i), pairs_[i]->tx.ring()); !done) { return done; }
    }
    ++counters_.starts;
    return Ok{};
}

Status FrontEnd::share_ring(unsigned vring, SplitRing& ring) {
    const VringState size{vring, ring.size()};
    const VringState base{vring, ring.used_index()};
    const VringAddress address = ring.addresses(vring);
    const std::uint64_t index = vring;
    const int kick[] = {ring.kick_fd()};
    const int call[] = {ring.call_fd()};
    if (auto done = request(Request::kSetVringNum, bytes_of(size)); !done) { return done; }
    if (auto done = request(Request::kSetVringBase, bytes_of(base)); !done) { return done; }
    if (auto done = request(Request::kSetVringAddr, bytes_of(address)); !done) { return done; }
    if (auto done = request(Request::kSetVringKick, bytes_of(index), kick); !done) { return done; }
    return request(Request::kSetVringCall, bytes_of(index), call);
}

Status FrontEnd::enable_ring(unsigned vring, bool on) {
    const VringState state{vring, on ? 1U : 0U};
    return request(Request::kSetVringEnable, bytes_of(state), {}, true);
}

Status FrontEnd::enable(unsigned pairs) {
    if (!has(Feature::kProtocolFeatures)) { return Ok{}; }  // Rings start enabled then.
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (auto done = enable_ring(rx_vring(i), i < pairs); !done) { return done; }
        if (auto done = enable_ring(tx_vring(i), i < pairs); !done) { return done; }
    }
    for (const auto& pair :
         pairs_) {  // What was available before the enable, a sleeping device finds by a kick.
        pair->rx.ring().force_kick();
        pair->tx.ring().force_kick();
    }
    return Ok{};
}

Status FrontEnd::enable_pairs(unsigned pairs) {
    if (pairs < 1 || pairs > pairs_.size()) {
        return Error{
            Errc::kInvalid,
            "queues " + std::to_string(pairs) + " is outside 1.." + std::to_string(pairs_.size()),
            options_.socket};
    }
    enabled_pairs_ = pairs;
    return enable(pairs);
}

Status FrontEnd::stop() {
    const auto take_back = [this](unsigned vring) -> Status {
        const VringState state{vring, 0};
        if (has(Feature::kProtocolFeatures)) {
            if (auto done = enable_ring(vring, false); !done) { return done; }
        }
        auto base = ask(Request::kGetVringBase, bytes_of(state));
        return base ? Status(Ok{}) : Status(base.error());
    };
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (auto done = take_back(rx_vring(i)); !done) { return done; }
        if (auto done = take_back(tx_vring(i)); !done) { return done; }
    }
    return Ok{};
}

Status FrontEnd::resume(bool clear) {
    if (clear) { clear_rings(); }
    if (auto done = share(); !done) { return done; }
    return enable(enabled_pairs_);
}

Status FrontEnd::reset() {
    if (auto done = stop(); !done) { return done; }
    return resume(true);
}

Status FrontEnd::reconnect(Milliseconds timeout, bool clear) {
    channel_.close();
    if (auto done = connect(after(timeout)); !done) { return done; }
    if (auto done = negotiate(); !done) { return done; }
    return resume(clear);
}

void FrontEnd::clear_rings() {
    const std::size_t header = has(Feature::kVersion1) || has(Feature::kMrgRxbuf) ? 12 : 10;
    for (const auto& pair : pairs_) {
        pair->rx.start(has(Feature::kEventIdx), has(Feature::kMrgRxbuf), header);
        pair->tx.start(has(Feature::kEventIdx), header);
        pair->rx.publish();
    }
}

void FrontEnd::close() {
    channel_.close();
    if (listener_.valid()) {
        listener_.reset();
        ::unlink(options_.socket.c_str());
    }
}

Status FrontEnd::request(Request request, std::span<const std::uint8_t> payload,
                         std::span<const int> fds, bool acknowledged) {
    MessageHeader header{static_cast<std::uint32_t>(request), kMessageVersion,
                         static_cast<std::uint32_t>(payload.size())};
    const bool ack = acknowledged && (protocol_features_ & kProtocolReplyAck) != 0;
    if (ack) { header.flags |= kMessageNeedReply; }
    if (auto sent = channel_.send(header, payload, fds); !sent || !ack) { return sent; }
    auto reply = channel_.receive(after(kRequestTimeout));
    if (!reply) { return reply.error(); }
    if (reply.value().header.request != header.request || reply.value().as<std::uint64_t>() != 0) {
        return Error{Errc::kInvalid,
                     "device refused vhost-user request " + std::to_string(header.request),
                     options_.socket};
    }
    return Ok{};
}

Result<std::uint64_t> FrontEnd::ask(Request request, std::span<const std::uint8_t> payload,
                                    std::span<const int> fds) {
    const MessageHeader header{static_cast<std::uint32_t>(request), kMessageVersion,
                               static_cast<std::uint32_t>(payload.size())};
    if (auto sent = channel_.send(header, payload, fds); !sent) { return sent.error(); }
    auto reply = channel_.receive(after(kRequestTimeout));
    if (!reply) { return reply.error(); }
    if (reply.value().header.request != header.request) {
        return Error{Errc::kIo,
                     "vhost-user request " + std::to_string(header.request) + " was answered by " +
                         std::to_string(reply.value().header.request),
                     options_.socket};
    }
    return reply.value().as<std::uint64_t>();
}

}  // namespace sluice::frontend
