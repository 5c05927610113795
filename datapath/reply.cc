// SPDX-License-Identifier: Apache-2.0
// Reply: the two flows of a TCP connection as a pair. The other direction's program is made with
// the opener's, by the same decisions that its first packet would meet, and both are forgotten when
// the connection closes, so that their entries serve the next one while they are in the cache.
// Called by first_packet.cc and ingress.cc.
#include "datapath/parse_layers.h"
#include "datapath/reply_key.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

struct FlowPair {
    const Program& opening;
    PortIndex opener;
    Program reply;
    RuleId rule_from, rule_to;  // Of the reply.
    AclTrail acl;
};

// True if all that the reply's first packet could meet is known: two vNICs of this worker with MACs
// of the document, no tags, no copies.
bool is_foreseeable(const WorkerContext& context, const FlowKey& key, const Program& program,
                    const PortConfig& in) noexcept {
    const unsigned flags = program.flags & ~unsigned{kProgramLocal};
    if (program.ending != Ending::kOutput || flags != 0 || program.steps.any() ||
        key.protocol != kProtocolTcp || key.has(kKeyTagged) || key.tunnel != 0) {
        return false;
    }
    const PortConfig& out = *context.snapshot->port(program.output);
    const Domain& domain = context.snapshot->domains[program.domain];
    return !in.is_uplink && !out.is_uplink && !out.vlan.is_trunk && !in.vlan.is_trunk &&
           out.worker == context.options.index && out.vlan.untagged_domain == program.domain &&
           !is_foreign(out, domain, key.destination_mac) &&
           domain.macs.find(key.source_mac) == key.port;
}

// What both vNICs say to the reply. False: it would not get through, or nobody would track it.
bool judge_reply(const WorkerContext& context, const FlowKey& reply, const ConnectionView& view,
                 const PortConfig& in, FlowPair& pair) noexcept {
    const Program& opening = pair.opening;
    const PortConfig& out = *context.snapshot->port(opening.output);
    const BindingView bindings = view_bindings(context, opening.domain, reply);
    const auto judge = [&](const PortConfig& port, Direction direction) {
        DecideInput input{reply, direction, &view, bindings};
        input.acl = &pair.acl;
        return decide(*port.chain, input);
    };
    const auto is_plain = [](const Decision& decision) {
        return decision.verdict == Verdict::kPass && !decision.by_flags &&
               decision.set_dscp == kNoDscp;
    };
    const Decision from = judge(out, Direction::kFromVm);
    if (!is_plain(from)) { return false; }
    pair.acl.end_source();
    const Decision to = judge(in, Direction::kToVm);
    if (!is_plain(to) || !(from.stateful || to.stateful)) { return false; }
    pair.reply = opening;
    pair.reply.side = ConnectionSide::kResponder;
    pair.reply.output = pair.opener;
    pair.reply.flags = from.key_policy != 0 ? kProgramLocal : 0;
    pair.reply.decided_from = from.decided;
    pair.reply.decided_to = to.decided;
    pair.rule_from = from.rule;
    pair.rule_to = to.rule;
    return true;
}

}  // namespace

void foresee_reply(const WorkerContext& context, const FlowKey& key,
                   const Domain& domain) noexcept {
    const PortIndex responder = domain.macs.find(key.destination_mac);
    if (responder == kNoPort) { return; }
    context.flows.prefetch_bucket(context.flows.hash(reply_key(key, responder)));
}

void cache_reply(WorkerContext& context, const Packet& packet, const PortConfig& in,
                 const ConnectionView& view) noexcept {
    const FlowKey& key = packet.frame.key;
    FlowTable& flows = context.flows;
    FlowPair pair{packet.flow->program, key.port, {}, {}, {}, {}};
    if (!is_foreseeable(context, key, pair.opening, in) || !flows.has_room(pair.opening.output)) {
        return;
    }
    const FlowKey reply = reply_key(key, pair.opening.output);
    const std::uint64_t hash = flows.hash(reply);
    flows.prefetch_bucket(hash);
    if (!judge_reply(context, reply, view, in, pair)) { return; }
    if (flows.find(reply, hash) != kNoFlow) { return; }  // Of a former connection: stale.
    const std::uint32_t index = flows.insert(reply, hash, pair.reply);
    if (index == kNoFlow) { return; }
    FlowState& state = flows.entry(index).state;
    state.set_stamp(context.stamp);
    state.last_used_ms = context.now_ms;
    state.peer = packet.index;
    flows.entry(packet.index).state.peer = index;
    flows.cold(index).rule_from = pair.rule_from;
    flows.cold(index).rule_to = pair.rule_to;
    if (has_acl(pair.reply)) { flows.set_acl(index, pair.acl); }
}

void end_flows(WorkerContext& context, const Packet& packet) noexcept {
    const ConnectionHandle connection = packet.flow->program.connection;
    const std::uint32_t peer = packet.flow->peer;
    const auto forget = [&](std::uint32_t index) {
        if (index == kNoFlow || !context.flows.is_live(index)) { return; }
        const Program& program = context.flows.entry(index).state.program;
        if (program.tracked && program.connection == connection) { context.flows.remove(index); }
    };
    if (packet.flow != &packet.aside->state) {
        forget(packet.index);
        forget(peer);
    }
    context.connections.note_closed(context.options.index, connection);
}

}  // namespace sluice::datapath
