// SPDX-License-Identifier: Apache-2.0
// ReferenceTracker: see reference_tracker.h. The order of its functions is that of the page.
#include "reference_tracker.h"

#include <algorithm>

#include "sluice/iochain/frame.h"

namespace sluice::test {
namespace {

using State = ConnectionState;

/// The number nearest to `about` whose low 32 bits are `wire`.
std::int64_t unwrapped(std::uint32_t wire, std::int64_t about) {
    const auto distance = static_cast<std::int32_t>(wire - static_cast<std::uint32_t>(about));
    return about + distance;
}

std::int64_t timeout_s(State state) {
    switch (state) {
        case State::kTcpSynSent:
        case State::kTcpSynSent2: return 120;
        case State::kTcpSynReceived: return 60;
        case State::kTcpEstablished: return 86400;
        case State::kTcpFinWait: return 120;
        case State::kTcpCloseWait: return 240;
        case State::kTcpLastAck: return 30;
        case State::kTcpTimeWait: return 120;
        case State::kTcpClose: return 10;
        case State::kUdpOneWay: return 30;
        case State::kUdpTwoWay: return 180;
        default: return 60;
    }
}

int fold(std::uint32_t sequence) {
    return static_cast<int>((sequence ^ (sequence >> 8U) ^ (sequence >> 16U) ^ (sequence >> 24U)) &
                            0xffU);
}

enum class Fate { kPass, kPassAndProlong, kBadState, kBadWindow, kBeginsAnother };

/// One segment on its way through one connection.
class Passage {
public:
    Passage(ModelConnection& connection, const ModelPacket& packet)
        : c_(connection),
          p_(packet),
          from_opener_(packet.from_a == connection.opened_by_a),
          sender_(connection.sides[from_opener_ ? 0 : 1]),
          receiver_(connection.sides[from_opener_ ? 1 : 0]),
          sequence_(unwrapped(packet.sequence, sender_.sent)),
          end_(sequence_ + packet.data_size + (packet.is(kTcpFin) ? 1 : 0)),
          ack_(unwrapped(packet.ack, receiver_.sent)) {}

    Fate run() {
        switch (c_.state) {
            case State::kTcpSynSent: return in_syn_sent();
            case State::kTcpSynSent2: return in_syn_sent2();
            case State::kTcpSynReceived: return in_syn_received();
            case State::kTcpTimeWait: return in_time_wait();
            case State::kTcpClose: return in_close();
            default: return in_synchronized();
        }
    }

    Fate start() {
        take_offer(c_.sides[0]);
        c_.sides[1] = ModelSide{};
        c_.noted_syn = -1;
        return enter(State::kTcpSynSent);
    }

private:
    [[nodiscard]] bool is_syn() const { return p_.is(kTcpSyn) && !p_.is(kTcpAck); }
    [[nodiscard]] bool is_syn_ack() const { return p_.is(kTcpSyn) && p_.is(kTcpAck); }

    Fate enter(State state) {
        c_.state = state;
        return Fate::kPassAndProlong;
    }

    // A SYN's window is not scaled; it is kept in whole units of the scale.
    void take_offer(ModelSide& side) {
        side = ModelSide{};
        side.offers_scale = p_.scale >= 0;
        side.scale = p_.scale < 0 ? 0 : static_cast<unsigned>(std::min(p_.scale, 14));
        const std::int64_t unit = std::int64_t{1} << side.scale;
        side.window = std::max((p_.window + unit - 1) / unit, std::int64_t{1}) * unit;
        side.sent = (std::int64_t{1} << 40U) + p_.sequence + 1 + p_.data_size;
        side.granted = (std::int64_t{1} << 40U) + p_.sequence + 1;
    }

    static void agree_on_scale(ModelSide& x, ModelSide& y) {
        if (x.offers_scale && y.offers_scale) { return; }
        for (ModelSide* side : {&x, &y}) {
            side->window = std::min(side->window, std::int64_t{65535});
            side->scale = 0;
        }
    }

    // The acknowledgement covers the SYN of a side that has sent nothing else, but data with it.
    [[nodiscard]] bool acks_syn_of_receiver() const {
        return receiver_.granted <= ack_ && ack_ <= receiver_.sent;
    }

