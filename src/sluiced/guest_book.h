// SPDX-License-Identifier: Apache-2.0
// GuestBook: the relay's OfferBook in a file of the arena's folder: what was offered to the guest
// of each port, and which process that guest is (pid and start time: pids are used again). Control
// thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "relay/offer_book.h"
#include "src/host/record_log.h"

namespace sluice::daemon {

class GuestBook final : public relay::OfferBook {
public:
    /// Reads the file, or makes an empty one. Without it the book is the process's. kIo.
    [[nodiscard]] Status load(const std::string& path);
    [[nodiscard]] std::optional<relay::Offer> find(const std::string& port, int pid) override;
    void note(const std::string& port, int pid, const relay::Offer& offer) override;

private:
    struct Guest {
        std::uint64_t process = 0;
        relay::Offer offer;
    };
    std::map<std::string, Guest> guests_;
    host::RecordLog log_;
};

}  // namespace sluice::daemon
