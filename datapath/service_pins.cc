// SPDX-License-Identifier: Apache-2.0
// Service pins: which instances a connection passes, from its opening on, and which of them a frame
// comes to next. An instance that fails is replaced by another one of its rule, or its hop ends as
// the rule's `on_failure` says. Called by compose_service.cc when a connection opens, by
// redirect.cc for each redirected packet; worker.
#include <algorithm>

#include "datapath/service_choice.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

const ServiceRuleConfig* rule_of(const WorkerContext& context, std::uint16_t rule) noexcept {
    const auto& rules = context.snapshot->service_rules;
    return rule < rules.size() && !rules[rule].name.empty() ? &rules[rule] : nullptr;
}

// What another worker rewrites meanwhile is a number within bounds all the same.
int count_of(const ServicePins& pins) noexcept {
    return std::min<int>(pins.count, static_cast<int>(kServiceHopMax));
}

bool passes(const ServicePins& pins, std::uint16_t instance) noexcept {
    const int count = count_of(pins);
    return std::any_of(pins.hops.begin(), pins.hops.begin() + count,
                       [&](const ServiceHop& hop) { return hop.instance == instance; });
}

// Hops in the order in which one side's frames meet them, behind `instance`.
class Way {
public:
    Way(const ServicePins& pins, ConnectionSide side, std::uint16_t instance) noexcept
        : step_(side == ConnectionSide::kOpener ? 1 : -1), count_(count_of(pins)) {
        at_ = step_ > 0 ? 0 : count_ - 1;
        if (instance == kNoService) { return; }
        while (is_on() && pins.hops[index()].instance != instance) { at_ += step_; }
        at_ += step_;
    }
    [[nodiscard]] bool is_on() const noexcept { return at_ >= 0 && at_ < count_; }
    [[nodiscard]] std::size_t index() const noexcept { return static_cast<std::size_t>(at_); }
    void go_on() noexcept { at_ += step_; }

private:
    int step_, count_, at_;
};

struct HopChange {
    ServicePins& pins;
    std::size_t index;
    std::uint16_t instance;
};

void write_hop(void* argument) noexcept {
    const auto& change = *static_cast<const HopChange*>(argument);
    ServiceHop& hop = change.pins.hops[change.index];
    hop.instance = change.instance;
    hop.state = 0;
    change.pins.seal();
}

// The instance for a hop whose own does not work; kNoService: none takes it.
std::uint16_t pick_other(WorkerContext& context, const ServiceRuleConfig& rule,
                         ConnectionHandle handle, const ServicePins& pins) noexcept {
    const Connection* record = context.connections.get(handle);
    if (record == nullptr) { return kNoService; }
    const std::uint16_t picked =
        pick_instance(rule, context.services, service_hash(record->tuple), context.now_ns);
    return takes_frames(context, picked) && !passes(pins, picked) ? picked : kNoService;
}

// The hop's instance does not work: another one, or none, which makes programs stale.
// kServiceDown: it stays as it is.
DropReason settle(WorkerContext& context, ConnectionHandle& handle, std::size_t index) noexcept {
    ServicePins& pins = context.pins.of(handle);
    const ServiceHop hop = pins.hops[index];
    const ServiceRuleConfig* rule = rule_of(context, hop.rule);
    ServiceCounters& counters = context.service_counters[hop.instance];
    std::uint16_t picked = kNoService;
    if (rule != nullptr) { picked = pick_other(context, *rule, handle, pins); }
    if (picked == kNoService && rule != nullptr && rule->on_failure == model::OnFailure::kClosed) {
        counters.dropped_packets.add(1);
        return DropReason::kServiceDown;
    }
    HopChange change{pins, index, picked};
    if (!context.connections.run_locked(handle, write_hop, &change)) {
        return DropReason::kServiceDown;  // It ended; the next packet finds that.
    }
    if (picked == kNoService) {
        counters.skipped_packets.add(1);
        handle = context.connections.redirect(handle);
    } else {
        context.service_counters[picked].connections.add(1);
    }
    return DropReason::kNone;
}

