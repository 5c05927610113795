// SPDX-License-Identifier: Apache-2.0
// FakeBackEnd: protocol first, then rings.
#include "fake_back_end.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace sluice::frontend {
namespace {

constexpr std::size_t kChainBytesMax = std::size_t{128} << 10U;
constexpr std::size_t kHeader = sizeof(NetHeader);

[[nodiscard]] std::uint16_t load(const std::uint16_t& at, std::memory_order order) {
    return std::atomic_ref(const_cast<std::uint16_t&>(at)).load(order);
}
void store(std::uint16_t& at, std::uint16_t value, std::memory_order order) {
    std::atomic_ref(at).store(value, order);
}

}  // namespace

// Rings and memory of all devices of the process: a connected one writes to its peer's.
static std::mutex rings_guard;

FakeBackEnd::FakeBackEnd(Options options)
    : options_(std::move(options)), thread_([this] { run(); }) {}

FakeBackEnd::~FakeBackEnd() {
    {
        const std::lock_guard guard(rings_guard);
        if (peer_ != nullptr) { peer_->peer_ = nullptr; }
    }
    quit_ = true;
    thread_.join();
    if (!options_.connects) { ::unlink(options_.socket.c_str()); }
}

void FakeBackEnd::connect(FakeBackEnd& peer) {
    const std::lock_guard guard(rings_guard);
    peer_ = &peer;
    peer.peer_ = this;
}

std::vector<SeenFrame> FakeBackEnd::seen() {
    const std::lock_guard guard(seen_guard_);
    return seen_;
}

void FakeBackEnd::run() {
    Fd listener;
    if (!options_.connects) { listener = std::move(listen_unix(options_.socket).value()); }
    while (!quit_) {
        auto socket = options_.connects
                          ? connect_unix(options_.socket, after(std::chrono::milliseconds(20)))
                          : accept_unix(listener.get(), options_.socket,
                                        after(std::chrono::milliseconds(20)));
        if (!socket) { continue; }
        serve(Channel(std::move(socket).value()));
        const std::lock_guard guard(rings_guard);
        rings_.clear();
        unmap();
        enabled_rings_ = 0;
        protocol_features_ = 0;
    }
}

