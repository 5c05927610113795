// SPDX-License-Identifier: Apache-2.0
// Composer: one composition of a program, from a first packet and all that is known: both chains,
// switching and routing, the connection. Its parts: first_packet.cc (the order of things,
// switching, cache), compose_connection.cc (the connection), compose_log.cc (what rules with `log`
// leave behind). On a worker's stack.
#pragma once

#include <algorithm>

#include "datapath/stages.h"
#include "datapath/trace.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {

// One composition: the inputs and what comes of them.
struct Composer {
    Composer(WorkerContext& c, Packet& p, const PortConfig& port) noexcept
        : context(c), packet(p), in(port), key(p.frame.key) {
        if (is_foreseen(context, packet)) { judgement = packet.aside->judgement; }
    }

    WorkerContext& context;
    Packet& packet;
    const PortConfig& in;
    const FlowKey& key;
    const Domain* domain = nullptr;
    TupleOfFrame tuple;
    bool may_track = false;  // Unicast IP: the kinds of frame that connections are made of.
    bool has_connection = false;
    bool is_party = false;      // It runs between the two vNICs of the connection.
    bool is_direct = false;     // Its receiver is known to be the connection's other side.
    bool is_anybody = false;    // It answers an unknown unicast: its vNIC is one of several.
    bool is_announced = false;  // There is none, and another connection announced this one.
    FlowKey parent_key;         // Of that one; also of the connection's, if it was announced.
    Judgement judgement;        // Of the key. May begin with what was foreseen.
    AddressHolders holders;     // Of the key.
    ConnectionView view{};      // Meaningful if has_connection, or from has_opened on.
    Program program;
    bool has_opened = false;  // The connection is this packet's.
    RuleId rule_from, rule_to;
    bool by_flags = false;   // With other TCP flags it may be decided otherwise.
    Trace* trace = nullptr;  // Dry: nothing is changed but this.
    bool is_logged = false;  // Its connection is: its packets are accounted for one by one.
    std::uint16_t returned_by = kNoService;  // The service that sent it back; `in` and `key` are of
                                             // where it entered first.
    PortIndex entry_port = kNoPort;          // Of the same: where it entered first.
    bool is_stranger = false;    // It is not of the connection that it seemed to return for.
    bool is_redirected = false;  // Its connection passes services.
    bool asks_services = false;  // It may open one that does.
    ServiceChoices choices;      // What they say.
    std::uint16_t judged_from = 0, judged_to = 0;  // All slots that did, if it is redirected.

