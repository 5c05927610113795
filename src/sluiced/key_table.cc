// SPDX-License-Identifier: Apache-2.0
// KeyTable: see key_table.h.
#include "src/sluiced/key_table.h"

#include <algorithm>
#include <tuple>

namespace sluice::daemon {
namespace {

constexpr std::uint16_t kGenerationMask = 0xfff;

std::uint16_t after(std::uint16_t generation) {
    return static_cast<std::uint16_t>((generation + 1U) & kGenerationMask);
}

Spi spi_of(std::uint8_t policy, std::uint64_t epoch, std::uint16_t generation,
           std::uint8_t worker) {
    return {policy, static_cast<std::uint8_t>(epoch), generation, worker};
}

// The same counter in other epochs.
bool is_same_sender(std::uint32_t a, std::uint32_t b) {
    constexpr std::uint32_t kEpoch = 0xffU << 16U;
    return ((a ^ b) & ~kEpoch) == 0;
}

}  // namespace

std::uint64_t TablePolicy::revision_at(std::uint64_t epoch) const {
    std::uint64_t found = 0;
    for (const auto& [from, revision] : revisions) {
        if (from <= epoch) { found = revision; }
    }
    return found;
}

// A remote whose index means somebody else now is nobody that was heard.
void KeyTable::configure(TableConfig config) {
    const auto is_other = [&](std::uint16_t remote) {
        const auto of = [&](const TableConfig& one) {
            return remote < one.remotes.size() ? one.remotes[remote] : IpAddr{};
        };
        return of(config_) != of(config) || of(config) == IpAddr{};
    };
    std::erase_if(senders_, [&](const auto& each) { return is_other(each.first.remote); });
    std::erase_if(offers_, [&](const Offer& each) { return is_other(each.remote); });
    for (auto& [key, opening] : opening_) {
        if (is_other(key.first)) { opening.revision = 0; }  // Wanted by nobody: goes.
    }
    config_ = std::move(config);
    is_dirty_ = true;
}

void KeyTable::set_generation(std::uint16_t generation) {
    generation_ = generation;
    is_filling_ = false;
    is_dirty_ = true;
}

const TablePolicy* KeyTable::policy(std::uint8_t id) const {
    const auto at = config_.policies.find(id);
    return at == config_.policies.end() ? nullptr : &at->second;
}

// The one of the last, the running and the next epoch whose low bits the SPI names.
std::optional<std::uint64_t> KeyTable::epoch_of(Spi spi, std::uint64_t now_s) const {
    const TablePolicy* of = policy(spi.policy);
    if (of == nullptr) { return std::nullopt; }
    const std::uint64_t now = of->epoch_at(now_s);
    for (const std::uint64_t epoch : {now, now + 1, now - std::min<std::uint64_t>(now, 1)}) {
        const bool is_it = static_cast<std::uint8_t>(epoch) == spi.epoch;
        if (is_it && of->revision_at(epoch) != 0) { return epoch; }
    }
    return std::nullopt;
}

void KeyTable::note_wanted(std::uint16_t remote, std::uint32_t spi, std::uint64_t now_s) {
    const bool is_known = remote < config_.remotes.size() && config_.remotes[remote] != IpAddr{};
    if (!is_known || !Spi::is_ours(spi) || !epoch_of(Spi::of(spi), now_s)) { return; }
    if (opening_.contains({remote, spi})) { return; }
    const auto is_same = [&](const Offer& each) {
        return each.remote == remote && is_same_sender(each.spi, spi);
    };
    if (std::any_of(offers_.begin(), offers_.end(), is_same)) { return; }
    if (offers_.size() >= kOfferMax) { offers_.pop_front(); }
    offers_.push_back({remote, spi, now_s});
    is_dirty_ = true;
}

void KeyTable::note_used(std::uint16_t remote, std::uint32_t spi, std::uint64_t now_s) {
    const auto at = opening_.find({remote, spi});
    if (at == opening_.end() || at->second.revision == 0) { return; }
    const Spi name = Spi::of(spi);
    Generations& of = senders_[{remote, name.policy, name.worker}];
    Heard& heard = of.heard[name.generation];
    heard.epoch = std::max(heard.epoch, at->second.epoch);
    heard.at_s = now_s;
    of.newest = name.generation;
    std::erase_if(offers_, [&](const Offer& each) {
        return each.remote == remote && is_same_sender(each.spi, spi);
    });
    is_dirty_ = true;
}

void KeyTable::note_filling(std::uint32_t spi) {
    if (generation_ && Spi::of(spi).generation == *generation_) {
        is_filling_ = true;
        is_dirty_ = true;
    }
}

bool KeyTable::is_due(std::uint64_t now_s) const {
    if (is_dirty_ || (!offers_.empty() && now_s >= offers_.front().at_s + kOfferS)) { return true; }
    return std::any_of(config_.policies.begin(), config_.policies.end(), [&](const auto& each) {
        const auto at = epochs_.find(each.first);
        return at == epochs_.end() || at->second != each.second.epoch_at(now_s);
    });
}

KeyPlan KeyTable::plan(std::uint64_t now_s) {
    KeyPlan plan;
    epochs_.clear();
    for (const auto& [id, of] : config_.policies) { epochs_[id] = of.epoch_at(now_s); }
    is_dirty_ = false;
    plan.wants_generation = is_filling_;
    forget_silent(now_s);
    plan_receiving(now_s, plan);
    plan_sending(now_s, plan);
    return plan;
}

bool KeyTable::may_begin(const TableConfig::Vtep& by, std::uint8_t policy,
                         std::uint64_t epoch) const {
    if (!generation_) { return false; }
    const auto at = begun_.find({by.ip, policy, by.worker});
    return at == begun_.end() || at->second.generation != *generation_ || at->second.epoch < epoch;
}

void KeyTable::plan_sending(std::uint64_t now_s, KeyPlan& plan) {
    for (auto at = sealing_.begin(); at != sealing_.end();) {
        const auto [vtep, id] = at->first;
        const TablePolicy* of = policy(id);
        const bool is_wanted = vtep < config_.vteps.size() && of != nullptr &&
                               of->revision_at(of->epoch_at(now_s)) != 0;
        if (!is_wanted) { plan.stop_sending.emplace_back(vtep, id); }
        at = is_wanted ? std::next(at) : sealing_.erase(at);
    }
    for (std::uint16_t vtep = 0; vtep < config_.vteps.size(); ++vtep) {
        for (const auto& each : config_.policies) { plan_one(vtep, each.first, now_s, plan); }
    }
}

void KeyTable::plan_one(std::uint16_t vtep, std::uint8_t id, std::uint64_t now_s, KeyPlan& plan) {
    const TablePolicy& of = config_.policies.at(id);
    const TableConfig::Vtep& by = config_.vteps[vtep];
    const std::uint64_t epoch = of.epoch_at(now_s);
    const std::uint64_t revision = of.revision_at(epoch);
    if (revision == 0) { return; }
    const auto at = sealing_.find({vtep, id});
    if (at != sealing_.end()) {
        const Sealing& now = at->second;
        const bool is_right = now.by.ip == by.ip && now.by.worker == by.worker &&
                              now.revision == of.revision_at(now.epoch) &&
                              Spi::of(now.spi).generation == generation_;
        // A clock that is set back a little is no reason to go back.
        if (is_right && (now.epoch == epoch || now.epoch == epoch + 1)) { return; }
    }
    if (!may_begin(by, id, epoch)) {
        plan.wants_generation = true;
        if (at == sealing_.end()) { return; }
        plan.stop_sending.emplace_back(vtep, id);
        sealing_.erase(at);
        return;
    }
    const std::uint32_t spi = spi_of(id, epoch, *generation_, by.worker).value();
    sealing_[{vtep, id}] = {spi, epoch, revision, by};
    begun_[{by.ip, id, by.worker}] = {*generation_, epoch};
    plan.send.push_back({vtep, spi, epoch});
}

void KeyTable::forget_silent(std::uint64_t now_s) {
    while (!offers_.empty() && now_s >= offers_.front().at_s + kOfferS) { offers_.pop_front(); }
    for (auto& [sender, of] : senders_) {
        const TablePolicy* rules = policy(sender.policy);
        std::erase_if(of.heard, [&](const auto& one) {
            const Heard& heard = one.second;
            return rules == nullptr ||
                   (rules->epoch_at(now_s) > heard.epoch + 2 && now_s >= heard.at_s + kSilentS);
        });
    }
    std::erase_if(senders_, [](const auto& each) { return each.second.heard.empty(); });
}

void KeyTable::want(Openings& wanted, std::uint16_t remote, Spi spi, std::uint64_t epoch) const {
    const std::uint64_t revision = policy(spi.policy)->revision_at(epoch);
    if (revision == 0 || wanted.size() >= kReceivingSaMax) { return; }
    spi.epoch = static_cast<std::uint8_t>(epoch);
    wanted.try_emplace({remote, spi.value()}, Opening{epoch, revision});
}

// Those that are sealed with now before those that may be.
KeyTable::Openings KeyTable::wanted_openings(std::uint64_t now_s) const {
    Openings wanted;
    for (const auto& [sender, of] : senders_) {
        const std::uint64_t epoch = policy(sender.policy)->epoch_at(now_s);
        for (const auto& [generation, heard] : of.heard) {
            const Spi spi{sender.policy, 0, generation, sender.worker};
            want(wanted, sender.remote, spi, epoch);
            if (epoch > 0) { want(wanted, sender.remote, spi, epoch - 1); }
            if (generation != of.newest) { continue; }
            want(wanted, sender.remote, spi, epoch + 1);
        }
    }
    for (const Offer& offer : offers_) {
        const Spi spi = Spi::of(offer.spi);
        const TablePolicy* of = policy(spi.policy);
        if (of == nullptr) { continue; }
        const std::uint64_t epoch = of->epoch_at(now_s);
        if (epoch > 0) { want(wanted, offer.remote, spi, epoch - 1); }
        want(wanted, offer.remote, spi, epoch);
        want(wanted, offer.remote, spi, epoch + 1);
    }
    for (const auto& [sender, of] : senders_) {
        const std::uint64_t epoch = policy(sender.policy)->epoch_at(now_s);
        const Spi spi{sender.policy, 0, after(of.newest), sender.worker};
        want(wanted, sender.remote, spi, epoch);
        want(wanted, sender.remote, spi, epoch + 1);
    }
    return wanted;
}

void KeyTable::plan_receiving(std::uint64_t now_s, KeyPlan& plan) {
    Openings wanted = wanted_openings(now_s);
    for (const auto& [key, opening] : opening_) {
        const auto at = wanted.find(key);
        if (at == wanted.end() || at->second != opening) { plan.stop_receiving.push_back(key); }
    }
    for (const auto& [key, opening] : wanted) {
        const auto at = opening_.find(key);
        if (at == opening_.end() || at->second != opening) {
            plan.receive.push_back({key.first, key.second, opening.epoch});
        }
    }
    opening_ = std::move(wanted);
}

}  // namespace sluice::daemon
