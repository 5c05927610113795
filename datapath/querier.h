// SPDX-License-Identifier: Apache-2.0
// Querier: general IGMP and MLD queries that the switch itself sends into its domains, where no
// router does. Control says when (src/sluiced/querier_timer.h), a worker makes the frames.
#pragma once

#include <cstdint>
#include <string>

#include "datapath/command.h"
#include "datapath/own_frame.h"

namespace sluice::datapath {

/// Bit of LearnedValue::flags of a kQuerier row: it was elected before our own querier, which is
/// silent as long as it is heard.
inline constexpr std::uint8_t kQuerierElected = 1;

/// A general query of IGMPv3 (RFC 3376 §4.1; from 0.0.0.0, so that it wins no election) or MLDv2
/// (RFC 3810 §5.1; from the link-local address of `mac`), as an untagged frame.
/// @param interval_s  between such queries
[[nodiscard]] OwnFrame make_igmp_query(const MacAddr& mac, std::uint32_t interval_s) noexcept;
[[nodiscard]] OwnFrame make_mld_query(const MacAddr& mac, std::uint32_t interval_s) noexcept;

/// Sends both into each domain of a switch whose own querier is enabled and which hears no other.
/// The frames pass no chain; the books count them as created.
class SendQueries final : public WorkerCommand {
public:
    explicit SendQueries(std::string switch_name) : switch_name_(std::move(switch_name)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t sent = 0;

private:
    std::string switch_name_;
    std::size_t at_ = 0;  // Domain.
};

}  // namespace sluice::datapath
