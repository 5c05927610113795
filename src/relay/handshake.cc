// SPDX-License-Identifier: Apache-2.0
// Recording and replaying of a session's handshake; handshake.h has the contract.
#include "relay/handshake.h"

#include <utility>

namespace sluice::relay {
namespace {

std::optional<Message> copy_of(const Message& message) {
    Message copy;
    copy.header = message.header;
    copy.header.flags &= ~kFlagNeedReply;
    copy.payload = message.payload;
    for (const Fd& fd : message.fds) {
        copy.fds.push_back(fd.duplicate());
        if (!copy.fds.back().valid()) { return std::nullopt; }
    }
    return copy;
}

}  // namespace

std::optional<Message>* Handshake::slot_for(const Message& message) {
    const auto ring_of_state = [&]() -> Ring& { return rings_[message.as<VringState>().index]; };
    const auto ring_of_fd = [&]() -> Ring& {
        return rings_[static_cast<std::uint32_t>(message.as<std::uint64_t>() & kVringFdIndexMask)];
    };
    switch (message.request()) {
        case Request::kSetFeatures: return &features_;
        case Request::kSetProtocolFeatures: return &protocol_features_;
        case Request::kSetOwner: return &owner_;
        case Request::kNetSetMtu: return &mtu_;
        case Request::kSetMemTable: return &memory_;
        case Request::kSetLogBase: return &log_;
        case Request::kSetVringNum: return &ring_of_state().size;
        case Request::kSetVringBase: return &ring_of_state().base;
        case Request::kSetVringAddr: return &rings_[message.as<VringAddress>().index].address;
        case Request::kSetVringEnable: return &ring_of_state().enable;
        case Request::kSetVringKick: return &ring_of_fd().kick;
        case Request::kSetVringCall: return &ring_of_fd().call;
        case Request::kSetVringErr: return &ring_of_fd().error;
        default: return nullptr;
    }
}

bool Handshake::record(const Message& message) {
    if (message.request() == Request::kResetOwner) {
        *this = Handshake{};
        return true;
    }
    if (message.request() ==
        Request::kGetVringBase) {  // Stops the ring: it has no kick nor call from now on.
        Ring& ring = rings_[message.as<VringState>().index];
        ring.kick.reset();
        ring.call.reset();
        return true;
    }
    std::optional<Message>* slot = slot_for(message);
    if (slot == nullptr) { return true; }
    *slot = copy_of(message);
    return slot->has_value();
}

void Handshake::note_reply(const Message& message) {
    if (message.request() != Request::kGetVringBase ||
        message.payload.size() != sizeof(VringState)) {
        return;
    }
    const auto state = message.as<VringState>();
    const auto ring = rings_.find(state.index);
    if (ring == rings_.end()) { return; }
    Message base;
    base.header.request = static_cast<std::uint32_t>(Request::kSetVringBase);
    base.header.flags = kFlagVersion;
    base.set(state);
    ring->second.base = std::move(base);
}

std::optional<std::vector<Message>> Handshake::messages() const {
    std::vector<Message> list;
    const auto take = [&list](const std::optional<Message>& message) {
        if (!message) { return true; }
        auto copy = copy_of(*message);
        if (!copy) { return false; }
        list.push_back(std::move(*copy));
        return true;
    };
    bool whole = take(features_) && take(protocol_features_) && take(owner_) && take(mtu_) &&
                 take(memory_) && take(log_);
    for (const auto& [index, ring] : rings_) { whole = whole && ring.each(take); }
    if (!whole) { return std::nullopt; }
    return list;
}

}  // namespace sluice::relay
