// SPDX-License-Identifier: Apache-2.0
// Service choice: which instance of a rule a new connection gets. Weighted rendezvous hashing
// (Thaler & Ravishankar 1998): each instance draws a number from the connection and its own name's
// index, the best one by weight wins. So equal connections meet equal instances, and an instance
// that goes or comes moves only what it had or gets. Called by service_pins.cc when a connection is
// opened, or its instance has failed. Pure; worker.
#pragma once

#include <cstdint>

#include "datapath/service_states.h"
#include "datapath/snapshot.h"

namespace sluice::datapath {

/// What pick_instance() draws from: equal for both directions of a connection, and in each run of
/// the daemon that numbers its domains alike.
[[nodiscard]] std::uint64_t service_hash(const ConnectionTuple& tuple) noexcept;

/// An instance of `rule` for a connection, among those that work and are not draining. One that
/// came back gets a share that grows from a hundredth to the whole over kServiceRampMs.
/// @param hash    service_hash() of its tuple
/// @param now_ns  monotonic
/// @return index into Snapshot::service_instances; kNoService: none takes it
[[nodiscard]] std::uint16_t pick_instance(const ServiceRuleConfig& rule,
                                          const ServiceStates& states, std::uint64_t hash,
                                          std::uint64_t now_ns) noexcept;

/// How much of its weight an instance counts with now: 0 to 1. 1: it never failed, or its ramp is
/// over.
[[nodiscard]] double ramp_of(const ServiceStates& states, std::uint16_t instance,
                             std::uint64_t now_ns) noexcept;

}  // namespace sluice::datapath
