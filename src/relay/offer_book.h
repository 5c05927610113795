// SPDX-License-Identifier: Apache-2.0
// OfferBook: what each guest was offered, so that it is offered the same again. A QEMU that
// reattaches after the switch was restarted, perhaps as another version, has promised its guest
// what it heard first. The relay asks and tells, by port; who implements it keeps it beyond the
// process. The control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::relay {

/// Replies of GET_FEATURES, GET_PROTOCOL_FEATURES and GET_QUEUE_NUM; 0 = not asked for yet.
struct Offer {
    std::uint64_t virtio = 0;
    std::uint64_t protocol = 0;
    std::uint64_t queue_pairs = 0;
    bool operator==(const Offer&) const = default;
};

class OfferBook {
public:
    virtual ~OfferBook() = default;
    /// What this very process was offered on the port; nullopt: it is a new one.
    [[nodiscard]] virtual std::optional<Offer> find(const std::string& port, int pid) = 0;
    virtual void note(const std::string& port, int pid, const Offer& offer) = 0;
};

}  // namespace sluice::relay
