// SPDX-License-Identifier: Apache-2.0
// SavedMacs: the bindings of the last view on disk, so that a daemon that comes back without its
// database knows where MACs are (the document is the local store's). A slow disk blocks a thread of
// its own, one save at a time.
#pragma once

#include <utility>

#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>
#include <vector>

#include "controller-agent/fleet/binding.h"

namespace sluice::vtep {

class SavedMacs {
public:
    /// @param folder  made if it is missing; empty: nothing is saved
    explicit SavedMacs(std::string folder) : folder_(std::move(folder)) {}

    /// None if there is no file, or a damaged one (which is told). Before the first save.
    [[nodiscard]] std::vector<fleet::FleetBinding> load();
    /// Returns at once.
    void save(std::vector<fleet::FleetBinding> bindings);
    /// Until all is on disk.
    void finish() { pool_.join(); }

private:
    std::string folder_;
    std::uint64_t generation_ = 0;  // Of the file.
    boost::asio::thread_pool pool_{1};
};

}  // namespace sluice::vtep