    Fate accept_syn_ack() {
        const std::int64_t ack = ack_;
        take_offer(sender_);
        agree_on_scale(sender_, receiver_);
        sender_.has_acked_syn = sender_.has_sent_syn_ack = true;
        sender_.acked = ack;
        sender_.granted = sender_.sent + receiver_.window;
        receiver_.granted = ack + std::max<std::int64_t>(p_.window, 1);
        return enter(State::kTcpSynReceived);
    }

    Fate accept_reborn() {
        receiver_.sent = ack_;
        const ModelSide before = receiver_;
        receiver_ = ModelSide{};
        receiver_.sent = before.sent;
        receiver_.granted = before.granted;
        receiver_.window = before.window;
        receiver_.scale = before.scale;
        receiver_.offers_scale = before.offers_scale;
        c_.noted_syn = -1;
        return accept_syn_ack();
    }

    Fate note_syn() {
        c_.noted_syn = fold(p_.sequence);
        return Fate::kPass;
    }
    [[nodiscard]] bool answers_noted_syn() const {
        return !from_opener_ && p_.is(kTcpAck) && c_.noted_syn == fold(p_.ack - 1U);
    }

    [[nodiscard]] bool is_in_window(std::int64_t sequence, std::int64_t end) const {
        const std::int64_t lag = std::max<std::int64_t>(sender_.window, 66000);
        return sequence <= sender_.granted && end + receiver_.window >= sender_.sent &&
               ack_ <= receiver_.sent && ack_ + lag >= receiver_.sent;
    }

    Fate pass_segment() {
        if (!is_in_window(sequence_, end_)) { return Fate::kBadWindow; }
        if (!receiver_.has_acked_syn && end_ > sender_.sent) { sender_.has_sent_early = true; }
        sender_.acked = sender_.has_acked_syn ? std::max(sender_.acked, ack_) : ack_;
        sender_.sent = std::max(sender_.sent, end_);
        const std::int64_t window = std::int64_t{p_.window} << sender_.scale;
        sender_.window = std::max(sender_.window, window);
        receiver_.granted = std::max(receiver_.granted, ack_ + std::max<std::int64_t>(window, 1));
        sender_.has_acked_syn = true;
        sender_.has_sent_fin = sender_.has_sent_fin || p_.is(kTcpFin);
        if (receiver_.has_sent_fin && ack_ == receiver_.sent) { receiver_.is_fin_acked = true; }
        if (from_opener_) { c_.noted_syn = -1; }
        return Fate::kPassAndProlong;
    }

    Fate pass_and_settle() {
        const Fate fate = pass_segment();
        if (fate == Fate::kPassAndProlong) { settle(); }
        return fate;
    }

    void settle() {
        const ModelSide& x = c_.sides[0];
        const ModelSide& y = c_.sides[1];
        if (!x.has_acked_syn || !y.has_acked_syn) {
            c_.state = State::kTcpSynReceived;
        } else if (x.has_sent_fin && y.has_sent_fin) {
            c_.state = x.is_fin_acked && y.is_fin_acked ? State::kTcpTimeWait : State::kTcpLastAck;
        } else if (x.has_sent_fin || y.has_sent_fin) {
            c_.state = x.is_fin_acked || y.is_fin_acked ? State::kTcpCloseWait : State::kTcpFinWait;
        } else {
            c_.state = State::kTcpEstablished;
        }
    }

    // RFC 5961 §3.2.
    Fate on_reset() {
        if (answers_noted_syn()) { return enter(State::kTcpClose); }
        const std::int64_t next = receiver_.has_acked_syn ? receiver_.acked : sender_.sent;
        if (p_.is(kTcpAck) && p_.ack != 0 && !is_in_window(next, sender_.sent)) {
            return Fate::kBadWindow;
        }
        if (sequence_ == next || sequence_ == sender_.sent) { return enter(State::kTcpClose); }
        if (sequence_ < next || sequence_ > sender_.granted) { return Fate::kBadWindow; }
        return c_.state > State::kTcpEstablished ? enter(State::kTcpClose) : Fate::kPass;
    }

    Fate on_late_syn_ack() {
        const std::int64_t end = end_ + 1;
        if (sender_.has_sent_syn_ack && is_in_window(sequence_, end)) { return Fate::kPass; }
        return answers_noted_syn() ? accept_reborn() : Fate::kBadState;
    }

