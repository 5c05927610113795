// SPDX-License-Identifier: Apache-2.0
// Service choice: see service_choice.h. With u uniform in (0, 1) an instance of weight w scores
// -w / ln(u): it has the highest score with a probability of its share of the weights.
#include "datapath/service_choice.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice::datapath {
namespace {

constexpr double kRampFloor = 0.01;
constexpr std::uint64_t kMsNs = 1'000'000;

// The finaliser of splitmix64 (Steele, Lea & Flood 2014).
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ x >> 30U) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27U) * 0x94d049bb133111ebU;
    return x ^ x >> 31U;
}

// In (0, 1): 53 bits, and never an end.
double draw(std::uint64_t hash, std::uint16_t instance) noexcept {
    const std::uint64_t bits = mix(hash + instance * 0x9e3779b97f4a7c15U);
    return (static_cast<double>(bits >> 11U) + 0.5) * 0x1p-53;
}

}  // namespace

std::uint64_t service_hash(const ConnectionTuple& tuple) noexcept {
    std::uint64_t hash = 0;
    for (const unsigned at : {0U, 8U, 16U, 24U, 32U, 36U}) {
        std::uint64_t word = 0;
        std::memcpy(&word, reinterpret_cast<const char*>(&tuple) + at, sizeof word);
        hash = mix(hash + word + 0x9e3779b97f4a7c15U);
    }
    return hash;
}

double ramp_of(const ServiceStates& states, std::uint16_t instance, std::uint64_t now_ns) noexcept {
    const std::uint64_t since_ns = states.since_ns(instance);
    const std::uint64_t age_ns = now_ns - std::min(now_ns, since_ns);
    if (since_ns == 0 || age_ns >= kServiceRampMs * kMsNs) { return 1; }
    return std::max(kRampFloor, static_cast<double>(age_ns) / (kServiceRampMs * kMsNs));
}

std::uint16_t pick_instance(const ServiceRuleConfig& rule, const ServiceStates& states,
                            std::uint64_t hash, std::uint64_t now_ns) noexcept {
    std::uint16_t best = kNoService;
    double best_score = 0;
    for (const ServiceRuleConfig::Choice& choice : rule.instances) {
        if (choice.weight == 0 || !states.works(choice.instance)) { continue; }
        const double weight = choice.weight * ramp_of(states, choice.instance, now_ns);
        const double score = -weight / std::log(draw(hash, choice.instance));
        if (score > best_score) {
            best_score = score;
            best = choice.instance;
        }
    }
    return best;
}

}  // namespace sluice::datapath
