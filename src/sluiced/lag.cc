// SPDX-License-Identifier: Apache-2.0
// Lag: see lag.h.
#include "src/sluiced/lag.h"

#include <algorithm>

#include "src/sluiced/worker_clock.h"

namespace sluice::daemon {
namespace {

static_assert(datapath::SlowFrame::kBytes == kLacpFrameBytes);

std::uint64_t now_ms() { return worker_now_ns() / 1'000'000U; }

}  // namespace

Lag::Lag(LagPlan plan, datapath::LagPort::Members members, rte_mempool* pool)
    : plan_(std::move(plan)),
      port_(std::make_shared<datapath::LagPort>(std::move(members), pool)),
      group_(plan_.system, plan_.key, plan_.is_active, plan_.members.size()),
      macs_(plan_.members.size()) {}

std::size_t Lag::index_of(const std::string& member) const {
    const auto at = std::find(plan_.members.begin(), plan_.members.end(), member);
    return static_cast<std::size_t>(at - plan_.members.begin());
}

void Lag::set_link(const std::string& member, bool has_link, const MacAddr& mac) {
    const std::size_t index = index_of(member);
    if (index >= group_.size()) { return; }
    macs_[index] = mac;
    group_.member(index).set_link(has_link, now_ms());
    run_machines();
}

bool Lag::tick() {
    const bool was_up = port_->is_up();
    datapath::SlowFrame frame;
    while (port_->take(frame)) { take(frame); }
    run_machines();
    return port_->is_up() != was_up;
}

void Lag::run_machines() {
    if (group_.tick(now_ms())) { port_->set_carriers(group_.distributing()); }
    for (std::size_t i = 0; i < group_.size(); ++i) {
        if (const auto message = group_.member(i).take_message(now_ms())) {
            post(i, write_lacp(*message, macs_[i]));
        }
    }
}

void Lag::take(const datapath::SlowFrame& frame) {
    if (frame.member >= group_.size()) { return; }
    if (const auto message = read_lacp(frame.bytes)) {
        group_.member(frame.member).receive(*message, now_ms());
    } else if (const auto answer = answer_marker(frame.bytes, macs_[frame.member])) {
        post(frame.member, *answer);
    }
}

void Lag::post(std::size_t member, const LacpFrame& frame) {
    datapath::SlowFrame slow;
    slow.member = static_cast<std::uint16_t>(member);
    slow.bytes = frame;
    port_->post(slow);
}

std::string Lag::fault() const {
    return port_->is_up() ? "" : "no member of its LAG has come to terms with the fabric (LACP)";
}

LagState Lag::state(const std::string& member) const {
    const std::size_t index = index_of(member);
    if (index >= group_.size()) { return {}; }
    const LacpPort& port = group_.member(index);
    LagState state;
    state.state = port.state_text();
    if (port.has_partner()) {
        state.partner = port.partner().system;
        state.partner_key = port.partner().key;
        state.partner_port = port.partner().port;
    }
    const datapath::LagFigures& figures = port_->figures(index);
    state.rx_packets = figures.rx_packets.load(std::memory_order_relaxed);
    state.rx_bytes = figures.rx_bytes.load(std::memory_order_relaxed);
    state.tx_packets = figures.tx_packets.load(std::memory_order_relaxed);
    state.tx_bytes = figures.tx_bytes.load(std::memory_order_relaxed);
    return state;
}

}  // namespace sluice::daemon