    Fate in_syn_sent() {
        if (from_opener_) {
            if (p_.is(kTcpRst)) {
                return sequence_ == sender_.sent ? enter(State::kTcpClose) : Fate::kPass;
            }
            return is_syn() ? start() : Fate::kBadState;
        }
        const bool acks = p_.is(kTcpAck) && acks_syn_of_receiver();
        if (p_.is(kTcpRst)) { return acks ? enter(State::kTcpClose) : Fate::kBadState; }
        if (is_syn_ack()) { return acks ? accept_syn_ack() : Fate::kBadState; }
        if (is_syn()) {
            take_offer(sender_);
            agree_on_scale(sender_, receiver_);
            return enter(State::kTcpSynSent2);
        }
        const bool challenges = p_.is(kTcpAck) && !p_.is(kTcpFin) && p_.data_size == 0;
        return challenges ? Fate::kPass : Fate::kBadState;
    }

    Fate in_syn_sent2() {
        const bool acks = p_.is(kTcpAck) && acks_syn_of_receiver();
        if (p_.is(kTcpRst)) {
            return acks || sequence_ == sender_.sent ? enter(State::kTcpClose) : Fate::kBadState;
        }
        const std::int64_t first = sequence_ + (p_.is(kTcpSyn) ? 1 : 0);
        if (first != sender_.granted || p_.is(kTcpFin)) { return Fate::kBadState; }
        if (is_syn()) { return Fate::kPassAndProlong; }
        if (!acks) { return Fate::kBadState; }
        sender_.has_acked_syn = true;
        sender_.has_sent_syn_ack = sender_.has_sent_syn_ack || p_.is(kTcpSyn);
        sender_.acked = ack_;
        const std::int64_t window = std::int64_t{p_.window}
                                    << (p_.is(kTcpSyn) ? 0U : sender_.scale);
        receiver_.granted = ack_ + std::max<std::int64_t>(window, 1);
        settle();
        return Fate::kPassAndProlong;
    }

    Fate syn_ack_in_syn_received() {
        if (answers_noted_syn()) { return accept_reborn(); }
        if (sender_.has_acked_syn) {
            if (ack_ != sender_.acked) { return Fate::kBadState; }
            return from_opener_ || receiver_.has_acked_syn ? Fate::kPass : accept_syn_ack();
        }
        if (ack_ != receiver_.sent || end_ + 1 > sender_.sent) { return Fate::kBadState; }
        sender_.has_acked_syn = sender_.has_sent_syn_ack = true;
        sender_.acked = ack_;
        receiver_.granted = ack_ + std::max<std::int64_t>(p_.window, 1);
        settle();
        return Fate::kPassAndProlong;
    }

    Fate in_syn_received() {
        if (p_.is(kTcpRst)) { return on_reset(); }
        if (is_syn_ack()) { return syn_ack_in_syn_received(); }
        if (is_syn()) {
            const bool again = end_ + 1 == sender_.sent;
            if (from_opener_) { return again ? Fate::kPass : note_syn(); }
            return again && receiver_.has_sent_syn_ack ? Fate::kPass : Fate::kBadState;
        }
        const bool completes =
            sender_.has_acked_syn || receiver_.has_sent_early || ack_ == receiver_.sent;
        return p_.is(kTcpAck) && completes ? pass_and_settle() : Fate::kBadState;
    }

    Fate in_synchronized() {
        if (p_.is(kTcpRst)) { return on_reset(); }
        if (is_syn_ack()) { return on_late_syn_ack(); }
        if (is_syn()) { return from_opener_ ? note_syn() : Fate::kBadState; }
        return p_.is(kTcpAck) ? pass_and_settle() : Fate::kBadState;
    }

    Fate in_time_wait() {
        if (p_.is(kTcpRst)) { return on_reset(); }
        if (is_syn_ack()) { return on_late_syn_ack(); }
        if (is_syn()) {
            const bool is_beyond = sequence_ >= sender_.sent;
            if (from_opener_) { return is_beyond ? start() : note_syn(); }
            return is_beyond ? Fate::kBeginsAnother : Fate::kBadState;
        }
        if (!p_.is(kTcpAck)) { return Fate::kBadState; }
        const Fate fate = pass_segment();
        return fate == Fate::kPassAndProlong && !p_.is(kTcpFin) ? Fate::kPass : fate;
    }