    void run() noexcept;
    /// A frame that came by a leg by which nothing of its connection comes.
    void refuse_return() noexcept;
    /// Of a trace: how it ends.
    void note_ending() noexcept {
        packet.aside->state.program = program;
        trace->add_ending(context, packet, *domain, input(Direction::kToVm));
    }
    /// True if the frame is on its way to a service or from one.
    [[nodiscard]] bool is_served() const noexcept {
        return program.ending == Ending::kRedirect || returned_by != kNoService;
    }
    /// True if its packets can't share one program.
    [[nodiscard]] bool is_template() const noexcept {
        return by_flags || (is_logged && program.tracked);
    }

private:
    bool compose() noexcept;
    void find_connection() noexcept;
    [[gnu::noinline]] void find_announcement() noexcept;
    void set_drop(DropReason reason) noexcept;
    bool set_chain_drop(const Decision& decision, Direction direction) noexcept;
    [[nodiscard]] bool is_from_here() noexcept;
    bool end_service_frame() noexcept;
    [[nodiscard]] bool learn() noexcept;
    bool switch_frame() noexcept;
    bool forward() noexcept;
    [[nodiscard]] AddressHolders find_both_holders() noexcept;
    bool enter_copies(const Decision& from) noexcept;
    [[nodiscard]] Decision judge_receivers() noexcept;
    bool enter_destination(const PortConfig& out, const Decision& from) noexcept;
    void set_ending(const PortConfig& out) noexcept;
    [[nodiscard]] bool set_seal(const PortConfig& out, const Decision& from) noexcept;
    void attach_connection(const Decision& from, const Decision& to) noexcept;
    void rejudge_connection(const Decision& from, const Decision& to) noexcept;
    void open_connection(const Decision& from, const Decision& to) noexcept;
    void refuse_open(DropReason reason, const Decision& from) noexcept;
    void count_hit(RuleId rule) noexcept;
    void log(FirewallEventKind kind, const Decision& decision, Direction direction) noexcept;
    void log_passage(FirewallEventKind kind, const Decision& from, const Decision& to) noexcept;
    void close_connection() noexcept;
    void ask_for_services() noexcept;
    [[nodiscard]] bool has_services(const PortConfig& port) const noexcept;
    [[nodiscard]] bool wants_pins(const PortConfig* out) noexcept;
    [[nodiscard]] bool answer_is_redirected(const PortConfig* out) noexcept;
    [[nodiscard]] bool is_usurped(const Connection& record) const noexcept;
    void forget_usurper() noexcept;
    void redirect() noexcept;
    void resume(const Decision& from, const Decision& to) noexcept;
    void trace_services() noexcept;
    void note_slots(PortIndex port, Direction direction, const Decision& decision) noexcept;
    [[nodiscard]] bool judged_by_opener(Direction direction) const noexcept;
    [[nodiscard]] bool runs_between(const Connection& record) noexcept;
    [[nodiscard]] bool is_same_place(PortIndex a, PortIndex b) const noexcept;
    /// Of an unknown unicast: who received it, unless its MAC is one that the switch knows.
    [[nodiscard]] bool may_answer() const noexcept {
        return domain->macs.find(key.source_mac) == kNoPort &&
               (in.is_uplink || is_flooded(key.port));
    }
    [[nodiscard]] bool is_flooded(PortIndex port) const noexcept {
        return std::find(domain->flood.begin(), domain->flood.end(), port) != domain->flood.end();
    }
    /// Where it goes: asked for once.
    [[nodiscard]] const Path& path() noexcept {
        if (!has_path_) {
            has_path_ = true;
            path_ = find_path(context, program.domain, key);
            if (path_.is_routed) { out_key_ = leaving_key(key, path_); }
        }
        return path_;
    }
    [[nodiscard]] PortIndex responder() const noexcept {
        const bool may_be_several =
            (program.flags & kProgramFlood) != 0 && program.ending == Ending::kMirrored;
        return may_be_several ? kNoPort : program.output;
    }
    /// What this packet, the opener's, was judged under. 0: not to be taken over by a reply, since
    /// many might receive it, or a third port's binding was followed.
    [[nodiscard]] std::uint32_t judged_by(PortIndex receiver) const noexcept {
        if (receiver == kNoPort || is_held_aside(holders, key.port, receiver)) { return 0; }
        return judged_under(context, key.port, receiver);
    }
    [[nodiscard]] bool has_firewall(const PortConfig& port) const noexcept {
        return port.chain->slots[kSlotDfw] != nullptr;
    }
    /// A receiver sees a routed frame as it leaves.
    [[nodiscard]] DecideInput input(Direction direction) noexcept {
        const bool is_leaving = direction == Direction::kToVm && has_path_ && path_.is_routed;
        const Domain& at = is_leaving ? context.snapshot->domains[path_.domain] : *domain;
        return {is_leaving ? out_key_ : key,
                direction,
                is_party || is_announced ? &view : nullptr,
                {&context.learned, at.id, context.now_ns, &at.owners, holders},
                &judgement,
                packet.frame.tcp_flags,
                &packet.aside->acl,
                asks_services ? &choices : nullptr,
                in.is_uplink && returned_by == kNoService,  // Judged when it entered first.
                sealed_with(key.tunnel)};
    }

    bool has_path_ = false;
    Path path_;
    FlowKey out_key_;  // Of `path_`.
};

}  // namespace sluice::datapath