// The instance that a rule's hop begins with. Where none works it is one all the same if the rule
// fails closed: the connection waits for it.
std::uint16_t first_instance(WorkerContext& context, const ServiceRuleConfig& rule,
                             std::uint64_t hash) noexcept {
    const std::uint16_t picked = pick_instance(rule, context.services, hash, context.now_ns);
    if (takes_frames(context, picked)) { return picked; }
    const bool waits = rule.on_failure == model::OnFailure::kClosed && !rule.instances.empty();
    return waits ? rule.instances.front().instance : kNoService;
}

}  // namespace

bool takes_frames(const WorkerContext& context, std::uint16_t instance) noexcept {
    const auto& instances = context.snapshot->service_instances;
    if (instance == kNoService || instance >= instances.size()) { return false; }
    const ServiceInstanceConfig& config = instances[instance];
    const bool is_somewhere = config.in != kNoPort || config.remote != 0 || config.module != 0;
    return is_somewhere && !config.name.empty() && context.services.works(instance);
}

bool pin_services(WorkerContext& context, ConnectionHandle& handle,
                  const ServiceChoices& choices) noexcept {
    const Connection* record = context.connections.get(handle);
    if (record == nullptr) { return false; }
    const std::uint64_t hash = service_hash(record->tuple);
    ServicePins& pins = context.pins.of(handle);
    pins.count = 0;
    pins.is_bypassed = false;
    pins.responder = record->responder_port;
    for (std::uint8_t i = 0; i < choices.count; ++i) {
        const ServiceChoice& choice = choices.items[i];
        const ServiceRuleConfig* rule = rule_of(context, choice.rule);
        if (rule == nullptr) { continue; }
        if (rule->id.value != 0) { context.rules[rule_slot(rule->id)].hits.add(1); }
        const std::uint16_t instance = first_instance(context, *rule, hash);
        if (instance == kNoService || passes(pins, instance)) { continue; }
        context.service_counters[instance].connections.add(1);
        pins.hops[pins.count++] = {instance, choice.rule, choice.slot, choice.of_receiver, 0, 0};
    }
    if (pins.count == 0) { return false; }
    pins.seal();
    handle = context.connections.redirect(handle);
    return true;
}

void bypass_services(WorkerContext& context, ConnectionHandle handle) noexcept {
    const auto set = [](void* row) {
        auto& pins = *static_cast<ServicePins*>(row);
        pins.is_bypassed = true;
        pins.seal();
    };
    context.connections.run_locked(handle, set, &context.pins.of(handle));
}

bool is_pinned(const WorkerContext& context, ConnectionHandle handle,
               std::uint16_t instance) noexcept {
    return passes(context.pins.of(handle), instance);
}

const ServiceHop* hop_behind(const WorkerContext& context, ConnectionHandle handle,
                             ConnectionSide side, std::uint16_t instance) noexcept {
    const ServicePins& pins = context.pins.of(handle);
    if (pins.is_bypassed) { return nullptr; }
    for (Way way(pins, side, instance); way.is_on(); way.go_on()) {
        if (pins.hops[way.index()].instance != kNoService) { return &pins.hops[way.index()]; }
    }
    return nullptr;
}

const ServiceHop* next_hop(WorkerContext& context, ConnectionHandle& handle, ConnectionSide side,
                           std::uint16_t instance, DropReason& reason) noexcept {
    const ServicePins& pins = context.pins.of(handle);
    if (pins.is_bypassed) [[unlikely]] { return nullptr; }
    for (Way way(pins, side, instance); way.is_on(); way.go_on()) {
        const ServiceHop& hop = pins.hops[way.index()];
        if (hop.instance == kNoService) { continue; }
        if (!takes_frames(context, hop.instance)) [[unlikely]] {
            reason = settle(context, handle, way.index());
            if (reason != DropReason::kNone) { return nullptr; }
            if (hop.instance == kNoService) { continue; }
        }
        return &hop;
    }
    return nullptr;
}

}  // namespace sluice::datapath