void FakeBackEnd::serve(Channel channel) {
    while (!quit_) {
        const bool busy = work();
        pollfd wait{channel.fd(), POLLIN, 0};
        if (::poll(&wait, 1, 0) > 0) {
            auto message = channel.receive(after(std::chrono::milliseconds(200)));
            if (!message || !handle(channel, std::move(message).value())) { return; }
        } else if (!busy) {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
}

bool FakeBackEnd::handle(Channel& channel, Message message) {
    const std::lock_guard guard(rings_guard);
    const auto answer = [&](auto value) {
        const MessageHeader header{message.header.request, kMessageVersion | kMessageReply,
                                   sizeof value};
        return channel.send(header, bytes_of(value)).ok();
    };
    const auto state = message.as<VringState>();
    const auto number = message.as<std::uint64_t>();
    if ((message.header.flags & 3U) != kMessageVersion ||
        state.index >= 2 * options_.queue_pairs_max) {
        const bool has_ring = message.request() >= Request::kSetVringNum &&
                              message.request() <= Request::kSetVringErr;
        if (has_ring || (message.header.flags & 3U) != kMessageVersion) { return false; }
    }
    switch (message.request()) {
        case Request::kGetFeatures: return answer(options_.features);
        case Request::kGetProtocolFeatures: return answer(options_.protocol_features);
        case Request::kGetQueueNum: return answer(std::uint64_t{options_.queue_pairs_max});
        case Request::kSetProtocolFeatures: protocol_features_ = number; break;
        case Request::kSetFeatures:
            if ((number & ~options_.features) != 0) { return false; }
            features_ = number;
            break;
        case Request::kSetOwner: break;
        case Request::kSetMemTable: set_memory(message); break;
        case Request::kNetSetMtu: mtu_ = number; break;
        case Request::kSetVringNum:
            rings_[state.index].size = state.value;
            rings_[state.index].descriptors = nullptr;
            break;
        case Request::kSetVringBase:
            rings_[state.index].next_avail = static_cast<std::uint16_t>(state.value);
            rings_[state.index].next_used = rings_[state.index].next_avail;
            rings_[state.index].called_at = rings_[state.index].next_avail;
            break;
        case Request::kSetVringAddr:
            set_addresses(rings_[state.index], message.as<VringAddress>());
            break;
        case Request::kSetVringKick:
            if (message.fds.empty()) { return false; }
            rings_[state.index].kick = std::move(message.fds[0]);
            rings_[state.index].started = true;
            break;
        case Request::kSetVringCall:
            if (message.fds.empty()) { return false; }
            rings_[state.index].call = std::move(message.fds[0]);
            break;
        case Request::kSetVringEnable:
            rings_[state.index].enabled = state.value != 0;
            enabled_rings_ = static_cast<unsigned>(std::ranges::count_if(
                rings_, [](const auto& entry) { return entry.second.enabled; }));
            break;
        case Request::kGetVringBase:
            rings_[state.index].started = false;
            return answer(VringState{state.index, rings_[state.index].next_avail});
        default: return false;
    }
    const bool wants_reply = (message.header.flags & kMessageNeedReply) != 0;
    return !wants_reply || (protocol_features_ & kProtocolReplyAck) == 0 ||
           answer(std::uint64_t{0});
}

void FakeBackEnd::unmap() {
    for (const Mapped& m : memory_) { ::munmap(m.host, m.region.size_bytes); }
    memory_.clear();
    for (auto& [index, ring] : rings_) {
        ring.descriptors = nullptr;
    }  // Until its addresses come again.
}

void FakeBackEnd::set_memory(const Message& message) {
    const auto table = message.as<MemoryTable>();
    unmap();
    if (table.region_count != message.fds.size() || table.region_count > kMessageFdsMax) { return; }
    for (std::uint32_t i = 0; i < table.region_count; ++i) {
        const MemoryRegion& region = table.regions[i];
        struct stat file {};
        const int fd = message.fds[i].get();
        if (::fstat(fd, &file) != 0 ||
            region.size_bytes + region.mmap_offset > static_cast<std::uint64_t>(file.st_size)) {
            return;
        }
        void* host = ::mmap(nullptr, region.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                            static_cast<off_t>(region.mmap_offset));
        if (host == MAP_FAILED) { return; }
        memory_.push_back({region, static_cast<std::uint8_t*>(host)});
    }
}

std::uint8_t* FakeBackEnd::from_guest(std::uint64_t address, std::uint64_t bytes) {
    for (const Mapped& m : memory_) {
        const std::uint64_t offset = address - m.region.guest_address;
        if (offset < m.region.size_bytes && bytes <= m.region.size_bytes - offset) {
            return m.host + offset;
        }
    }
    return nullptr;
}

std::uint8_t* FakeBackEnd::from_user(std::uint64_t address, std::uint64_t bytes) {
    for (const Mapped& m : memory_) {
        const std::uint64_t offset = address - m.region.user_address;
        if (offset < m.region.size_bytes && bytes <= m.region.size_bytes - offset) {
            return m.host + offset;
        }
    }
    return nullptr;
}

void FakeBackEnd::set_addresses(Ring& ring, const VringAddress& address) {
    const unsigned size = ring.size;
    const bool sane =
        size >= 2 && size <= 32768 && (size & (size - 1)) == 0 && address.descriptors % 16 == 0;
    ring.descriptors = nullptr;
    if (!sane) { return; }
    ring.avail = reinterpret_cast<AvailRing*>(from_user(address.avail, avail_ring_bytes(size)));
    ring.used = reinterpret_cast<UsedRing*>(from_user(address.used, used_ring_bytes(size)));
    if (ring.avail == nullptr || ring.used == nullptr) { return; }
    ring.descriptors =
        reinterpret_cast<Descriptor*>(from_user(address.descriptors, sizeof(Descriptor) * size));
    ring.used->flags = options_.wants_kicks ? 0 : kUsedNoNotify;
}

bool FakeBackEnd::available(const Ring& ring) {
    return load(ring.avail->index, std::memory_order_acquire) != ring.next_avail;
}

bool FakeBackEnd::work() {
    const std::lock_guard guard(rings_guard);
    FakeBackEnd& to = peer_ == nullptr ? *this : *peer_;
    unsigned done = 0;
    for (auto& [index, tx] : rings_) {
        if (index % 2 == 0 || !to.rings_.contains(index - 1)) { continue; }
        Ring& rx = to.rings_[index - 1];
        const bool ready = tx.started && tx.enabled && tx.descriptors != nullptr && rx.started &&
                           rx.descriptors != nullptr;
        if (ready) { done += transmit(tx, rx, to); }
    }
    return done != 0;
}

unsigned FakeBackEnd::transmit(Ring& tx, Ring& rx, FakeBackEnd& to) {
    std::uint64_t kicks = 0;
    if (::read(tx.kick.get(), &kicks, sizeof kicks) == sizeof kicks) { kicked_ += kicks; }
    unsigned done = 0;
    if (const auto index = load(tx.avail->index, std::memory_order_acquire);
        static_cast<std::uint16_t>(index - tx.next_avail) > tx.size) {
        ++broken_;  // An index that no driver may write: stay away until the ring is set up again.
        tx.descriptors = nullptr;
        return 0;
    }
    for (; done < 64 && available(tx); ++done) {
        const std::uint16_t head = tx.avail->entries[tx.next_avail++ & (tx.size - 1)];
        const Chain chain = walk(tx, head, false);
        if (!chain.fine || chain.bytes <= kHeader) {
            ++broken_;
        } else {
            ++transmitted_;
            to.loop_back(rx, chain);
        }
        use(tx, head, 0);
    }
    if (done != 0) {
        to.finish(rx);
        finish(tx);
    }
    if (options_.wants_kicks && (features_ & bit(Feature::kEventIdx)) != 0) {
        auto* avail_event = reinterpret_cast<std::uint16_t*>(&tx.used->entries[tx.size]);
        store(*avail_event, tx.next_avail, std::memory_order_seq_cst);
    }
    return done;
}

void FakeBackEnd::add_piece(Chain& chain, const Descriptor& descriptor, bool writable) {
    std::uint8_t* host = from_guest(descriptor.address, descriptor.length);
    const bool is_writable = (descriptor.flags & kDescriptorWrite) != 0;
    chain.bytes += descriptor.length;
    if (host == nullptr || descriptor.length == 0 || is_writable != writable ||
        chain.bytes > kChainBytesMax) {
        chain.fine = false;
        return;
    }
    chain.pieces.push_back({host, descriptor.length});
}

void FakeBackEnd::walk_table(Chain& chain, const Descriptor* table, unsigned entries,
                             std::uint16_t first, bool writable) {
    std::uint16_t at = first;
    for (unsigned steps = 0; chain.fine; ++steps) {
        if (at >= entries || steps >= entries) {
            chain.fine = false;
            return;
        }
        Descriptor descriptor;  // A hostile table lies anywhere.
        std::memcpy(&descriptor, reinterpret_cast<const std::byte*>(table) + at * sizeof descriptor,
                    sizeof descriptor);
        if ((descriptor.flags & kDescriptorIndirect) != 0) {
            chain.fine = false;
            return;
        }
        add_piece(chain, descriptor, writable);
        if ((descriptor.flags & kDescriptorNext) == 0) { return; }
        at = descriptor.next;
    }
}

FakeBackEnd::Chain FakeBackEnd::walk(Ring& ring, std::uint16_t head, bool writable) {
    Chain chain;
    if (head >= ring.size) {
        chain.fine = false;
        return chain;
    }
    const Descriptor first = ring.descriptors[head];
    if ((first.flags & kDescriptorIndirect) == 0) {
        walk_table(chain, ring.descriptors, ring.size, head, writable);
        return chain;
    }
    chain.indirect = true;
    const auto* table =
        reinterpret_cast<const Descriptor*>(from_guest(first.address, first.length));
    if (table == nullptr || first.length == 0 || first.length % sizeof(Descriptor) != 0) {
        chain.fine = false;
        return chain;
    }
    walk_table(chain, table, static_cast<unsigned>(first.length / sizeof(Descriptor)), 0, writable);
    return chain;
}

void FakeBackEnd::use(Ring& ring, std::uint16_t head, std::uint32_t length) {
    ring.used->entries[ring.next_used++ & (ring.size - 1)] = {head, length};
}

void FakeBackEnd::finish(Ring& ring) {
    store(ring.used->index, ring.next_used, std::memory_order_seq_cst);
    const std::uint16_t old_index = ring.called_at;
    ring.called_at = ring.next_used;
    bool wanted = load(ring.avail->flags, std::memory_order_seq_cst) == 0;
    if ((features_ & bit(Feature::kEventIdx)) != 0) {
        const std::uint16_t event = load(ring.avail->entries[ring.size], std::memory_order_seq_cst);
        wanted = static_cast<std::uint16_t>(ring.next_used - event - 1) <
                 static_cast<std::uint16_t>(ring.next_used - old_index);
    }
    const std::uint64_t one = 1;
    if (wanted && options_.calls && ::write(ring.call.get(), &one, sizeof one) < 0) { ++broken_; }
}

void FakeBackEnd::loop_back(Ring& rx, const Chain& chain) {
    std::vector<std::uint8_t> bytes;
    for (const Piece& piece : chain.pieces) {
        bytes.insert(bytes.end(), piece.host, piece.host + piece.length);
    }
    SeenFrame frame;
    std::memcpy(&frame.header, bytes.data(), kHeader);
    if (options_.records) {
        frame.bytes.assign(bytes.begin() + kHeader, bytes.end());
        frame.indirect = chain.indirect;
        for (const Piece& piece : chain.pieces) { frame.pieces.push_back(piece.length); }
        const std::lock_guard guard(seen_guard_);
        seen_.push_back(std::move(frame));
    }
    const std::uint16_t first_avail = rx.next_avail;
    const std::uint16_t first_used = rx.next_used;
    std::uint8_t* header_at = nullptr;
    std::uint16_t buffers = 0;
    std::size_t at = 0;
    while (at < bytes.size()) {
        const bool more_allowed = buffers == 0 || (features_ & bit(Feature::kMrgRxbuf)) != 0;
        Chain into;
        if (more_allowed && available(rx)) {
            into = walk(rx, rx.avail->entries[rx.next_avail & (rx.size - 1)], true);
        }
        if (into.pieces.empty() || !into.fine) {
            rx.next_avail = first_avail;
            rx.next_used = first_used;
            ++dropped_;
            return;
        }
        if (buffers++ == 0) { header_at = into.pieces[0].host; }
        std::uint32_t written = 0;
        for (const Piece& piece : into.pieces) {
            const auto part =
                static_cast<std::uint32_t>(std::min<std::size_t>(piece.length, bytes.size() - at));
            std::memcpy(piece.host, bytes.data() + at, part);
            at += part;
            written += part;
        }
        use(rx, rx.avail->entries[rx.next_avail++ & (rx.size - 1)], written);
    }
    std::memcpy(header_at + offsetof(NetHeader, num_buffers), &buffers, sizeof buffers);
}

}  // namespace sluice::frontend