    Fate in_close() {
        if (is_syn()) { return from_opener_ ? start() : Fate::kBeginsAnother; }
        const bool has_spoken = c_.sides[1].window > 0;
        if (p_.is(kTcpSyn) || !has_spoken) { return Fate::kBadState; }
        Fate fate = Fate::kBadState;
        if (p_.is(kTcpRst)) {
            fate = on_reset();
        } else if (p_.is(kTcpAck)) {
            fate = pass_segment();
        }
        return fate == Fate::kPassAndProlong ? Fate::kPass : fate;
    }

    ModelConnection& c_;
    const ModelPacket& p_;
    bool from_opener_;
    ModelSide& sender_;
    ModelSide& receiver_;
    std::int64_t sequence_, end_, ack_;
};

DropReason reason_of(Fate fate) {
    if (fate == Fate::kBadState) { return DropReason::kTcpState; }
    return fate == Fate::kBadWindow ? DropReason::kTcpWindow : DropReason::kNone;
}

/// UDP and ICMP: an answer makes it two-way, and every packet starts the timer again.
void pass_datagram(ModelConnection& connection, const ModelPacket& packet) {
    const bool is_answer = packet.from_a != connection.opened_by_a;
    if (is_answer && connection.state == State::kUdpOneWay) {
        connection.state = State::kUdpTwoWay;
    }
    if (is_answer && connection.state == State::kIcmpOneWay) {
        connection.state = State::kIcmpTwoWay;
    }
}

/// Why the packet opens nothing; kNone if it does.
DropReason refusal(const ModelPacket& packet) {
    if (!packet.from_a && !packet.b_may_open) { return DropReason::kDfwDeny; }
    if (packet.protocol == 6) {
        constexpr unsigned kOthers = kTcpAck | kTcpFin | kTcpRst;
        const bool is_syn = packet.is(kTcpSyn) && !packet.is(kOthers);
        return is_syn ? DropReason::kNone : DropReason::kTcpNoConnection;
    }
    return packet.is_answer ? DropReason::kIcmpNoConnection : DropReason::kNone;
}

State first_state(const ModelPacket& packet) {
    if (packet.protocol == 6) { return State::kTcpSynSent; }
    return packet.protocol == 17 ? State::kUdpOneWay : State::kIcmpOneWay;
}

}  // namespace

const ModelConnection* ReferenceTracker::find(unsigned conversation) const {
    const auto it = connections_.find(conversation);
    return it == connections_.end() ? nullptr : &it->second;
}

bool ReferenceTracker::is_uncertain(const ModelPacket& packet, std::int64_t now_s) const {
    const ModelConnection* connection = find(packet.conversation);
    if (connection == nullptr) { return false; }
    return now_s >= connection->expires_s && now_s <= connection->expires_s + 1;
}

DropReason ReferenceTracker::judge(const ModelPacket& packet, std::int64_t now_s) {
    for (int tries = 0; tries < 2; ++tries) {
        auto it = connections_.find(packet.conversation);
        if (it != connections_.end() && now_s >= it->second.expires_s) {
            connections_.erase(it);
            it = connections_.end();
        }
        if (it == connections_.end()) {
            if (const DropReason reason = refusal(packet); reason != DropReason::kNone) {
                return reason;
            }
            ModelConnection fresh;
            fresh.state = first_state(packet);
            fresh.opened_by_a = packet.from_a;
            it = connections_.emplace(packet.conversation, fresh).first;
            if (packet.protocol == 6) { Passage(it->second, packet).start(); }
        }
        ModelConnection& connection = it->second;
        const State before = connection.state;
        Fate fate = Fate::kPassAndProlong;
        if (packet.protocol == 6) {
            fate = Passage(connection, packet).run();
        } else {
            pass_datagram(connection, packet);
        }
        if (fate == Fate::kBeginsAnother) {
            connections_.erase(it);
            continue;
        }
        if (fate == Fate::kPassAndProlong || connection.state != before) {
            connection.expires_s = now_s + timeout_s(connection.state);
        }
        return reason_of(fate);
    }
    return DropReason::kTcpState;
}

}  // namespace sluice::test
